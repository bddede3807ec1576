//! What workers tell the fleet about themselves: their card, and the tasks they publish.

use serde::{Deserialize, Serialize};

use crate::clock::whole_ms;
use crate::id::QueueName;
use crate::message::OnCrash;
use crate::task::{Registry, TaskDef};

/// A published task stays known this long after the last worker offered it: 7 days, in ms.
pub const PUBLISHED_FOR_MS: u64 = 7 * 24 * 3_600_000;

/// One running worker process, as the fleet sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCard {
    /// Random, new at each start.
    pub id: String,
    /// The node name, such as `w1@host`.
    pub node: String,
    /// The machine's name.
    pub host: String,
    /// Tells whether `pid` means the same process table: boot id and pid namespace of the machine, where known.
    #[serde(default)]
    pub pid_space: String,
    /// The process.
    pub pid: u32,
    /// The queues it takes from.
    pub queues: Vec<QueueName>,
    /// How many tasks it runs at once.
    pub slots: usize,
    /// The names of the tasks it offers.
    pub tasks: Vec<String>,
    /// When it started (ms since the epoch).
    pub started: u64,
    /// How long its registration lasts from each renewal (ms): one that is still there after that was renewed.
    #[serde(default = "usual_lease")]
    pub lease_ms: u64,
    /// Its version of taskq.
    pub version: String,
    /// How many tasks it ran when it last renewed its registration.
    #[serde(default)]
    pub active: usize,
    /// How many runs of functions had ended by then, those that were cut off included.
    #[serde(default)]
    pub processed: u64,
    /// It has begun to stop: it ends what it holds and claims nothing more.
    #[serde(default)]
    pub stopping: bool,
    /// When it last renewed its registration (ms since the epoch, its own clock); 0 where a version does not tell.
    #[serde(default)]
    pub renewed: u64,
}

impl WorkerCard {
    /// Whether it claims from `queue`: one that has begun to stop takes from none.
    #[must_use]
    pub fn takes_from(&self, queue: &QueueName) -> bool {
        !self.stopping && self.queues.contains(queue)
    }
}

/// The lease of a worker that does not tell it: 10 s, the default.
fn usual_lease() -> u64 {
    10_000
}

/// A task as a worker published it: what a service needs to list and check calls without its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTask {
    /// The wire name.
    pub name: String,
    /// What it does, in a sentence or two.
    pub doc: String,
    /// Its parameters in order.
    pub params: Vec<PublishedParam>,
    /// Its queue.
    pub queue: QueueName,
    /// Its number of retries.
    pub max_retries: u32,
    /// True: no record is kept of its calls.
    #[serde(default)]
    pub ignore_result: bool,
    /// True: the records of its calls say STARTED while they run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub track_started: bool,
    /// Its calls expire this long after they were sent (ms).
    #[serde(default, skip_serializing_if = "is_default")]
    pub expires_ms: Option<u64>,
    /// Its crash limit, where it has one of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_crashes: Option<u8>,
    /// What becomes of its calls when their process dies.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_crash: OnCrash,
    /// How long one run may take before its context is told to end (ms).
    #[serde(default, skip_serializing_if = "is_default")]
    pub soft_time_limit_ms: Option<u64>,
    /// How long one run may take before it is cut off (ms).
    #[serde(default, skip_serializing_if = "is_default")]
    pub time_limit_ms: Option<u64>,
    /// The priority of its calls, 0 to 9.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: u8,
    /// When a worker last published it (ms, the broker's clock). Set by the broker.
    #[serde(default)]
    pub seen: u64,
    /// True when a live worker offers it now. Set by the broker when it is read.
    #[serde(default, skip_serializing)]
    pub live: bool,
}

/// One parameter of a published task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedParam {
    /// Its name.
    pub name: String,
    /// Its JSON type, or the Rust type where that is all that is known.
    #[serde(rename = "type")]
    pub kind: String,
    /// False when it may be left out.
    pub required: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<&TaskDef> for PublishedTask {
    fn from(def: &TaskDef) -> Self {
        Self {
            name: def.name.to_owned(),
            doc: def.doc.to_owned(),
            params: def
                .params
                .iter()
                .map(|p| PublishedParam {
                    name: p.name.to_owned(),
                    kind: p.kind.to_owned(),
                    required: p.required,
                })
                .collect(),
            // The registry has checked the name.
            queue: QueueName::new(def.queue).unwrap_or_default(),
            max_retries: def.max_retries,
            ignore_result: def.ignore_result,
            track_started: def.track_started,
            expires_ms: def.expires.map(whole_ms),
            max_crashes: def.max_crashes,
            on_crash: def.on_crash,
            soft_time_limit_ms: def.soft_time_limit.map(whole_ms),
            time_limit_ms: def.time_limit.map(whole_ms),
            priority: def.priority,
            seen: 0,
            live: false,
        }
    }
}

impl Registry {
    /// All tasks in the form in which they are published.
    #[must_use]
    pub fn published(&self) -> Vec<PublishedTask> {
        self.iter().map(PublishedTask::from).collect()
    }
}
