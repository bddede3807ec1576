//! The record: what is stored of a task under its id.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::{QueueName, TaskId};
use crate::outcome::Failure;
use crate::state::State;

/// How far a run has got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// So much is done.
    pub done: u64,
    /// Of so much; 0: not known.
    pub total: u64,
    /// What it is at; at most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When the task said so (ms since the epoch, the worker's clock).
    pub at: u64,
}

/// The stored state and result of one task.
///
/// On the wire it is a JSON object whose first field is `state` (scripts look there), without the id, which is its key.
/// Times are milliseconds since the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Where the task stands. First on the wire.
    pub state: State,
    /// The id; not part of the stored form.
    #[serde(skip, default = "unknown_id")]
    pub id: TaskId,
    /// The task's name; empty when the message could not be decoded.
    pub task: String,
    /// The queue it was sent to.
    pub queue: QueueName,
    /// The result, as the function returned it; only with SUCCESS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Which attempt it has reached: 0 before the function first ran. A run that a crash cut short is counted in
    /// `crashes`, not here.
    #[serde(default)]
    pub attempts: u32,
    /// How often its process died while it held the task.
    #[serde(default)]
    pub crashes: u32,
    /// The worker (node name) that wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// When it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// When its last run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// When it reached its final state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<u64>,
    /// When it is due to run (again), with SCHEDULED and RETRY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<u64>,
    /// It does not run after this time; read then, it is REVOKED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// How far its last run has got, if the task tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl Record {
    /// A record in `state` with nothing else known.
    #[must_use]
    pub fn new(id: TaskId, task: &str, queue: &QueueName, state: State) -> Self {
        Self {
            state,
            id,
            task: task.to_owned(),
            queue: queue.clone(),
            result: None,
            error: None,
            attempts: 0,
            crashes: 0,
            worker: None,
            created: id.created_second().map(|s| s * 1000),
            started: None,
            finished: None,
            due: None,
            expires: None,
            progress: None,
        }
    }

    /// The record as it reads at `now` (ms, the broker's clock): what is past its time and not final is REVOKED.
    #[must_use]
    pub(crate) fn read_at(mut self, now: u64) -> Self {
        if let Some(expires) = self.expires.filter(|at| *at < now)
            && !self.state.is_final()
        {
            self.state = State::Revoked;
            self.finished = Some(expires);
            self.due = None;
        }
        self
    }
}

fn unknown_id() -> TaskId {
    TaskId::NIL
}
