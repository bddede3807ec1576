//! How long a request waits for the broker, and what its errors mean over HTTP.

use std::time::Duration;

use axum::http::StatusCode;
use servicio::ErrorHttp;
use taskq_client::{Error, ErrorKind};
use tokio::time::timeout;

/// Longest time a request spends on the broker: 3 s.
pub const PLAZO: Duration = Duration::from_secs(3);

/// What `llamada` answers, or 503 when it has not within [`PLAZO`].
pub(crate) async fn en_plazo<T>(
    llamada: impl Future<Output = Result<T, ErrorHttp>>,
) -> Result<T, ErrorHttp> {
    timeout(PLAZO, llamada).await.unwrap_or_else(|_| {
        Err(ErrorHttp::no_disponible(format!(
            "the broker has not answered within {} s: try again later",
            PLAZO.as_secs()
        )))
    })
}

/// An error of the broker as an answer.
pub(crate) fn de_taskq(error: Error) -> ErrorHttp {
    let status = match error.kind() {
        _ if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if status.is_server_error() {
        tracing::warn!(%status, "the broker: {error}");
    }
    ErrorHttp::nuevo(status, error.to_string())
}
