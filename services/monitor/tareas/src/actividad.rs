//! Noting what happened.

use monitor_dominio::{Anotada, Nota};
use serde_json::Value;
use taskq_core::{Context, TaskError, clock, task};
use tokio::task::spawn_blocking;

use crate::monitor::{Monitor, REINTENTOS, de_archivo};

/// Anota un evento, con un detalle si lo hay, en el registro que muestra GET /monitor/actividad.
///
/// Each call is noted once, however often it runs. The newest 10,000 notes are kept. An event that is blank or longer than
/// 200 characters, and a detail of more than 8 KiB, fail for good; a busy file is tried again.
#[task(
    name = "monitor.log_activity",
    queue = "monitor",
    max_retries = 5,
    retry = REINTENTOS
)]
pub async fn log_activity(
    context: Context,
    evento: String,
    detalle: Option<Value>,
) -> Result<Anotada, TaskError> {
    let nota = Nota::nueva(evento, detalle).map_err(TaskError::permanent)?;
    let bitacora = context.state::<Monitor>()?.bitacora.clone();
    let (tarea, worker) = (context.id().to_string(), context.worker().to_owned());
    let anotada =
        spawn_blocking(move || bitacora.anotar(&tarea, &worker, clock::now_ms(), &nota)).await?;
    anotada.map_err(de_archivo)
}
