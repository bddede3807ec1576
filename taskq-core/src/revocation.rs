//! Revocation: what shall not run although it was accepted.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id::TaskId;
use crate::message::{MAX_TASK_BYTES, Message};
use crate::outcome::Failure;

/// What is revoked at a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// One call, whenever it was sent.
    Id(TaskId),
    /// The calls of a task that were sent before.
    Task(String),
    /// The calls with such a header that were sent before.
    Header {
        /// The header's name.
        name: String,
        /// What it says.
        value: String,
    },
}

/// Why a message ends as REVOKED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevokeCause {
    /// Its time was over before it ran.
    Expired,
    /// It was revoked before it ran.
    Requested,
    /// It was revoked while it ran, and cut off.
    Terminated,
    /// Its queue was purged.
    Purged,
}

impl RevokeCause {
    /// What the record of a task that ended so says of it; of one that expired nothing, its `expires` says it.
    #[must_use]
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Expired => None,
            Self::Requested => Some(Failure::new("Revoked", "it was revoked before it ran")),
            Self::Terminated => Some(Failure::new(
                "Terminated",
                "it was revoked while it ran, and cut off",
            )),
            Self::Purged => Some(Failure::new("Purged", "its queue was purged before it ran")),
        }
    }
}

/// What a header may take, name and value together: bytes.
const MAX_HEADER: usize = 1_024;

impl Revocation {
    /// Whether it can be kept.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a task's name that no task can have, and for a header of
    /// more than 1 KiB.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Id(_) => Ok(()),
            Self::Task(task) if (1..=MAX_TASK_BYTES).contains(&task.len()) => Ok(()),
            Self::Task(task) => Err(Error::invalid(format!(
                "no task has a name of {} bytes: revoke by a name of 1 to {MAX_TASK_BYTES}",
                task.len()
            ))),
            Self::Header { name, value } if name.len() + value.len() <= MAX_HEADER => Ok(()),
            Self::Header { name, value } => Err(Error::invalid(format!(
                "the header has {} bytes: revoke by one of {MAX_HEADER} at most, name and value together",
                name.len() + value.len()
            ))),
        }
    }
}

/// All that is revoked at one queue.
///
/// ```
/// use taskq_core::Message;
/// use taskq_core::revocation::{Revocation, Revocations};
///
/// let message = Message::new("math.add");
/// let mut revoked = Revocations::default();
/// assert!(!revoked.covers(&message));
/// revoked.add(Revocation::Id(message.id), 0);
/// assert!(revoked.covers(&message));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revocations {
    ids: HashSet<TaskId>,
    told: HashSet<TaskId>,
    /// Tasks and headers, and when they were revoked (ms since the epoch, the broker's clock).
    groups: Vec<(Revocation, u64)>,
}

impl Revocations {
    /// Adds one that was made at `at` (ms since the epoch, the broker's clock).
    pub fn add(&mut self, what: Revocation, at: u64) {
        match what {
            Revocation::Id(id) => {
                self.ids.insert(id);
            }
            group => self.groups.push((group, at)),
        }
    }

    /// Notes that the record of `id` says REVOKED already, and that this was told.
    pub fn add_told(&mut self, id: TaskId) {
        self.told.insert(id);
    }

    /// Nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.groups.is_empty()
    }

    /// Whether `message` shall not run.
    ///
    /// When a message was sent is told by its `enqueued_at`, else by its id; one that tells nothing counts as sent before.
    #[must_use]
    pub fn covers(&self, message: &Message) -> bool {
        if self.ids.contains(&message.id) {
            return true;
        }
        let sent = || {
            let by_id = || message.id.created_ms();
            message.enqueued_at.or_else(by_id).unwrap_or(0)
        };
        self.groups.iter().any(|(group, at)| {
            let named = match group {
                Revocation::Id(_) => false,
                Revocation::Task(task) => message.task == *task,
                Revocation::Header { name, value } => message.headers.get(name) == Some(value),
            };
            named && sent() <= *at
        })
    }

    /// Whether the end of `id` was told before it was claimed.
    #[must_use]
    pub fn was_told(&self, id: TaskId) -> bool {
        self.told.contains(&id)
    }

    /// All of them: ids, then tasks and headers.
    pub fn iter(&self) -> impl Iterator<Item = Revocation> {
        let mut ids: Vec<TaskId> = self.ids.iter().copied().collect();
        ids.sort_unstable();
        let groups = self.groups.iter().map(|(group, _)| group.clone());
        ids.into_iter().map(Revocation::Id).chain(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_by_its_id_alone_when_it_was_sent_is_judged_to_the_millisecond() {
        let message = Message::new("t");
        let sent = message.id.created_ms().unwrap();
        for (at, covered) in [(sent - 1, false), (sent, true)] {
            let mut revoked = Revocations::default();
            revoked.add(Revocation::Task("t".into()), at);
            assert_eq!(revoked.covers(&message), covered, "{at}");
        }
    }
}
