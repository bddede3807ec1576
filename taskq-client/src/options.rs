//! Options of a call that is sent by name.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::to_raw_value;
use taskq_core::{Error, OnCrash, Signature, TaskId};

/// Options of [`Client::send_by_name`](crate::Client::send_by_name); none is set by default.
///
/// ```
/// use std::time::Duration;
/// use taskq_client::{OnCrash, SendOptions};
///
/// let options = SendOptions::default()
///     .queue("payments")
///     .countdown(Duration::from_secs(10))
///     .expires(Duration::from_secs(60))
///     .on_crash(OnCrash::Dead);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
pub struct SendOptions {
    countdown: Option<Duration>,
    eta: Option<u64>,
    queue: Option<String>,
    id: Option<TaskId>,
    headers: Vec<(String, String)>,
    ignore_result: Option<bool>,
    track_started: Option<bool>,
    expires: Option<Duration>,
    expires_at: Option<u64>,
    max_crashes: Option<u8>,
    on_crash: Option<OnCrash>,
    time_limit: Option<Duration>,
    soft_time_limit: Option<Duration>,
    priority: Option<u8>,
    idempotency_key: Option<(String, Duration)>,
}

impl SendOptions {
    /// Runs it after this long, by the broker's clock.
    #[must_use]
    pub fn countdown(mut self, delay: Duration) -> Self {
        self.countdown = Some(delay);
        self
    }

    /// Runs it at this time: milliseconds since the epoch, by the broker's clock. Not together with a countdown.
    #[must_use]
    pub fn eta(mut self, at_ms: u64) -> Self {
        self.eta = Some(at_ms);
        self
    }

    /// Sends it to this queue; else its route's, else the one published for the task, else `celery`.
    #[must_use]
    pub fn queue(mut self, name: impl Into<String>) -> Self {
        self.queue = Some(name.into());
        self
    }

    /// Sends it under this id. The same id is the same task: its record is shared.
    #[must_use]
    pub fn id(mut self, id: TaskId) -> Self {
        self.id = Some(id);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// True: no record is kept; else as published for the task.
    #[must_use]
    pub fn ignore_result(mut self, ignore: bool) -> Self {
        self.ignore_result = Some(ignore);
        self
    }

    /// True: its record says STARTED while it runs; else as published for the task.
    #[must_use]
    pub fn track_started(mut self, track: bool) -> Self {
        self.track_started = Some(track);
        self
    }

    /// It is REVOKED instead of run once this much time has passed since it was sent; else as published for the
    /// task. An expiry that is not after the call is due is refused.
    #[must_use]
    pub fn expires(mut self, after: Duration) -> Self {
        self.expires = Some(after);
        self
    }

    /// As [`expires`](Self::expires), from this time on: milliseconds since the epoch. Give one of the two.
    #[must_use]
    pub fn expires_at(mut self, at_ms: u64) -> Self {
        self.expires_at = Some(at_ms);
        self
    }

    /// It is DEAD when it has taken its worker's process down this often: 1 to 9; else as published for the task.
    #[must_use]
    pub fn max_crashes(mut self, crashes: u8) -> Self {
        self.max_crashes = Some(crashes);
        self
    }

    /// What becomes of it when its worker's process dies; else as published for the task.
    /// [`OnCrash::Dead`]: it is not run again (at most once), and `max_crashes` counts for nothing.
    #[must_use]
    pub fn on_crash(mut self, on_crash: OnCrash) -> Self {
        self.on_crash = Some(on_crash);
        self
    }

    /// A run that takes longer than this is cut off and counts as failed; else as its task or its worker says.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// A run that takes longer than this is told to end by its context; else as its task or its worker says. One that
    /// is not under the hard limit is refused.
    #[must_use]
    pub fn soft_time_limit(mut self, limit: Duration) -> Self {
        self.soft_time_limit = Some(limit);
        self
    }

    /// 0, served last, to 9, served first; else as published for the task.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Of the calls sent to one queue with the same key, only the first within `how_long` is put in: the others are
    /// answered with a handle of it. The key has 1 to 256 bytes, `how_long` is 1 s to 30 days.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>, how_long: Duration) -> Self {
        self.idempotency_key = Some((key.into(), how_long));
        self
    }

    pub(crate) fn signature<R>(
        self,
        name: &str,
        args: &impl Serialize,
        kwargs: &impl Serialize,
    ) -> Result<Signature<R>, Error> {
        if self.countdown.is_some() && self.eta.is_some() {
            return Err(Error::invalid(format!(
                "{name}: a countdown and an eta exclude each other, give one"
            )));
        }
        if self.expires.is_some() && self.expires_at.is_some() {
            return Err(Error::invalid(format!(
                "{name}: an expiry after some time and one at a time exclude each other, give one"
            )));
        }
        let json = |what: &str, value: serde_json::Result<_>| {
            value.map_err(|e| Error::invalid(format!("{name}: its {what} do not serialize: {e}")))
        };
        let mut call = Signature::by_name(name);
        let args = json("args", to_raw_value(args))?;
        if args.get() != "null" {
            call = call.args(&args);
        }
        let kwargs = json("kwargs", to_raw_value(kwargs))?;
        if kwargs.get() != "null" {
            call = call.kwargs(&kwargs);
        }
        if let Some(delay) = self.countdown {
            call = call.countdown(delay);
        }
        if let Some(at) = self.eta {
            call = call.eta(at);
        }
        if let Some(queue) = self.queue {
            call = call.queue(&queue);
        }
        if let Some(id) = self.id {
            call = call.id(id);
        }
        if let Some(ignore) = self.ignore_result {
            call = call.ignore_result(ignore);
        }
        if let Some(track) = self.track_started {
            call = call.track_started(track);
        }
        if let Some(after) = self.expires {
            call = call.expires(after);
        }
        if let Some(at) = self.expires_at {
            call = call.expires_at(at);
        }
        if let Some(crashes) = self.max_crashes {
            call = call.max_crashes(crashes);
        }
        if let Some(on_crash) = self.on_crash {
            call = call.on_crash(on_crash);
        }
        if let Some(limit) = self.time_limit {
            call = call.time_limit(limit);
        }
        if let Some(limit) = self.soft_time_limit {
            call = call.soft_time_limit(limit);
        }
        if let Some(priority) = self.priority {
            call = call.priority(priority);
        }
        if let Some((key, how_long)) = self.idempotency_key {
            call = call.idempotency_key(key, how_long);
        }
        for (header, value) in self.headers {
            call = call.header(header, value);
        }
        Ok(call)
    }
}
