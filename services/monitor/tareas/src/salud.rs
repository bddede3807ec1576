//! Asking how all are.

use monitor_dominio::{Corredor, Estado};
use taskq_core::broker::Inspect;
use taskq_core::{Context, TaskError, task};

use crate::monitor::Monitor;

/// Pregunta a cada servicio y al broker cómo están; de cada uno dice los milisegundos que tardó, o qué le pasa.
///
/// Each has 2 s. That one is down is a result, not a failure of the task.
#[task(name = "monitor.health_check", queue = "monitor")]
pub async fn health_check(context: Context) -> Result<Estado, TaskError> {
    let monitor = context.state::<Monitor>()?;
    let corredor = context.inspect()?;
    Ok(Estado::preguntar(&monitor.servicios, preguntar(&*corredor)).await)
}

async fn preguntar(corredor: &dyn Inspect) -> Result<Corredor, String> {
    let servidor = corredor.server().await.map_err(|error| error.to_string())?;
    Ok(Corredor {
        nombre: servidor.name,
        version: servidor.version,
        avisos: servidor.warnings,
        ida_y_vuelta: Some(servidor.round_trip),
    })
}
