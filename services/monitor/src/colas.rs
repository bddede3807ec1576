//! `GET /monitor/queue`: what lies in each queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use servicio::{ErrorHttp, en_plazo};
use taskq_client::{Client, Depth, Error, ErrorKind, QueueName};

use crate::monitor::Monitor;

/// So many queues are read at a time.
const A_LA_VEZ: usize = 32;

/// So many queues are told at most.
const COLAS_MAX: usize = 1_000;

#[derive(Serialize)]
pub(crate) struct Colas {
    colas: BTreeMap<QueueName, Cola>,
    /// How many there are beyond those told.
    omitidas: usize,
}

/// One queue, or why it can not be read: a key of a wrong type hides no other queue.
#[derive(Serialize)]
#[serde(untagged)]
enum Cola {
    Leida(Lectura),
    Ilegible { error: String },
}

/// The fields are those of `taskq queues --json`.
#[derive(Serialize)]
struct Lectura {
    waiting: u64,
    delayed: u64,
    in_flight: u64,
    dead: u64,
    /// For how long the oldest of those that wait has existed, in ms.
    oldest_ms: Option<u64>,
    paused: bool,
    /// How many workers take from it.
    workers: usize,
}

pub(crate) async fn consultar(
    State(monitor): State<Arc<Monitor>>,
) -> Result<Json<Colas>, ErrorHttp> {
    let leer = async { Ok(leer(&monitor.cliente).await?) };
    Ok(Json(en_plazo(leer).await?))
}

async fn leer(cliente: &Client) -> Result<Colas, Error> {
    let workers = cliente.workers().await?;
    // A broker that was emptied may not have heard of a worker's queues again yet.
    let servidas = workers.iter().flat_map(|w| w.queues.iter().cloned());
    let todas: BTreeSet<QueueName> = cliente
        .queues()
        .await?
        .into_iter()
        .chain(servidas)
        .collect();
    let omitidas = todas.len().saturating_sub(COLAS_MAX);
    let lecturas = todas.into_iter().take(COLAS_MAX).map(|cola| {
        let toman = workers.iter().filter(|w| w.takes_from(&cola)).count();
        async move {
            let leida = match cliente.depth(&cola).await {
                Ok(fondo) => Cola::Leida(Lectura::nueva(&fondo, toman)),
                Err(error) if error.kind() == ErrorKind::WrongType => Cola::Ilegible {
                    error: error.to_string(),
                },
                Err(error) => return Err(error),
            };
            Ok((cola, leida))
        }
    });
    let colas = stream::iter(lecturas)
        .buffer_unordered(A_LA_VEZ)
        .try_collect()
        .await?;
    Ok(Colas { colas, omitidas })
}

impl Lectura {
    fn nueva(fondo: &Depth, workers: usize) -> Self {
        Self {
            // Those on their last life wait as well.
            waiting: fondo.waiting + fondo.suspects,
            delayed: fondo.delayed,
            in_flight: fondo.in_flight,
            dead: fondo.dead,
            oldest_ms: fondo.oldest_ms,
            paused: fondo.paused.is_some(),
            workers,
        }
    }
}
