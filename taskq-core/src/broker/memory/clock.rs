//! The broker's clock: it starts at the wall clock and then runs, or stands still until it is moved.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

pub(super) use crate::clock::ceil_ms;
use crate::clock::now_ms;

#[derive(Debug)]
pub(super) struct Clock {
    origin_ms: u64,
    /// Running clocks follow tokio's time, so that a paused tokio clock pauses the broker too.
    running_since: Option<Instant>,
    moved_ms: AtomicU64,
}

impl Clock {
    pub(super) fn running() -> Self {
        Self {
            running_since: Some(Instant::now()),
            ..Self::still()
        }
    }

    pub(super) fn still() -> Self {
        Self {
            origin_ms: now_ms(),
            running_since: None,
            moved_ms: AtomicU64::new(0),
        }
    }

    /// Never behind the wall clock, or what was sent a moment ago would seem to come later: the origin lost its
    /// microseconds already.
    pub(super) fn now_ms(&self) -> u64 {
        let run = self.running_since.map_or(0, |at| ceil_ms(at.elapsed()));
        self.origin_ms
            .saturating_add(run)
            .saturating_add(self.moved_ms.load(Ordering::SeqCst))
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
