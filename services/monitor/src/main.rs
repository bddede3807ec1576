//! The monitor service.

use std::env;
use std::process::ExitCode;

use clap::Parser;
use monitor::{Monitor, rutas};
use monitor_dominio::{Bitacora, ErrorArchivo, Servicios, ruta};
use servicio::{
    Argumentos, Parada, abrir_corredor, aplicacion, decir_error, escuchar, iniciar_registro,
    leer_linea, mal_arrancado, servir,
};

/// Tells over HTTP how the services, the broker, its queues and the workers are
#[derive(Debug, Parser)]
#[command(
    name = "monitor",
    version,
    after_help = "The monitor file is MONITOR_DB, else taskq/monitor.db in XDG_DATA_HOME or ~/.local/share; \
                  the workers must use the same."
)]
struct Linea {
    #[command(flatten)]
    comunes: Argumentos<5001>,

    /// Services to ask, as name=http://host:port with commas between; plain http only
    #[arg(long, env = "SERVICIOS", default_value = "", hide_default_value = true)]
    servicios: Servicios,
}

#[tokio::main]
async fn main() -> ExitCode {
    let linea: Linea = leer_linea();
    iniciar_registro(linea.comunes.loglevel);
    let preparado = match preparar(&linea).await {
        Ok(preparado) => preparado,
        Err(error) => {
            decir_error(&error);
            return salida(&*error);
        }
    };
    match atender(&linea.comunes, preparado).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            decir_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// What is to be had before the service can start.
async fn preparar(linea: &Linea) -> Result<Monitor, Box<dyn std::error::Error>> {
    let broker = linea.comunes.broker.clone();
    let cliente = abrir_corredor(broker, |nombre| env::var_os(nombre)).await?;
    // Nothing else runs yet that this could hold up.
    let bitacora = Bitacora::abrir(ruta(|nombre| env::var_os(nombre))?)?;
    tracing::info!(file = %bitacora.ruta().display(), "the monitor file is open");
    let nombres: Vec<&str> = linea.servicios.nombres().collect();
    tracing::info!(
        services = nombres.join(", "),
        "these are asked when somebody looks"
    );
    Ok(Monitor::nuevo(cliente, bitacora, linea.servicios.clone()))
}

/// 1 where the same start may succeed later: the monitor file is busy or gone, or its disk full or ailing.
fn salida(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    match error.downcast_ref::<ErrorArchivo>() {
        Some(error) if error.is_transient() => ExitCode::FAILURE,
        _ => mal_arrancado(error),
    }
}

async fn atender(
    comunes: &Argumentos<5001>,
    monitor: Monitor,
) -> Result<(), servicio::ErrorServicio> {
    let parada = Parada::por_senales()?;
    let app = aplicacion("monitor", rutas(monitor), &comunes.cors_origin);
    servir(escuchar(&comunes.host, comunes.port).await?, app, &parada).await
}
