//! The logistics service.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use logistica::{Logistica, PLAZO, rutas};
use logistica_dominio::{Almacen, ruta};
use servicio::{Argumentos, Parada, aplicacion, escuchar, iniciar_registro, servir};
use taskq_client::Client;

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
    let Linea { comunes } = Linea::parse();
    iniciar_registro(comunes.loglevel);
    match atender(&comunes).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn atender(comunes: &Argumentos<5002>) -> Result<(), Box<dyn std::error::Error>> {
    let parada = Parada::por_senales()?;
    let cliente = Client::builder()
        .send_deadline(PLAZO)
        .connect(&comunes.broker)
        .await?;
    // Nothing else runs yet that this could hold up.
    let almacen = Almacen::abrir(ruta(
        env::var_os("LOGISTICA_DB"),
        env::var_os("XDG_DATA_HOME"),
        env::var_os("HOME"),
    )?)?;
    tracing::info!(stock = %almacen.ruta().display(), "the stock is open");
    let rutas = rutas(Logistica::nueva(cliente, almacen));
    let app = aplicacion("logistica", rutas, &comunes.cors_origin);
    servir(escuchar(&comunes.host, comunes.port).await?, app, &parada).await?;
    Ok(())
}
