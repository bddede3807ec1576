//! The tasks that are measured: they do nothing but tell the tally.

use taskq_core::task;

use crate::tally;

/// The queue of them all.
pub(crate) const QUEUE: &str = "bench";

/// Does nothing.
#[task(name = "bench.noop", queue = "bench")]
pub(crate) async fn noop(index: u32) {
    tally::ran(index);
}

/// Notes how long after `sent_ns` (since the epoch, by the clock of this machine) it began.
#[task(name = "bench.probe", queue = "bench")]
pub(crate) async fn probe(index: u32, sent_ns: u64) {
    tally::picked_up(index, sent_ns);
}
