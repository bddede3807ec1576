//! Revocation: what shall not run although it was accepted.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::message::Message;

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
            let by_id = message.id.created_second().map(|s| s * 1_000);
            message.enqueued_at.or(by_id).unwrap_or(0)
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
