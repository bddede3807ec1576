//! The tally: what this worker has run since it started, in numbers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use taskq_core::broker::{End, Verdict};

use crate::health::TaskMetrics;

/// Counts runs and verdicts. Only tasks it was made for are counted by name, so it does not grow.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    begun: HashMap<&'static str, AtomicU64>,
    succeeded: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    revoked: AtomicU64,
    /// For whoever looks at metrics.
    metrics: Option<Arc<TaskMetrics>>,
}

impl Tally {
    pub(crate) fn of(tasks: impl IntoIterator<Item = &'static str>) -> Self {
        let begun = tasks.into_iter().map(|name| (name, AtomicU64::new(0)));
        Self {
            begun: begun.collect(),
            ..Self::default()
        }
    }

    /// The same, counting for metrics too.
    pub(crate) fn measured_by(self, metrics: Option<Arc<TaskMetrics>>) -> Self {
        Self { metrics, ..self }
    }

    /// A run of `task` begins.
    pub(crate) fn begins(&self, task: &str) {
        if let Some(count) = self.begun.get(task) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A delivery ends so. What only goes back or waits has no verdict to count.
    pub(crate) fn ends(&self, verdict: &Verdict) {
        if let Some(metrics) = &self.metrics {
            metrics.ends(verdict);
        }
        let count = match &verdict.end {
            End::Done => &self.succeeded,
            End::Dead { .. } => &self.failed,
            End::Retry { .. } => &self.retried,
            End::Revoked(_) => &self.revoked,
            End::Snooze(_) | End::Return => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many runs began, by task; those that never ran are left out.
    pub(crate) fn begun(&self) -> BTreeMap<String, u64> {
        let counts = self.begun.iter().map(|(name, n)| (name, read(n)));
        counts
            .filter(|(_, n)| *n > 0)
            .map(|(name, n)| ((*name).to_owned(), n))
            .collect()
    }

    pub(crate) fn succeeded(&self) -> u64 {
        read(&self.succeeded)
    }

    pub(crate) fn failed(&self) -> u64 {
        read(&self.failed)
    }

    pub(crate) fn retried(&self) -> u64 {
        read(&self.retried)
    }

    pub(crate) fn revoked(&self) -> u64 {
        read(&self.revoked)
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
