//! Trouble with the broker: told once when it begins and once when it is over, with a pause between tries.

use std::fmt;
use std::time::{Duration, Instant};

/// One kind of call that fails again and again.
#[derive(Debug)]
pub(crate) struct Trouble {
    what: &'static str,
    again_after: Option<Duration>,
    tries: u32,
    since: Option<Instant>,
    told: Option<Instant>,
}

impl Trouble {
    /// Says `what` failed when it begins, and that it works again when it is over.
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            again_after: None,
            tries: 0,
            since: None,
            told: None,
        }
    }

    /// Also says so again after each `interval` of it.
    pub(crate) fn repeated_every(mut self, interval: Duration) -> Self {
        self.again_after = Some(interval);
        self
    }

    /// It failed; answers how long to wait before the next try: at most 1 s, with jitter.
    pub(crate) fn failed(&mut self, error: &dyn fmt::Display) -> Duration {
        let now = Instant::now();
        self.since.get_or_insert(now);
        let due = match (self.told, self.again_after) {
            (None, _) => true,
            (Some(told), Some(interval)) => now - told >= interval,
            (Some(_), None) => false,
        };
        if due {
            self.told = Some(now);
            tracing::warn!("{} failed: {error}; trying again until it works", self.what);
        }
        self.tries = self.tries.saturating_add(1);
        let ceiling = Duration::from_millis(50)
            .saturating_mul(1 << self.tries.min(5))
            .min(Duration::from_secs(1));
        ceiling / 2 + (ceiling / 2).mul_f64(rand::random::<f64>())
    }

    /// It worked.
    pub(crate) fn over(&mut self) {
        if let Some(since) = self.since.take() {
            tracing::info!(
                "{} works again after {:.1} s",
                self.what,
                since.elapsed().as_secs_f64()
            );
            (self.tries, self.told) = (0, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_never_longer_than_a_second_nor_none() {
        let mut trouble = Trouble::new("test");
        for _ in 0..100 {
            let pause = trouble.failed(&"down");
            assert!(pause >= Duration::from_millis(50) && pause <= Duration::from_secs(1));
        }
        trouble.over();
        assert!(trouble.failed(&"down") <= Duration::from_millis(100));
    }
}
