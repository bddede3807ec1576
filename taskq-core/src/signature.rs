//! The signature: a call that is not sent yet.

mod options;

use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::broker::Due;
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::message::{Message, OnCrash};
use crate::task::TaskDef;
pub(crate) use options::{Chosen, Expiry, TaskDefaults};

/// A call of a task with its arguments and options, whose result is an `R`.
///
/// `#[task]` makes a typed one: `add::call(2, 3)` is a `Signature<i64>`. Without the task's code, by name:
///
/// ```
/// use std::time::Duration;
/// use taskq_core::Signature;
///
/// let call = Signature::<f64>::by_name("geo.distance")
///     .args(&("Bogotá", "Cali"))
///     .queue("geo")
///     .countdown(Duration::from_secs(10))
///     .header("tenant", "acme");
/// assert_eq!(call.task(), "geo.distance");
/// ```
#[derive(Debug)]
#[must_use = "a signature does nothing until it is sent"]
pub struct Signature<R> {
    pub(crate) message: Message,
    pub(crate) due: Due,
    pub(crate) chosen: Chosen,
    /// `None`: its code is not known here; what workers published counts.
    pub(crate) task: Option<TaskDefaults>,
    /// The first thing that went wrong while building; told when it is sent.
    pub(crate) fault: Option<Error>,
    result: PhantomData<fn() -> R>,
}

impl<R> Signature<R> {
    /// A call of the task `def`; for generated code.
    pub fn of(def: &TaskDef) -> Self {
        let mut call = Self::by_name(def.name);
        match TaskDefaults::of(def) {
            Ok(defaults) => call.task = Some(defaults),
            Err(error) => call.blame(error),
        }
        call
    }

    /// A call of the task called `name`, whose code need not be known here.
    pub fn by_name(name: impl Into<String>) -> Self {
        Self {
            message: Message::new(name),
            due: Due::Now,
            chosen: Chosen::default(),
            task: None,
            fault: None,
            result: PhantomData,
        }
    }

    /// The task's name.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.message.task
    }

    /// The id it will be sent under.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.message.id
    }

    /// The queue its caller chose with [`queue`](Self::queue); `None`: its route, else its task's own.
    #[must_use]
    pub fn chosen_queue(&self) -> Option<&QueueName> {
        self.chosen.queue.as_ref()
    }

    /// The message as far as it is written: what its caller chose of options is put in when it is sent.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Positional arguments: anything that serializes to a JSON array, such as a tuple.
    pub fn args<A: Serialize + ?Sized>(mut self, args: &A) -> Self {
        self.message.args = self.json(args, '[', "args must serialize to a JSON array");
        self
    }

    /// Named arguments: anything that serializes to a JSON object.
    pub fn kwargs<A: Serialize + ?Sized>(mut self, kwargs: &A) -> Self {
        self.message.kwargs = self.json(kwargs, '{', "kwargs must serialize to a JSON object");
        self
    }

    /// Sends it to this queue, whatever its task or a route says.
    pub fn queue(mut self, name: &str) -> Self {
        match QueueName::new(name) {
            Ok(queue) => self.chosen.queue = Some(queue),
            Err(error) => self.blame(error),
        }
        self
    }

    /// Runs it after this long, by the broker's clock.
    pub fn countdown(mut self, delay: Duration) -> Self {
        self.due = Due::In(delay);
        self
    }

    /// Runs it at this time: milliseconds since the epoch, by the broker's clock.
    pub fn eta(mut self, at_ms: u64) -> Self {
        self.message.eta = Some(at_ms);
        self.due = Due::At(at_ms);
        self
    }

    /// Sends it under this id. The same id is the same task: its record is shared.
    pub fn id(mut self, id: TaskId) -> Self {
        self.message.id = id;
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.message.headers.insert(name.into(), value.into());
        self
    }

    /// True: no record is kept, and waiting for it is refused.
    pub fn ignore_result(mut self, ignore: bool) -> Self {
        self.chosen.ignore_result = Some(ignore);
        self
    }

    /// True: its record says STARTED while it runs, so that who waits can tell. Costs a write per run.
    pub fn track_started(mut self, track: bool) -> Self {
        self.chosen.track_started = Some(track);
        self
    }

    /// It is REVOKED instead of run once this much time has passed since it was sent.
    ///
    /// Travels as a time of this machine's clock; the broker's clock judges it when a worker takes the call. An
    /// expiry that is not after the call is due is refused when it is sent.
    pub fn expires(mut self, after: Duration) -> Self {
        self.chosen.expires = Some(Expiry::In(after));
        self
    }

    /// As [`expires`](Self::expires), from this time on: milliseconds since the epoch.
    pub fn expires_at(mut self, at_ms: u64) -> Self {
        self.chosen.expires = Some(Expiry::At(at_ms));
        self
    }

    /// It is DEAD when it has taken its worker's process down this often: 1 to 9, 3 unless the task says otherwise.
    pub fn max_crashes(mut self, crashes: u8) -> Self {
        self.chosen.max_crashes = Some(crashes);
        self
    }

    /// What becomes of it when its worker's process dies. [`OnCrash::Dead`]: it is not run again (at most once),
    /// and `max_crashes` counts for nothing.
    pub fn on_crash(mut self, on_crash: OnCrash) -> Self {
        self.chosen.on_crash = Some(on_crash);
        self
    }

    /// A run that takes longer than this is cut off and counts as failed; in place of the limit of its task or worker.
    ///
    /// Async code is dropped where it awaits next. A plain function can not be: its answer counts for nothing any more.
    /// At least 1 ms.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.chosen.time_limit = Some(limit);
        self
    }

    /// A run that takes longer than this is told to end by its context; in place of the limit of its task or worker.
    ///
    /// At least 1 ms, and under the hard limit: otherwise it is refused when it is sent.
    pub fn soft_time_limit(mut self, limit: Duration) -> Self {
        self.chosen.soft_time_limit = Some(limit);
        self
    }

    /// 0, served last, to 9, served first; in place of its task's own.
    pub fn priority(mut self, priority: u8) -> Self {
        self.chosen.priority = Some(priority);
        self
    }

    /// How many retries it may have, in place of the task's own number.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.message.max_retries = Some(retries);
        self
    }

    /// Of the calls sent to one queue with the same key, only the first within `how_long` is put in: the others are
    /// answered with its id, and what is sent again after an unclear failure runs once.
    ///
    /// The key has 1 to 256 bytes, and `how_long` is 1 s to 30 days, counted from the first call, whatever became of it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskq_core::Signature;
    ///
    /// let call = Signature::<()>::by_name("mail.welcome")
    ///     .args(&[4_711])
    ///     .idempotency_key("welcome-4711", Duration::from_secs(86_400));
    /// # let _ = call;
    /// ```
    pub fn idempotency_key(mut self, key: impl Into<String>, how_long: Duration) -> Self {
        match options::once(&self.message.task, key.into(), how_long) {
            Ok(once) => self.chosen.once = Some(once),
            Err(error) => self.blame(error),
        }
        self
    }

    pub(crate) fn parent(mut self, parent: TaskId, root: TaskId) -> Self {
        self.message.parent_id = Some(parent);
        self.message.root_id = Some(root);
        self
    }

    pub(crate) fn default_header(mut self, name: &str, value: &str) -> Self {
        let headers = &mut self.message.headers;
        headers
            .entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
        self
    }

    fn json<A: Serialize + ?Sized>(
        &mut self,
        value: &A,
        first: char,
        rule: &str,
    ) -> Option<Box<RawValue>> {
        match to_raw_value(value) {
            Ok(raw) if raw.get().starts_with(first) => Some(raw),
            Ok(_) => {
                self.blame(Error::invalid(format!("{}: {rule}", self.message.task)));
                None
            }
            Err(e) => {
                self.blame(Error::invalid(format!(
                    "{}: an argument does not serialize: {e}",
                    self.message.task
                )));
                None
            }
        }
    }

    fn blame(&mut self, error: Error) {
        self.fault.get_or_insert(error);
    }
}

impl<R> Clone for Signature<R> {
    /// The same call under the same id; give it a new one with [`Signature::id`] to run it twice.
    fn clone(&self) -> Self {
        Self {
            message: self.message.clone(),
            due: self.due,
            chosen: self.chosen.clone(),
            task: self.task.clone(),
            fault: self.fault.clone(),
            result: PhantomData,
        }
    }
}
