//! The logistics service.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use logistica::{Logistica, PLAZO, rutas};
use logistica_dominio::{Almacen, ruta};
use servicio::{Argumentos, Parada, aplicacion, escuchar, iniciar_registro, leer_linea, servir};
use taskq_client::{ChosenBroker, Client, Error};
use tokio::time::timeout;

/// Exit status of a service that was started the wrong way, as the worker's.
const MAL_ARRANCADO: u8 = 2;

/// Takes deliveries over HTTP and sends them to the workers
#[derive(Debug, Parser)]
#[command(
    name = "logistica",
    version,
    after_help = "The stock file is LOGISTICA_DB, else taskq/logistica.db in XDG_DATA_HOME or ~/.local/share; \
                  the workers must use the same."
)]
struct Linea {
    #[command(flatten)]
    comunes: Argumentos<5002>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Linea { comunes } = leer_linea();
    iniciar_registro(comunes.loglevel);
    let preparada = match preparar(&comunes).await {
        Ok(preparada) => preparada,
        Err(error) => {
            eprintln!("error: {error}");
            let del_broker = error.downcast_ref::<Error>();
            return del_broker
                .map_or(MAL_ARRANCADO, |error| error.kind().exit_status())
                .into();
        }
    };
    match atender(&comunes, preparada).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is to be had before the service can start; without it, it was started the wrong way.
async fn preparar(comunes: &Argumentos<5002>) -> Result<Logistica, Box<dyn std::error::Error>> {
    let elegido = ChosenBroker::from(comunes.broker.clone(), |nombre| env::var_os(nombre))?;
    if let Some(aviso) = &elegido.notice {
        eprintln!("{aviso}");
    }
    // What is sent there would be gone with this process.
    if ["memory:", "sqlite::memory:"]
        .iter()
        .any(|m| elegido.url.starts_with(m))
    {
        return Err(
            "a broker in memory lives inside one process, and no worker runs in this one: use a file, such as \
             sqlite:///var/lib/taskq.db, or redis://host:6379/0, with --broker (env TASKQ_BROKER_URL)"
                .into(),
        );
    }
    let cliente = Client::builder()
        .send_deadline(PLAZO)
        .connect(&elegido.url)
        .await?;
    // Nothing else runs yet that this could hold up.
    let almacen = Almacen::abrir(ruta(
        env::var_os("LOGISTICA_DB"),
        env::var_os("XDG_DATA_HOME"),
        env::var_os("HOME"),
    )?)?;
    tracing::info!(stock = %almacen.ruta().display(), "the stock is open");
    tokio::spawn(probar(cliente.clone()));
    Ok(Logistica::nueva(cliente, almacen))
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

async fn atender(
    comunes: &Argumentos<5002>,
    logistica: Logistica,
) -> Result<(), servicio::ErrorServicio> {
    let parada = Parada::por_senales()?;
    let app = aplicacion("logistica", rutas(logistica), &comunes.cors_origin);
    servir(escuchar(&comunes.host, comunes.port).await?, app, &parada).await
}
