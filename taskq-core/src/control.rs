//! Questions to running workers and their answers: the vocabulary of `taskq inspect`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a worker can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Are you there? Answered with `{"ok":"pong"}`.
    Ping,
    /// What do you run? Answered with a list of [`ActiveTask`].
    Active,
    /// Which tasks do you offer? Answered with a list of their names, sorted.
    Registered,
    /// How is it going? Answered with [`Stats`].
    Stats,
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

/// How a worker is doing. Field names are Celery's where it has them; counts are since the worker started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// How many runs began, by the task's name; those still under way and repeated attempts are in it.
    pub total: BTreeMap<String, u64>,
    /// Verdicts: the four kinds below together.
    pub processed: u64,
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls that ended as FAILURE or DEAD.
    pub failed: u64,
    /// Attempts that failed and are tried again.
    pub retried: u64,
    /// Calls that ended as REVOKED when they were claimed.
    pub revoked: u64,
    /// Runs that did not count because the lease had been lost; none of those above.
    pub lost: u64,
    /// The process.
    pub pid: u32,
    /// For how long it has been running, in seconds.
    pub uptime: u64,
    /// The queues it takes from.
    pub queues: Vec<String>,
    /// What runs tasks.
    pub pool: Pool,
    /// The most messages it holds before their run: as many as it has slots, it fetches none it has no slot for.
    pub prefetch_count: usize,
    /// Where its broker is.
    pub broker: BrokerAddress,
    /// What the process has used; `None` where the system does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rusage: Option<Rusage>,
}

/// What runs a worker's tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// How many tasks it runs at once: its slots.
    #[serde(rename = "max-concurrency")]
    pub max_concurrency: usize,
    /// How many run right now.
    pub running: usize,
    /// The processes that run them: the worker's own.
    pub processes: Vec<u32>,
}

/// Where a broker is: without user and password. What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BrokerAddress {
    /// The URL's scheme, such as `redis`.
    pub transport: Option<String>,
    /// The machine.
    pub hostname: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The database.
    pub virtual_host: Option<String>,
}

/// What a process has used of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rusage {
    /// Processor time in its own code, in seconds.
    pub utime: f64,
    /// Processor time in the system, in seconds.
    pub stime: f64,
    /// The most memory it had resident, in KiB.
    pub maxrss: u64,
}
