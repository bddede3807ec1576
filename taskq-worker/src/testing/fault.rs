//! Faults that a test puts in the way of its tasks.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use super::tap::lock;

/// What goes wrong with the next delivery, or the next send: see [`TestBroker::inject`](super::TestBroker::inject).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The worker's process dies when it has taken the message, before the task begins.
    CrashAfterClaim,
    /// The worker's process dies when the task has run for this long, unless it has ended by then. Async code is dropped;
    /// a plain function can not be stopped and runs to its end, as a thread of a test must.
    CrashDuring(Duration),
    /// The worker's process dies when the task has run, before the broker is told: what it did has been done.
    CrashBeforeFinish,
    /// Another worker gets the same message while this one still runs it, as when a lease ran out unnoticed. Both run,
    /// beside each other; the verdict of the second counts. A call that runs at most once (`on_crash = "dead"`) is never
    /// delivered twice: the fault panics.
    DuplicateDelivery,
    /// A send is accepted, but its sender is told that the broker can not be reached. A sender that tries again under the
    /// same idempotency key sends once, one that does not sends twice.
    LostReply,
}

/// The faults of deliveries that are to come, in their order.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<VecDeque<(Option<String>, Fault)>>);

impl Faults {
    pub(super) fn put(&self, task: Option<&str>, fault: Fault) {
        lock(&self.0).push_back((task.map(str::to_owned), fault));
    }

    /// The first one that is meant for a delivery of `task`.
    pub(super) fn take(&self, task: &str) -> Option<Fault> {
        let mut faults = lock(&self.0);
        let meant = |(name, _): &(Option<String>, Fault)| name.as_deref().is_none_or(|n| n == task);
        let place = faults.iter().position(meant)?;
        Some(faults.remove(place)?.1)
    }
}
