//! Why a worker ended other than by a warm stop.

use std::time::Duration;

use taskq_core::{Error, ErrorKind, TaskId};

/// Why [`Worker::run`](crate::Worker::run) gave up.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Another worker goes by the same node name and lives: it has renewed its registration while this one waited for it
    /// to lapse.
    #[error(
        "the node name {node} is taken: pid {pid} on {host} renewed it meanwhile; stop that worker or start this one with another -n/--hostname"
    )]
    NameTaken {
        /// The name both claim.
        node: String,
        /// The other's machine.
        host: String,
        /// The other's process there.
        pid: u32,
    },
    /// The broker answered what no repeat mends.
    #[error("{0}")]
    Broker(#[from] Error),
    /// A hook of the start has failed: nothing was claimed.
    #[error("the worker does not start: {0}")]
    Start(String),
    /// A part without which the worker can not go on has ended: a bug. What the worker held was given back as far as
    /// that was possible.
    #[error("the {duty} ended: {reason}; the worker stopped, start it again")]
    Died {
        /// The part.
        duty: &'static str,
        /// Its last words.
        reason: String,
    },
    /// A run that was cut off did not end. Its slot was given to others meanwhile, but it holds its thread: nothing short
    /// of the end of the process ends it. What the worker held beside it was stored or given back.
    #[error(
        "{task} ({id}) goes on {after:?} after it was cut off ({why}): the worker stopped, start it again; a function that can run that long has to await, or to ask its context now and then"
    )]
    Stuck {
        /// The task's name.
        task: String,
        /// The call.
        id: TaskId,
        /// Why it was cut off.
        why: String,
        /// How long it had to end since then: the grace.
        after: Duration,
    },
    /// The stop could not tell the broker how these deliveries ended: they run again once the lease has lapsed.
    #[error(
        "the broker was not reachable during the stop: {0} deliveries end with the lease and run again"
    )]
    Unsettled(usize),
}

impl RunError {
    /// True when the worker was started the wrong way: the same start fails again.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NameTaken { .. } => true,
            Self::Broker(e) => matches!(e.kind(), ErrorKind::Invalid | ErrorKind::Unsupported),
            Self::Start(_) | Self::Died { .. } | Self::Stuck { .. } | Self::Unsettled(_) => false,
        }
    }
}
