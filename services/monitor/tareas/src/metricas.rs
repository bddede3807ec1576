//! How much happened since the run before.

use std::collections::{BTreeMap, BTreeSet};

use monitor_dominio::{Bitacora, Corrida, Instante, MetricaCola, Muestra, Totales};
use serde::Serialize;
use taskq_core::broker::Inspect;
use taskq_core::event::EventPosition;
use taskq_core::{Context, Error, ErrorKind, QueueName, TaskError, clock, task};
use tokio::task::spawn_blocking;

use crate::lectura::{Lectura, en_plazo, leer};
use crate::monitor::{Monitor, REINTENTOS, de_archivo, de_corredor};
use crate::por_tarea::Tareas;

/// So many queues are sampled at most.
const COLAS_MAX: usize = 1_000;

/// How much happened since the run before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metricas {
    /// The earliest sample that a queue is compared with; `None`: there is no earlier one.
    pub desde: Option<Instante>,
    /// When the totals had been read.
    pub hasta: Instante,
    /// What happened at each queue, by the broker's totals: exact.
    pub colas: BTreeMap<String, MetricaCola>,
    /// How many queues there are beyond those.
    pub colas_omitidas: usize,
    /// Queues that can not be read, and why.
    pub colas_ilegibles: BTreeMap<String, String>,
    /// What happened to each task, by the events, as far as they reach.
    pub tareas: Tareas,
}

/// Cuenta lo que pasó desde la vez anterior: en cada cola por los totales del broker, y de cada tarea por sus eventos, hasta donde alcancen.
///
/// `desde` and `hasta` are the span. Totals that went back are told as `reinicio`, and have no difference. A repeat of a run
/// is compared with the newest other run that had ended when it began again, never with itself. Of the events it reads at
/// most 200,000 and for 10 s, and says whether that was all, and whether some had been dropped before.
#[task(
    name = "monitor.generate_metrics",
    queue = "monitor",
    max_retries = 5,
    retry = REINTENTOS
)]
pub async fn generate_metrics(context: Context) -> Result<Metricas, TaskError> {
    let bitacora = context.state::<Monitor>()?.bitacora.clone();
    let corredor = context.inspect()?;
    let tarea = context.id().to_string();
    let inicio = Instante(clock::now_ms());
    let antes = antes(bitacora.clone(), tarea.clone(), inicio).await?;

    // A queue that is gone is told once: from then on its newest sample is of nothing.
    let vivas = antes
        .colas
        .iter()
        .filter(|(_, antes)| antes.1 != Totales::default());
    let nombres = vivas.map(|(cola, _)| cola.as_str());
    let muestreo = muestrear(&*corredor, nombres).await.map_err(de_corredor)?;
    let fin = Instante(clock::now_ms());
    let sigue = || !context.cancellation().is_cancelled();
    let lectura = leer(&*corredor, posicion(&antes), sigue).await;
    let Lectura { tareas, posicion } = lectura.map_err(de_corredor)?;

    let corrida = Corrida {
        tarea,
        inicio,
        fin,
        posicion: serde_json::to_string(&posicion).map_err(TaskError::permanent)?,
        leidos_hasta: tareas.hasta,
    };
    let totales = muestreo.totales.clone();
    let guardada = spawn_blocking(move || bitacora.guardar(&corrida, &totales)).await?;
    guardada.map_err(de_archivo)?;
    Ok(muestreo.comparar(&antes, fin, tareas))
}

async fn antes(bitacora: Bitacora, tarea: String, inicio: Instante) -> Result<Muestra, TaskError> {
    let leida = spawn_blocking(move || bitacora.muestra_antes(&tarea, inicio)).await?;
    leida.map_err(de_archivo)
}

/// Where the run before left the events; a position that can not be read is none.
fn posicion(antes: &Muestra) -> Option<(EventPosition, Instante)> {
    let (posicion, hasta) = antes.eventos.as_ref()?;
    Some((serde_json::from_str(posicion).ok()?, *hasta))
}

/// The totals of the queues.
struct Muestreo {
    totales: BTreeMap<String, Totales>,
    omitidas: usize,
    ilegibles: BTreeMap<String, String>,
}

/// Reads the totals of all queues, and of those that were sampled before: one that is gone was reset.
async fn muestrear<'a>(
    corredor: &dyn Inspect,
    antes: impl Iterator<Item = &'a str>,
) -> Result<Muestreo, Error> {
    let conocidas = antes.filter_map(|nombre| QueueName::new(nombre).ok());
    let listadas = en_plazo(corredor.queues()).await?;
    let todas: BTreeSet<QueueName> = listadas.into_iter().chain(conocidas).collect();
    let mut muestreo = Muestreo {
        totales: BTreeMap::new(),
        omitidas: todas.len().saturating_sub(COLAS_MAX),
        ilegibles: BTreeMap::new(),
    };
    for cola in todas.into_iter().take(COLAS_MAX) {
        match en_plazo(corredor.totals(&cola)).await {
            Ok(t) => {
                let totales = Totales {
                    sent: t.sent,
                    succeeded: t.succeeded,
                    failed: t.failed,
                    retried: t.retried,
                    dead: t.dead,
                    revoked: t.revoked,
                    crashed: t.crashed,
                    returned: t.returned,
                };
                muestreo.totales.insert(cola.to_string(), totales);
            }
            // A key of a wrong type hides no other queue.
            Err(error) if error.kind() == ErrorKind::WrongType => {
                let motivo = error.to_string();
                muestreo.ilegibles.insert(cola.to_string(), motivo);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(muestreo)
}

impl Muestreo {
    fn comparar(self, antes: &Muestra, hasta: Instante, tareas: Tareas) -> Metricas {
        let comparada = |(cola, totales): (String, Totales)| {
            let metrica = MetricaCola::nueva(totales, hasta, antes.colas.get(&cola));
            (cola, metrica)
        };
        let colas: BTreeMap<_, _> = self.totales.into_iter().map(comparada).collect();
        Metricas {
            desde: colas.values().filter_map(|c| c.desde).min(),
            hasta,
            colas,
            colas_omitidas: self.omitidas,
            colas_ilegibles: self.ilegibles,
            tareas,
        }
    }
}
