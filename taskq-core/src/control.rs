//! Questions to running workers and their answers: the vocabulary of `taskq inspect`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{QueueName, TaskId};
use crate::record::Progress;
use crate::revocation::Revocation;

/// The name of a command that is not known is cut to so many characters.
const MOST_NAME: usize = 64;

/// What a worker can be asked, and told to do. What it is told to do is answered with [`Done`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What have you claimed and not started? Answered with a list of [`ReservedTask`].
    Reserved,
    /// What is due next in your queues? Answered with a list of [`ScheduledTask`], at most 100.
    Scheduled,
    /// What is revoked at your queues? Answered with a list of texts: ids, then `task:<name>` and `header:<name>=<value>`.
    Revoked,
    /// Which queues do you take from? Answered with a list of [`ActiveQueue`].
    ActiveQueues,
    /// How are you set up? Answered with an object: the settings by their flags' names, no password among them.
    Conf,
    /// All that a bug report needs: answered with `{"ok": "<text>"}`.
    Report,
    /// What do you have of these calls? Answered with `{"<id>": ["active" | "reserved", ActiveTask | ReservedTask]}`; those
    /// it does not hold are not in it.
    QueryTask {
        /// The calls.
        ids: Vec<TaskId>,
    },
    /// These were revoked at your queues: none of them starts any more; those that run are cut off if `terminate` says so.
    /// Answered with `{"ok": "<sentence>", "running": ["<id>", …], "terminated": ["<id>", …]}`: what goes on, what was cut off.
    Revoke {
        /// What was revoked.
        what: Vec<Revocation>,
        /// At which queue; `None`: at all of them.
        #[serde(default)]
        queue: Option<QueueName>,
        /// Cut off those that run.
        terminate: bool,
    },
    /// Begin the warm stop, once this is answered.
    Shutdown,
    /// Take from one more queue.
    AddConsumer {
        /// The queue.
        queue: QueueName,
        /// Its weight.
        #[serde(default = "one")]
        weight: u32,
    },
    /// Take nothing more from a queue.
    CancelConsumer {
        /// The queue.
        queue: QueueName,
    },
    /// From now on runs of a task have these limits; `None`: none.
    TimeLimit {
        /// The task's name.
        task: String,
        /// Soft limit in ms.
        soft_ms: Option<u64>,
        /// Hard limit in ms.
        hard_ms: Option<u64>,
    },
    /// Run so many more tasks at once.
    PoolGrow {
        /// How many more slots.
        n: usize,
    },
    /// Run so many fewer tasks at once; what runs goes on.
    PoolShrink {
        /// How many slots fewer.
        n: usize,
    },
    /// One that this version does not know, or not with such fields: its name. It is read and never sent; answered with an
    /// error.
    #[serde(skip)]
    Unknown(String),
}

fn one() -> u32 {
    1
}

/// What became of an order, as Celery answers: `{"ok": "<sentence>"}` or `{"error": "<sentence>"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    /// It is done; what was done.
    Ok(String),
    /// It is not; why, and the remedy.
    Error(String),
}

/// A message that a worker has claimed and not started. Field names are Celery's where it has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReservedTask {
    /// The call's id; `None` when the message can not be read.
    pub id: Option<String>,
    /// The task's name; empty when the message can not be read.
    pub name: String,
    /// The queue it came through.
    pub queue: String,
    /// Its priority.
    pub priority: u8,
    /// When it was claimed: seconds since the epoch.
    pub time_claimed: f64,
}

/// A message that is not due yet, as Celery lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledTask {
    /// When it is due: RFC 3339, in UTC.
    pub eta: String,
    /// Its priority.
    pub priority: u8,
    /// The call.
    pub request: ScheduledRequest,
}

/// The call of a [`ScheduledTask`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledRequest {
    /// The call's id; empty when the message can not be read.
    pub id: String,
    /// The task's name; empty when the message can not be read.
    pub name: String,
    /// Positional arguments, `[]` when there are none.
    pub args: serde_json::Value,
    /// Named arguments, `{}` when there are none.
    pub kwargs: serde_json::Value,
    /// The queue it waits in.
    pub queue: String,
    /// How many attempts have failed.
    pub retries: u32,
}

/// A queue that a worker takes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveQueue {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// It is paused: nothing is claimed from it.
    pub paused: bool,
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
    /// Reads a question from JSON; one whose command can not be read is [`Command::Unknown`], so that it has an answer.
    ///
    /// ```
    /// use taskq_core::control::{Command, Request};
    /// let json = br#"{"id": "q1", "reply_to": "there", "command": {"dance": {"partner": "w2@bar"}}}"#;
    /// assert_eq!(Request::decode(json)?.command, Command::Unknown("dance".into()));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// What says neither what it asks nor where its answer goes is no question.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        if let Ok(request) = serde_json::from_slice(json) {
            return Ok(request);
        }
        let foreign: Foreign = serde_json::from_slice(json)?;
        Ok(Self {
            command: Command::Unknown(foreign.name()),
            id: foreign.id,
            reply_to: foreign.reply_to,
            destination: foreign.destination,
        })
    }

    /// Whether the worker called `node` is meant.
    #[must_use]
    pub fn is_for(&self, node: &str) -> bool {
        self.destination.is_empty() || self.destination.iter().any(|d| d == node)
    }
}

/// A question of another version.
#[derive(Deserialize)]
struct Foreign {
    id: String,
    reply_to: String,
    #[serde(default)]
    destination: Vec<String>,
    command: serde_json::Value,
}

impl Foreign {
    /// What its command is called, cut: it comes from outside, and goes into a sentence.
    fn name(&self) -> String {
        let name = match &self.command {
            serde_json::Value::String(name) => Some(name),
            serde_json::Value::Object(fields) => fields.keys().next(),
            _ => None,
        };
        let name = name.map_or("?", String::as_str);
        name.chars().take(MOST_NAME).collect()
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
    /// What is to be said beside it: what the answer leaves out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
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
    /// How far it has got, if it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
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
