//! Questions to running workers and their answers: the vocabulary of `taskq inspect`.

use serde::{Deserialize, Serialize};

/// What a worker can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Are you there? Answered with `{"ok":"pong"}`.
    Ping,
    /// What do you run? Answered with a list of [`ActiveTask`].
    Active,
}

/// A question to some workers, or to all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Ties the answers to the question.
    pub id: String,
    /// Where answers go; opaque outside the broker.
    pub reply_to: String,
    /// The node names that are meant; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destination: Vec<String>,
    /// The question.
    pub command: Command,
}

impl Request {
    /// Whether the worker called `node` is meant.
    #[must_use]
    pub fn is_for(&self, node: &str) -> bool {
        self.destination.is_empty() || self.destination.iter().any(|d| d == node)
    }
}

/// One worker's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The question's id.
    pub id: String,
    /// Who answers.
    pub node: String,
    /// The answer, in the shape of the command.
    pub body: serde_json::Value,
}

/// A task that a worker runs right now. Field names are Celery's where it has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveTask {
    /// The call's id.
    pub id: String,
    /// The task's name.
    pub name: String,
    /// Positional arguments, `[]` when there are none.
    pub args: serde_json::Value,
    /// Named arguments, `{}` when there are none.
    pub kwargs: serde_json::Value,
    /// The queue it came through.
    pub queue: String,
    /// Which attempt this is.
    pub attempt: u32,
    /// When the run began: seconds since the epoch.
    pub time_start: f64,
    /// For how long it has been running, in seconds.
    pub runtime_s: f64,
}
