//! The logistics service.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use logistica::{Logistica, rutas};
use logistica_dominio::{Almacen, ruta};
use servicio::{
    Argumentos, Parada, abrir_corredor, aplicacion, escuchar, iniciar_registro, leer_linea, servir,
};

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
            return ExitCode::from(MAL_ARRANCADO);
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
    let cliente = abrir_corredor(comunes.broker.clone(), |nombre| env::var_os(nombre)).await?;
    // Nothing else runs yet that this could hold up.
    let almacen = Almacen::abrir(ruta(|nombre| env::var_os(nombre))?)?;
    tracing::info!(stock = %almacen.ruta().display(), "the stock is open");
    Ok(Logistica::nueva(cliente, almacen))
}

async fn atender(
    comunes: &Argumentos<5002>,
    logistica: Logistica,
) -> Result<(), servicio::ErrorServicio> {
    let parada = Parada::por_senales()?;
    let app = aplicacion("logistica", rutas(logistica), &comunes.cors_origin);
    servir(escuchar(&comunes.host, comunes.port).await?, app, &parada).await
}
