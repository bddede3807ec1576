//! The definition of a task: all that `#[task]` knows about a function, as one static value.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::value::RawValue;

use super::{Arguments, BadSignature, Context};
use crate::message::OnCrash;
use crate::outcome::Outcome;
use crate::retry::{DEFAULT_MAX_RETRIES, Exponential, RetryPolicy};

/// What a run gives back: the outcome, its result already as JSON.
pub type TaskResult = Outcome<Box<RawValue>>;

/// A task that workers can run. `#[task]` writes it; it can be written by hand as well.
#[non_exhaustive]
pub struct TaskDef {
    /// The wire name, such as `logistica.procesar_entrega`.
    pub name: &'static str,
    /// The queue messages of this task go to, unless the sender says otherwise.
    pub queue: &'static str,
    /// The first paragraph of its documentation.
    pub doc: &'static str,
    /// Its parameters, in order, without the context.
    pub params: &'static [Param],
    /// How many retries it has.
    pub max_retries: u32,
    /// When it runs again after a failure.
    pub retry: &'static dyn RetryPolicy,
    /// True: no record is kept of its calls.
    pub ignore_result: bool,
    /// True: the records of its calls say STARTED while they run.
    pub track_started: bool,
    /// Its calls are REVOKED instead of run this long after they were sent.
    pub expires: Option<Duration>,
    /// A call is DEAD when it has taken its process down this often, 1 to 9; `None`: 3.
    pub max_crashes: Option<u8>,
    /// What becomes of a call when its process dies.
    pub on_crash: OnCrash,
    /// How long one run may take before its context is told to end.
    pub soft_time_limit: Option<Duration>,
    /// How long one run may take before it is cut off.
    pub time_limit: Option<Duration>,
    /// The priority of its calls, 0 to 9: 9 is served first.
    pub priority: u8,
    /// Decodes the arguments and starts the function.
    pub run: fn(Context, Arguments<'_>) -> Result<Running, BadSignature>,
    /// Where it is defined.
    pub file: &'static str,
    /// The line there.
    pub line: u32,
}

/// One parameter of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param {
    /// Its name, as keyword argument too.
    pub name: &'static str,
    /// Its JSON type where that is known (`string`, `integer`, `number`, `boolean`, `array`, `object`), else the Rust type.
    pub kind: &'static str,
    /// False when it may be left out: an `Option`.
    pub required: bool,
}

/// A task function under way.
pub enum Running {
    /// An `async fn`: polled on the worker's runtime.
    Async(Pin<Box<dyn Future<Output = TaskResult> + Send>>),
    /// A plain `fn`: run on a thread of the blocking pool.
    Blocking(Box<dyn FnOnce() -> TaskResult + Send>),
}

impl TaskDef {
    /// A definition with the defaults: queue `celery`, 3 retries, exponential backoff from 1 s to 10 min.
    pub const fn new(
        name: &'static str,
        params: &'static [Param],
        run: fn(Context, Arguments<'_>) -> Result<Running, BadSignature>,
    ) -> Self {
        Self {
            name,
            queue: crate::id::QueueName::DEFAULT,
            doc: "",
            params,
            max_retries: DEFAULT_MAX_RETRIES,
            retry: &Exponential::DEFAULT,
            ignore_result: false,
            track_started: false,
            expires: None,
            max_crashes: None,
            on_crash: OnCrash::Requeue,
            soft_time_limit: None,
            time_limit: None,
            priority: 0,
            run,
            file: "",
            line: 0,
        }
    }

    /// The same with another queue.
    #[must_use]
    pub const fn queue(mut self, queue: &'static str) -> Self {
        self.queue = queue;
        self
    }

    /// The same with a description.
    #[must_use]
    pub const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// The same with another number of retries.
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// The same with another retry policy.
    #[must_use]
    pub const fn retry(mut self, policy: &'static dyn RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// The same with or without records.
    #[must_use]
    pub const fn ignore_result(mut self, ignore: bool) -> Self {
        self.ignore_result = ignore;
        self
    }

    /// The same with or without STARTED in the records of its calls.
    #[must_use]
    pub const fn track_started(mut self, track: bool) -> Self {
        self.track_started = track;
        self
    }

    /// The same with calls that expire this long after they were sent.
    #[must_use]
    pub const fn expires(mut self, after: Duration) -> Self {
        self.expires = Some(after);
        self
    }

    /// The same with another crash limit, 1 to 9.
    #[must_use]
    pub const fn max_crashes(mut self, crashes: u8) -> Self {
        self.max_crashes = Some(crashes);
        self
    }

    /// The same with another end for calls whose process dies.
    #[must_use]
    pub const fn on_crash(mut self, on_crash: OnCrash) -> Self {
        self.on_crash = on_crash;
        self
    }

    /// The same with a soft limit for each run.
    #[must_use]
    pub const fn soft_time_limit(mut self, limit: Duration) -> Self {
        self.soft_time_limit = Some(limit);
        self
    }

    /// The same with a hard limit for each run.
    #[must_use]
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// The same with another priority, 0 to 9.
    #[must_use]
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// The same with the place of its definition.
    #[must_use]
    pub const fn at(mut self, file: &'static str, line: u32) -> Self {
        self.file = file;
        self.line = line;
        self
    }
}

impl fmt::Debug for TaskDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskDef")
            .field("name", &self.name)
            .field("queue", &self.queue)
            .field("params", &self.params)
            .field("at", &format_args!("{}:{}", self.file, self.line))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async(_) => "Async",
            Self::Blocking(_) => "Blocking",
        })
    }
}

/// A definition that reports itself to [`Registry::collect`](super::Registry::collect).
///
/// By reference, because a retry policy may hold state of its own, which no constant can.
#[derive(Debug)]
pub struct Registered(pub &'static TaskDef);

inventory::collect!(Registered);
