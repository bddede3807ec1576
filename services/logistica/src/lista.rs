//! `GET /tareas`: the tasks that workers published.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use servicio::{ErrorHttp, en_plazo};
use taskq_client::{PublishedParam, PublishedTask, QueueName};

use crate::logistica::Logistica;

#[derive(Serialize)]
pub(crate) struct Lista {
    tareas: Vec<Tarea>,
}

#[derive(Serialize)]
struct Tarea {
    nombre: String,
    descripcion: String,
    parametros: Vec<Parametro>,
    cola: QueueName,
    /// Whether a worker that lives offers it.
    viva: bool,
}

#[derive(Serialize)]
struct Parametro {
    nombre: String,
    tipo: String,
    requerido: bool,
}

pub(crate) async fn listar(
    State(logistica): State<Arc<Logistica>>,
) -> Result<Json<Lista>, ErrorHttp> {
    let leer = async { logistica.cliente.tasks().await.map_err(ErrorHttp::from) };
    let publicadas = en_plazo(leer).await?;
    Ok(Json(Lista {
        tareas: publicadas.into_iter().map(Tarea::from).collect(),
    }))
}

impl From<PublishedTask> for Tarea {
    fn from(publicada: PublishedTask) -> Self {
        Self {
            nombre: publicada.name,
            descripcion: publicada.doc,
            parametros: publicada.params.into_iter().map(Parametro::from).collect(),
            cola: publicada.queue,
            viva: publicada.live,
        }
    }
}

impl From<PublishedParam> for Parametro {
    fn from(publicado: PublishedParam) -> Self {
        Self {
            nombre: publicado.name,
            tipo: publicado.kind,
            requerido: publicado.required,
        }
    }
}
