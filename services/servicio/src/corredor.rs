//! The broker behind a service: from the command line to a client, and how long a request waits for it.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use axum::http::StatusCode;
use taskq_client::{ChosenBroker, Client, Error, ErrorKind};
use tokio::time::timeout;

use crate::error_http::ErrorHttp;

/// Longest time a request spends on the broker: 3 s.
pub const PLAZO: Duration = Duration::from_secs(3);

/// A client of the broker that was `nombrado`, else of the user's own file, for a service's main; its sends end within
/// [`PLAZO`]. `variable` reads the environment: [`std::env::var_os`].
///
/// A file that nobody named is told on stderr. A broker that can not be reached is no error: one WARN is logged within
/// [`PLAZO`], and what needs it fails until it is there.
///
/// # Errors
/// What is no broker's URL, a file that can not be opened, and a broker in memory: it lives inside one process, and no
/// worker runs in a service.
pub async fn abrir_corredor(
    nombrado: Option<String>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Client, Error> {
    let elegido = ChosenBroker::from(nombrado, variable)?;
    if let Some(aviso) = &elegido.notice {
        // With nobody behind stderr there is nobody to tell.
        drop(writeln!(io::stderr(), "{aviso}"));
    }
    // What is sent there would be gone with this process.
    if ["memory:", "sqlite::memory:"]
        .iter()
        .any(|m| elegido.url.starts_with(m))
    {
        return Err(Error::invalid(
            "a broker in memory lives inside one process, and no worker runs in this one: use a file, such as \
             sqlite:///var/lib/taskq.db, or redis://host:6379/0, with --broker (env TASKQ_BROKER_URL)",
        ));
    }
    let cliente = Client::builder()
        .send_deadline(PLAZO)
        .connect(&elegido.url)
        .await?;
    tokio::spawn(probar(cliente.clone()));
    Ok(cliente)
}

/// The exit status of a service that could not start because of this: the broker's as workers and `taskq` have it, else
/// 2, for it was started the wrong way and the same start fails again. What may be gone at the next start, such as a file
/// that is busy, a main tells apart itself, and ends with 1: only it knows the errors of its domain.
#[must_use]
pub fn mal_arrancado(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let del_broker = error.downcast_ref::<Error>();
    del_broker
        .map_or(2, |error| error.kind().exit_status())
        .into()
}

/// Tries the broker once, so that a wrong address shows before the first request.
async fn probar(cliente: Client) {
    let motivo = match timeout(PLAZO, cliente.workers()).await {
        Ok(respuesta) => respuesta.err().as_ref().map(Error::to_string),
        Err(_) => Some(format!("no answer within {} s", PLAZO.as_secs())),
    };
    if let Some(motivo) = motivo {
        tracing::warn!(
            "the broker cannot be reached, requests that need it get 503 until it is: {motivo}"
        );
    }
}

/// What `llamada` answers, or 503 when it has not within [`PLAZO`].
///
/// # Errors
/// That of `llamada`, or 503.
pub async fn en_plazo<T>(
    llamada: impl Future<Output = Result<T, ErrorHttp>>,
) -> Result<T, ErrorHttp> {
    timeout(PLAZO, llamada).await.unwrap_or_else(|_| {
        Err(ErrorHttp::no_disponible(format!(
            "the broker has not answered within {} s: try again later",
            PLAZO.as_secs()
        )))
    })
}

/// An error of the broker as an answer; one that is not the client's is logged as well.
impl From<Error> for ErrorHttp {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            _ if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::warn!(%status, "{error}");
        }
        Self::nuevo(status, error.to_string())
    }
}
