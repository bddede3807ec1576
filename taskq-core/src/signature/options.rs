//! The options of a call: what its caller set, and what its task says for calls that do not.

use std::time::Duration;

use crate::broker::Once;
use crate::error::Error;
use crate::fleet::PublishedTask;
use crate::id::QueueName;
use crate::message::OnCrash;
use crate::task::TaskDef;

/// What the caller set; `None`: as the task says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen {
    pub(crate) queue: Option<QueueName>,
    pub(crate) ignore_result: Option<bool>,
    pub(crate) track_started: Option<bool>,
    pub(crate) expires: Option<Expiry>,
    pub(crate) max_crashes: Option<u8>,
    pub(crate) on_crash: Option<OnCrash>,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) soft_time_limit: Option<Duration>,
    pub(crate) priority: Option<u8>,
    pub(crate) once: Option<Once>,
}

/// An idempotency key is held at least this long.
const SHORTEST_HOLD: Duration = Duration::from_secs(1);
/// An idempotency key is held at most this long: 30 days.
const LONGEST_HOLD: Duration = Duration::from_secs(30 * 86_400);
/// An idempotency key has at most this many bytes.
const MAX_KEY_BYTES: usize = 256;

/// Checks what makes an idempotency key.
pub(super) fn once(task: &str, key: String, held_for: Duration) -> Result<Once, Error> {
    if !(1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Err(Error::invalid(format!(
            "{task}: its idempotency key has {} bytes, allowed are 1 to {MAX_KEY_BYTES}: hash what is longer",
            key.len()
        )));
    }
    if !(SHORTEST_HOLD..=LONGEST_HOLD).contains(&held_for) {
        return Err(Error::invalid(format!(
            "{task}: its idempotency key is to be held for {held_for:?}, allowed are 1 s to 30 days"
        )));
    }
    Ok(Once { key, held_for })
}

/// What a task says for its calls: its definition where the code is known, else what workers published.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TaskDefaults {
    pub(crate) queue: QueueName,
    pub(crate) ignore_result: bool,
    pub(crate) track_started: bool,
    pub(crate) expires: Option<Duration>,
    pub(crate) max_crashes: Option<u8>,
    pub(crate) on_crash: OnCrash,
    /// Does not travel with its calls, as little as its soft limit: whoever runs them knows both, and may be told others.
    pub(crate) time_limit: Option<Duration>,
    pub(crate) priority: u8,
}

/// When a call expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// This long after it was sent.
    In(Duration),
    /// At this time: ms since the epoch.
    At(u64),
}

impl TaskDefaults {
    pub(crate) fn of(def: &TaskDef) -> Result<Self, Error> {
        Ok(Self {
            queue: QueueName::new(def.queue)?,
            ignore_result: def.ignore_result,
            track_started: def.track_started,
            expires: def.expires,
            max_crashes: def.max_crashes,
            on_crash: def.on_crash,
            time_limit: def.time_limit,
            priority: def.priority,
        })
    }
}

impl From<PublishedTask> for TaskDefaults {
    fn from(task: PublishedTask) -> Self {
        Self {
            queue: task.queue,
            ignore_result: task.ignore_result,
            track_started: task.track_started,
            expires: task.expires_ms.map(Duration::from_millis),
            max_crashes: task.max_crashes,
            on_crash: task.on_crash,
            time_limit: task.time_limit_ms.map(Duration::from_millis),
            priority: task.priority,
        }
    }
}
