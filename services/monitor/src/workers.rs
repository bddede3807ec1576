//! `GET /monitor/workers`: the workers that run now.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use monitor_dominio::Instante;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use servicio::{ErrorHttp, en_plazo};
use taskq_client::{Answers, Client, Command, Error, QueueName, Stats, WorkerCard};

use crate::monitor::Monitor;

/// How long workers have to answer; what they do not is told from their registration.
const ESPERA: Duration = Duration::from_secs(1);

#[derive(Serialize)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
}

#[derive(Serialize)]
struct Worker {
    node: String,
    host: String,
    pid: u32,
    queues: Vec<QueueName>,
    slots: usize,
    /// How many tasks it runs.
    running: usize,
    /// How many runs it has ended since it started.
    processed: u64,
    /// How many calls of those ended as FAILURE or DEAD; `None`: it has not answered.
    failed: Option<u64>,
    /// When it started.
    since: Instante,
    /// When it last renewed its registration, by its own clock; `None`: it does not tell.
    last_beat: Option<Instante>,
    /// It has answered just now; if not, `running` and `processed` are those of its last beat.
    answers: bool,
    /// It has begun to stop, and takes nothing more.
    stopping: bool,
}

pub(crate) async fn consultar(
    State(monitor): State<Arc<Monitor>>,
) -> Result<Json<Workers>, ErrorHttp> {
    let leer = async { Ok(leer(&monitor.cliente).await?) };
    Ok(Json(en_plazo(leer).await?))
}

async fn leer(cliente: &Client) -> Result<Workers, Error> {
    let tarjetas = cliente.workers().await?;
    let respuestas = match tarjetas.is_empty() {
        true => Answers::default(),
        false => cliente.ask(Command::Stats, &[], ESPERA).await?,
    };
    let worker = |tarjeta: WorkerCard| {
        let respuesta = respuestas.replies.get(&tarjeta.node);
        Worker::nuevo(tarjeta, respuesta)
    };
    Ok(Workers {
        workers: tarjetas.into_iter().map(worker).collect(),
    })
}

impl Worker {
    fn nuevo(tarjeta: WorkerCard, respuesta: Option<&Value>) -> Self {
        // One of another version may say what is not understood here.
        let cuenta = respuesta.and_then(|r| Stats::deserialize(r).ok());
        let running = cuenta.as_ref().map(|c| c.pool.running);
        Self {
            node: tarjeta.node,
            host: tarjeta.host,
            pid: tarjeta.pid,
            queues: tarjeta.queues,
            slots: tarjeta.slots,
            running: running.unwrap_or(tarjeta.active),
            processed: cuenta.as_ref().map_or(tarjeta.processed, |c| c.processed),
            failed: cuenta.map(|c| c.failed),
            since: Instante(tarjeta.started),
            last_beat: (tarjeta.renewed > 0).then_some(Instante(tarjeta.renewed)),
            answers: respuesta.is_some(),
            stopping: tarjeta.stopping,
        }
    }
}
