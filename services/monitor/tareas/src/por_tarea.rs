//! What the events tell of each task.

use std::collections::BTreeMap;
use std::time::Duration;

use monitor_dominio::Instante;
use serde::Serialize;
use taskq_core::event::{TaskEvent, TaskEventKind};

/// So many tasks are told apart; what others did is counted together.
const TAREAS_MAX: usize = 500;

/// What the events of a span tell, by task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tareas {
    /// When the span begins: where the run before left off, else with the first event that is still kept; `None`: there
    /// was no event.
    pub desde: Option<Instante>,
    /// When it ends.
    pub hasta: Instante,
    /// Events of the span were dropped before they were read: the counts are too low.
    pub perdidos: bool,
    /// False: there are later events; the next run reads on.
    pub completo: bool,
    /// How many events were read.
    pub eventos: u64,
    /// What happened, by the task's name.
    pub por_tarea: BTreeMap<Box<str>, Cuenta>,
    /// What happened to the tasks beyond the first 500 names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otras: Option<Cuenta>,
}

/// What happened to the calls of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cuenta {
    /// Calls that were accepted.
    pub sent: u64,
    /// Attempts that reached a worker.
    pub received: u64,
    /// Attempts whose function began.
    pub started: u64,
    /// Calls that ended as SUCCESS.
    pub succeeded: u64,
    /// Calls that ended as FAILURE.
    pub failed: u64,
    /// Attempts that are followed by another.
    pub retried: u64,
    /// Calls that ended as DEAD, and deliveries that went back to their queue.
    pub rejected: u64,
    /// Calls that ended as REVOKED.
    pub revoked: u64,
    /// How long the functions ran; `None`: none has ended.
    pub runtime_ms: Option<Duraciones>,
}

/// How long functions ran, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Duraciones {
    /// The mean.
    pub media: f64,
    /// The longest.
    pub maxima: f64,
    #[serde(skip)]
    total: Duration,
    #[serde(skip)]
    corridas: u32,
}

impl Cuenta {
    /// Counts one event.
    pub(crate) fn contar(&mut self, evento: &TaskEvent) {
        let cuenta = match evento.kind {
            TaskEventKind::Sent => &mut self.sent,
            TaskEventKind::Received => &mut self.received,
            TaskEventKind::Started => &mut self.started,
            TaskEventKind::Succeeded => &mut self.succeeded,
            TaskEventKind::Failed => &mut self.failed,
            TaskEventKind::Retried => &mut self.retried,
            TaskEventKind::Rejected => &mut self.rejected,
            TaskEventKind::Revoked => &mut self.revoked,
        };
        *cuenta += 1;
        if let Some(tardo) = evento.runtime {
            self.runtime_ms = Some(Duraciones::con(self.runtime_ms, tardo));
        }
    }
}

impl Duraciones {
    fn con(antes: Option<Self>, tardo: Duration) -> Self {
        let ms = |duracion: Duration| (duracion.as_secs_f64() * 10_000.0).round() / 10.0;
        let total = antes
            .map_or(Duration::ZERO, |a| a.total)
            .saturating_add(tardo);
        let corridas = antes.map_or(0, |a| a.corridas).saturating_add(1);
        Self {
            media: ms(total / corridas),
            maxima: antes.map_or(0.0, |a| a.maxima).max(ms(tardo)),
            total,
            corridas,
        }
    }
}

/// Counts what events tell, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct Contador {
    pub(crate) por_tarea: BTreeMap<Box<str>, Cuenta>,
    pub(crate) otras: Option<Cuenta>,
}

impl Contador {
    pub(crate) fn contar(&mut self, evento: &TaskEvent) {
        if let Some(cuenta) = self.por_tarea.get_mut(&evento.task) {
            cuenta.contar(evento);
        } else if self.por_tarea.len() < TAREAS_MAX {
            let cuenta = self.por_tarea.entry(evento.task.clone()).or_default();
            cuenta.contar(evento);
        } else {
            self.otras.get_or_insert_default().contar(evento);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Contador, TAREAS_MAX};
    use std::time::Duration;
    use taskq_core::Message;
    use taskq_core::event::{Fact, TaskEvent, Told};

    fn enviada(tarea: &str) -> TaskEvent {
        let hechos = Told::sent(&Message::new(tarea)).expand(1, &"q".parse().unwrap(), None);
        match hechos.into_iter().next().unwrap().fact {
            Fact::Task(evento) => *evento,
            Fact::Worker(_) => panic!("a task's event"),
        }
    }

    #[test]
    fn names_beyond_the_bound_are_counted_together() {
        let mut contador = Contador::default();
        for n in 0..TAREAS_MAX + 3 {
            contador.contar(&enviada(&format!("t{n}")));
            contador.contar(&enviada("t0"));
        }
        assert_eq!(contador.por_tarea.len(), TAREAS_MAX);
        assert_eq!(contador.por_tarea["t0"].sent, TAREAS_MAX as u64 + 4);
        assert_eq!(contador.otras.unwrap().sent, 3);
    }

    #[test]
    fn the_runtimes_have_a_mean_and_a_longest() {
        let mut contador = Contador::default();
        for ms in [10, 30, 20] {
            let mut evento = enviada("t");
            evento.runtime = Some(Duration::from_millis(ms));
            contador.contar(&evento);
        }
        let duraciones = contador.por_tarea["t"].runtime_ms.unwrap();
        let json = serde_json::to_string(&duraciones).unwrap();
        assert_eq!(json, r#"{"media":20.0,"maxima":30.0}"#);
    }
}
