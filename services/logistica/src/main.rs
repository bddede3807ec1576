//! The logistics service.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use logistica::{Logistica, rutas};
use logistica_dominio::{Almacen, AlmacenError, ruta};
use servicio::{
    Argumentos, Parada, abrir_corredor, aplicacion, decir_error, escuchar, iniciar_registro,
    leer_linea, mal_arrancado, servir,
};

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
            decir_error(&error);
            return salida(&*error);
        }
    };
    match atender(&comunes, preparada).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            decir_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// What is to be had before the service can start.
async fn preparar(comunes: &Argumentos<5002>) -> Result<Logistica, Box<dyn std::error::Error>> {
    let cliente = abrir_corredor(comunes.broker.clone(), |nombre| env::var_os(nombre)).await?;
    // Nothing else runs yet that this could hold up.
    let almacen = Almacen::abrir(ruta(|nombre| env::var_os(nombre))?)?;
    tracing::info!(stock = %almacen.ruta().display(), "the stock is open");
    Ok(Logistica::nueva(cliente, almacen))
}

/// 1 where the same start may succeed later: the stock file is busy or gone, or its disk full or ailing.
fn salida(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    match error.downcast_ref::<AlmacenError>() {
        Some(error) if error.is_transient() => ExitCode::FAILURE,
        _ => mal_arrancado(error),
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
