//! The broker's clock: it starts at the wall clock and then runs, or stands still until it is moved.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

pub(super) use crate::clock::ceil_ms;
use crate::clock::{now, whole_ms};

#[derive(Debug)]
pub(super) struct Clock {
    /// Since the epoch; finer than a millisecond, or it would lie behind the wall clock by what it lost.
    origin: Duration,
    /// Running clocks follow tokio's time, so that a paused tokio clock pauses the broker too.
    running_since: Option<Instant>,
    moved_ms: AtomicU64,
}

impl Clock {
    pub(super) fn running() -> Self {
        // Read before the origin: read behind it, this clock would lie behind the wall clock by the time between.
        let running_since = Some(Instant::now());
        Self {
            running_since,
            ..Self::still()
        }
    }

    pub(super) fn still() -> Self {
        Self {
            origin: now(),
            running_since: None,
            moved_ms: AtomicU64::new(0),
        }
    }

    /// Unless the wall clock was set since, this is what it says, and never less: what was sent a moment ago by that clock
    /// was sent before now by this one. A wall clock that is set is not followed.
    pub(super) fn now_ms(&self) -> u64 {
        let run = self.running_since.map_or(Duration::ZERO, |at| at.elapsed());
        whole_ms(self.origin + run).saturating_add(self.moved_ms.load(Ordering::SeqCst))
    }

    pub(super) fn advance(&self, by: Duration) {
        self.moved_ms.fetch_add(ceil_ms(by), Ordering::SeqCst);
    }

    /// How long until `due_ms` comes by itself; never, if the clock stands still.
    pub(super) fn until(&self, due_ms: u64) -> Option<Duration> {
        self.running_since
            .map(|_| Duration::from_millis(due_ms.saturating_sub(self.now_ms())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_turns_to_the_next_millisecond_when_the_wall_clock_does() {
        let clock = Clock {
            origin: Duration::from_micros(5_000_900),
            ..Clock::running()
        };
        tokio::time::advance(Duration::from_micros(50)).await;
        assert_eq!(clock.now_ms(), 5_000);
        tokio::time::advance(Duration::from_micros(50)).await;
        assert_eq!(clock.now_ms(), 5_001);
    }
}
