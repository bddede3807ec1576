//! What the worker of this program has run: a middleware that counts and measures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use taskq_worker::middleware::{Call, Middleware, Next};
use taskq_worker::task::TaskResult;
use taskq_worker::{Outcome, async_trait};

/// The attempts of all tasks.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<BTreeMap<&'static str, Attempts>>);

/// The attempts of one task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempts {
    /// Those that were the last of their call.
    pub(crate) ended: u64,
    /// Those that are tried again.
    pub(crate) retried: u64,
    /// How long each took.
    pub(crate) took: Vec<Duration>,
    /// When the last one ended.
    pub(crate) last: Option<Instant>,
}

impl Seen {
    pub(crate) fn of(&self, task: &str) -> Attempts {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(task).cloned().unwrap_or_default()
    }

    /// How many calls have ended, and how many attempts are tried again; cheaper than [`of`](Self::of).
    pub(crate) fn counts(&self, task: &str) -> (u64, u64) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(task)
            .map_or((0, 0), |attempts| (attempts.ended, attempts.retried))
    }

    pub(crate) fn ended(&self) -> u64 {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.values().map(|attempts| attempts.ended).sum()
    }
}

/// The header that says which run a call is of.
pub(crate) const RUN: &str = "quickstart.run";

/// Looks at each attempt of the calls of one run. Another's may come along: what a run held that was killed comes back later.
#[derive(Debug)]
pub(crate) struct Watching {
    pub(crate) run: String,
    pub(crate) seen: Arc<Seen>,
}

#[async_trait]
impl Middleware for Watching {
    async fn around(&self, call: &Call, next: Next<'_>) -> TaskResult {
        if call.message().headers.get(RUN) != Some(&self.run) {
            return next.run().await;
        }
        let began = Instant::now();
        let outcome = next.run().await;
        let mut seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = seen.entry(call.task().name).or_default();
        match outcome {
            Outcome::Retry { .. } | Outcome::Snooze(_) => attempts.retried += 1,
            _ => attempts.ended += 1,
        }
        attempts.took.push(began.elapsed());
        attempts.last = Some(Instant::now());
        drop(seen);
        outcome
    }
}
