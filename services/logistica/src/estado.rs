//! `GET /tareas/{id}`: what became of a task.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use servicio::{ErrorHttp, Trozo, en_plazo};
use taskq_client::{Failure, Progress, QueueName, Record, State as Estado, TaskId};

use crate::logistica::Logistica;

#[derive(Serialize)]
pub(crate) struct Tarea {
    task_id: TaskId,
    tarea: String,
    cola: QueueName,
    estado: Estado,
    resultado: Option<Box<RawValue>>,
    error: Option<ErrorTarea>,
    attempts: u32,
    crashes: u32,
    worker: Option<String>,
    creada: Option<String>,
    iniciada: Option<String>,
    terminada: Option<String>,
    progreso: Option<Progreso>,
}

/// How far its last run has got; a `total` of 0 is not known.
#[derive(Serialize)]
struct Progreso {
    hecho: u64,
    total: u64,
    nota: Option<String>,
}

#[derive(Serialize)]
struct ErrorTarea {
    tipo: String,
    mensaje: String,
}

pub(crate) async fn consultar(
    State(logistica): State<Arc<Logistica>>,
    Trozo(texto): Trozo,
) -> Result<Json<Tarea>, ErrorHttp> {
    let id: TaskId = texto.parse()?;
    let llamada = logistica.cliente.handle::<()>(id);
    let registro = en_plazo(async { llamada.record().await.map_err(ErrorHttp::from) }).await?;
    let registro = registro
        .ok_or_else(|| ErrorHttp::no_encontrado(format!("unknown or expired task id {id}")))?;
    Ok(Json(registro.into()))
}

impl From<Record> for Tarea {
    fn from(registro: Record) -> Self {
        Self {
            task_id: registro.id,
            tarea: registro.task,
            cola: registro.queue,
            estado: registro.state,
            resultado: registro.result,
            error: registro.error.map(ErrorTarea::from),
            attempts: registro.attempts,
            crashes: registro.crashes,
            worker: registro.worker,
            creada: registro.created.and_then(rfc3339),
            iniciada: registro.started.and_then(rfc3339),
            terminada: registro.finished.and_then(rfc3339),
            progreso: registro.progress.map(Progreso::from),
        }
    }
}

impl From<Progress> for Progreso {
    fn from(progreso: Progress) -> Self {
        Self {
            hecho: progreso.done,
            total: progreso.total,
            nota: progreso.note,
        }
    }
}

impl From<Failure> for ErrorTarea {
    fn from(fallo: Failure) -> Self {
        Self {
            tipo: fallo.kind,
            mensaje: fallo.message,
        }
    }
}

/// An instant in ms since the epoch as RFC 3339 in UTC; none for one beyond the year 9999.
fn rfc3339(ms: u64) -> Option<String> {
    let ms = i64::try_from(ms).ok()?;
    let instante = Timestamp::from_millisecond(ms).ok()?;
    Some(format!("{instante:.3}"))
}
