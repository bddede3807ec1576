//! When each loop of the worker turned last.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The last turns.
#[derive(Debug)]
pub(super) struct Turns {
    /// The thread of finishers, teller, sweeper and responder.
    pub(super) calls: Turn,
    /// The heartbeat's loop, on its own thread.
    pub(super) beat: Turn,
    /// The broker answered a heartbeat.
    pub(super) contact: Turn,
    /// The sweeper's.
    pub(super) sweep: Turn,
    /// The teller's calls.
    pub(super) tell: UnderWay,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            calls: Turn::now(),
            beat: Turn::now(),
            contact: Turn::now(),
            sweep: Turn::now(),
            tell: UnderWay::none(),
        }
    }

    /// The loops begin, in touch with the broker.
    pub(super) fn begin(&self) {
        for turn in [&self.beat, &self.contact, &self.sweep] {
            turn.note();
        }
    }
}

/// A moment that moves on.
#[derive(Debug)]
pub(super) struct Turn {
    base: Instant,
    /// Ms since `base`.
    last: AtomicU64,
}

impl Turn {
    fn now() -> Self {
        Self {
            base: Instant::now(),
            last: AtomicU64::new(0),
        }
    }

    /// It is now.
    pub(super) fn note(&self) {
        let now = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// How long ago it was.
    pub(super) fn age(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.base.elapsed().saturating_sub(last)
    }
}

/// Calls of one kind that have no answer yet.
#[derive(Debug)]
pub(super) struct UnderWay {
    n: AtomicUsize,
    began: Turn,
}

impl UnderWay {
    fn none() -> Self {
        Self {
            n: AtomicUsize::new(0),
            began: Turn::now(),
        }
    }

    /// One begins; it is over when the answer is dropped.
    pub(super) fn begins(&self) -> impl Drop {
        struct Ends<'a>(&'a AtomicUsize);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.began.note();
        self.n.fetch_add(1, Ordering::Relaxed);
        Ends(&self.n)
    }

    /// For how long the one that began last is under way; nothing when there is none.
    pub(super) fn age(&self) -> Duration {
        match self.n.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            _ => self.began.age(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn whose last was so long ago.
    fn aged(age: Duration) -> Turn {
        Turn {
            base: Instant::now()
                .checked_sub(age)
                .expect("the machine runs for a minute"),
            last: AtomicU64::new(0),
        }
    }

    #[test]
    fn a_turn_is_as_old_as_its_last_note() {
        let minute = Duration::from_secs(60);
        let turn = aged(minute);
        assert!(turn.age() >= minute);
        turn.note();
        assert!(turn.age() < minute);
    }

    #[test]
    fn a_call_has_an_age_while_it_is_under_way() {
        let minute = Duration::from_secs(60);
        let calls = UnderWay::none();
        {
            let _first = calls.begins();
            {
                let _second = calls.begins();
            }
            assert_eq!(calls.n.load(Ordering::Relaxed), 1);
        }
        assert_eq!(calls.age(), Duration::ZERO);
        let old = UnderWay {
            n: AtomicUsize::new(1),
            began: aged(minute),
        };
        assert!(old.age() >= minute);
    }
}
