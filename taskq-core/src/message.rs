//! The message: one call of a task, on the wire as JSON. docs/protocol.md documents the form.

mod decode;
mod encode;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind};
use crate::id::TaskId;

pub use decode::Undecodable;

/// A message, and a result, may have at most this many bytes: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;

/// How often a message may take its process down before it is DEAD, unless it says otherwise.
pub const DEFAULT_MAX_CRASHES: u8 = 3;

/// A task's name has at most this many bytes.
pub const MAX_TASK_BYTES: usize = 256;

/// One call of a task. Times are milliseconds since the epoch, durations milliseconds.
///
/// # Example
/// ```
/// use taskq_core::Message;
/// let wire = br#"{"id":"0198c0de-0000-7000-8000-000000000000","task":"math.add","args":[2,3],"tenant":9007199254740993}"#;
/// let message = Message::decode(wire).unwrap();
/// assert_eq!(message.task, "math.add");
/// // fields this version does not know are kept
/// assert!(String::from_utf8(message.encode().unwrap()).unwrap().contains(r#""tenant":9007199254740993"#));
/// ```
#[derive(Clone)]
pub struct Message {
    /// The call's identity.
    pub id: TaskId,
    /// The task's name.
    pub task: String,
    /// Positional arguments: a JSON array, untouched.
    pub args: Option<Box<RawValue>>,
    /// Named arguments: a JSON object, untouched.
    pub kwargs: Option<Box<RawValue>>,
    /// How many attempts have failed so far.
    pub retries: u32,
    /// How many retries it may have; else the task's own number.
    pub max_retries: Option<u32>,
    /// Not before this time.
    pub eta: Option<u64>,
    /// It does not begin to run after this time: it is REVOKED.
    pub expires: Option<u64>,
    /// Hard limit of one run: it is cut off and counts as failed. `None`: the task's own, else the worker's.
    pub time_limit: Option<u64>,
    /// Soft limit of one run: its context is told to end. `None`: the task's own, else the worker's.
    pub soft_time_limit: Option<u64>,
    /// 0 (served last) to 9 (served first).
    pub priority: u8,
    /// True: no record is kept.
    pub ignore_result: bool,
    /// True: STARTED is written when it starts.
    pub track_started: bool,
    /// It is DEAD when it has taken its process down this often, 1 to 9.
    pub max_crashes: Option<u8>,
    /// What becomes of it when its process dies.
    pub on_crash: OnCrash,
    /// The id of the call that began the chain of calls.
    pub root_id: Option<TaskId>,
    /// The id of the call that sent this one.
    pub parent_id: Option<TaskId>,
    /// Free headers, text to text; `traceparent` is W3C's.
    pub headers: BTreeMap<String, String>,
    /// When it was sent.
    pub enqueued_at: Option<u64>,
    /// Fields this version does not know, kept as they came.
    pub(crate) extra: Vec<(String, Box<RawValue>)>,
}

/// What becomes of a message whose process died while it held it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCrash {
    /// It runs again, until its crash limit: at least once.
    #[default]
    Requeue,
    /// It is DEAD at once: at most once, as Celery's early acknowledgement.
    Dead,
}

impl Message {
    /// The fields of the wire form that this version knows, in the order it writes them.
    pub const FIELDS: [&str; 20] = [
        "id",
        "task",
        "v",
        "args",
        "kwargs",
        "retries",
        "max_retries",
        "eta",
        "expires",
        "time_limit",
        "soft_time_limit",
        "priority",
        "ignore_result",
        "track_started",
        "max_crashes",
        "on_crash",
        "root_id",
        "parent_id",
        "headers",
        "enqueued_at",
    ];

    /// A message of `task` with a new id and no options.
    #[must_use]
    pub fn new(task: impl Into<String>) -> Self {
        Self {
            id: TaskId::random(),
            task: task.into(),
            args: None,
            kwargs: None,
            retries: 0,
            max_retries: None,
            eta: None,
            expires: None,
            time_limit: None,
            soft_time_limit: None,
            priority: 0,
            ignore_result: false,
            track_started: false,
            max_crashes: None,
            on_crash: OnCrash::Requeue,
            root_id: None,
            parent_id: None,
            headers: BTreeMap::new(),
            enqueued_at: None,
            extra: Vec::new(),
        }
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// [`Undecodable`] says what is wrong; such a message can only go to the dead set.
    pub fn decode(wire: &[u8]) -> Result<Self, Undecodable> {
        decode::decode(wire)
    }

    /// Writes the wire form.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] over [`MAX_BYTES`], [`ErrorKind::Invalid`] for what no worker could decode.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        self.check()
            .map_err(|rule| Error::invalid(format!("the message cannot be sent: {rule}")))?;
        let wire = encode::encode(self)
            .map_err(|e| Error::invalid("the message is no JSON").because(e))?;
        if wire.len() > MAX_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "the message of {} has {} bytes, the limit is {MAX_BYTES}: store the data elsewhere and send a reference",
                    self.task,
                    wire.len()
                ),
            ));
        }
        Ok(wire)
    }

    /// The rules that the types do not keep, told as a sentence. Senders and workers hold to the same ones.
    fn check(&self) -> Result<(), String> {
        let opens = |json: &Option<Box<RawValue>>, with| {
            json.as_ref()
                .is_none_or(|json| json.get().starts_with(with))
        };
        if self.task.is_empty() {
            return Err("the field `task` is missing or empty".into());
        }
        if self.task.len() > MAX_TASK_BYTES {
            return Err(format!(
                "the name in `task` has {} bytes, the limit is {MAX_TASK_BYTES}",
                self.task.len()
            ));
        }
        if !opens(&self.args, '[') {
            return Err("`args` must be an array".into());
        }
        if !opens(&self.kwargs, '{') {
            return Err("`kwargs` must be an object".into());
        }
        if self.priority > 9 {
            return Err(format!(
                "`priority` is {}, it goes from 0 to 9",
                self.priority
            ));
        }
        if let Some(n) = self.max_crashes.filter(|n| !(1..=9).contains(n)) {
            return Err(format!("`max_crashes` is {n}, it goes from 1 to 9"));
        }
        for (name, limit) in [
            ("time_limit", self.time_limit),
            ("soft_time_limit", self.soft_time_limit),
        ] {
            if limit == Some(0) {
                return Err(format!("`{name}` is 0, it is at least 1 ms"));
            }
        }
        if let (Some(soft), Some(hard)) = (self.soft_time_limit, self.time_limit)
            && soft >= hard
        {
            return Err(format!(
                "`soft_time_limit` is {soft} ms, it must be under `time_limit`, {hard} ms"
            ));
        }
        Ok(())
    }

    /// Which attempt its next run is: 1 for the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.retries.saturating_add(1)
    }

    /// Its crash limit.
    #[must_use]
    pub fn crash_limit(&self) -> u8 {
        match self.on_crash {
            OnCrash::Dead => 1,
            OnCrash::Requeue => self.max_crashes.unwrap_or(DEFAULT_MAX_CRASHES),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire = encode::encode(self).map_err(|_| fmt::Error)?;
        f.write_str(&String::from_utf8_lossy(&wire))
    }
}
