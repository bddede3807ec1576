//! What happened at a queue between two samples of its totals.

use serde::{Deserialize, Serialize};

use crate::instante::Instante;

/// What happened at one queue since it exists, as the broker counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totales {
    /// Messages accepted.
    pub sent: u64,
    /// Ended as SUCCESS.
    pub succeeded: u64,
    /// Ended as FAILURE.
    pub failed: u64,
    /// Attempts that failed and were put off to run again.
    pub retried: u64,
    /// Ended as DEAD.
    pub dead: u64,
    /// Ended as REVOKED.
    pub revoked: u64,
    /// Crashes charged.
    pub crashed: u64,
    /// Messages that came back to the queue.
    pub returned: u64,
}

impl Totales {
    /// What came since `antes`; `None` where a count has gone back: they are not counts of the same queue any more.
    #[must_use]
    pub fn desde(&self, antes: &Self) -> Option<Self> {
        Some(Self {
            sent: self.sent.checked_sub(antes.sent)?,
            succeeded: self.succeeded.checked_sub(antes.succeeded)?,
            failed: self.failed.checked_sub(antes.failed)?,
            retried: self.retried.checked_sub(antes.retried)?,
            dead: self.dead.checked_sub(antes.dead)?,
            revoked: self.revoked.checked_sub(antes.revoked)?,
            crashed: self.crashed.checked_sub(antes.crashed)?,
            returned: self.returned.checked_sub(antes.returned)?,
        })
    }
}

/// What happened at one queue between two samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetricaCola {
    /// When the earlier sample was taken; `None`: this is the first one.
    pub desde: Option<Instante>,
    /// When this one was taken.
    pub hasta: Instante,
    /// The totals have gone back since the earlier sample: the broker was emptied, or is another one.
    pub reinicio: bool,
    /// What happened in between; `None` with a first sample, and after a reset.
    pub diferencia: Option<Totales>,
    /// What happened since the queue exists.
    pub totales: Totales,
}

impl MetricaCola {
    /// Compares `totales`, taken at `hasta`, with an earlier sample.
    #[must_use]
    pub fn nueva(totales: Totales, hasta: Instante, antes: Option<&(Instante, Totales)>) -> Self {
        let diferencia = antes.and_then(|(_, antes)| totales.desde(antes));
        Self {
            desde: antes.map(|(desde, _)| *desde),
            hasta,
            reinicio: antes.is_some() && diferencia.is_none(),
            diferencia,
            totales,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MetricaCola, Totales};
    use crate::instante::Instante;

    const HASTA: Instante = Instante(2_000);

    fn totales(sent: u64, failed: u64) -> Totales {
        Totales {
            sent,
            failed,
            ..Totales::default()
        }
    }

    #[test]
    fn what_came_since_the_earlier_sample() {
        let antes = (Instante(1_000), totales(3, 1));
        let metrica = MetricaCola::nueva(totales(10, 1), HASTA, Some(&antes));
        assert_eq!(metrica.diferencia, Some(totales(7, 0)));
        assert_eq!(metrica.desde, Some(Instante(1_000)));
        assert!(!metrica.reinicio);
    }

    #[test]
    fn a_first_sample_has_nothing_to_be_compared_with() {
        let metrica = MetricaCola::nueva(totales(10, 1), HASTA, None);
        assert_eq!((metrica.desde, metrica.diferencia), (None, None));
        assert!(!metrica.reinicio);
    }

    #[test]
    fn totals_that_went_back_are_a_reset_and_no_negative_number() {
        let antes = (Instante(1_000), totales(3, 1));
        // One count is enough, whatever the others say.
        let metrica = MetricaCola::nueva(totales(900, 0), HASTA, Some(&antes));
        assert_eq!(metrica.diferencia, None);
        assert!(metrica.reinicio);
    }
}
