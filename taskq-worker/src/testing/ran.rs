//! What became of deliveries.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use taskq_core::broker::{Delivery, End, Verdict};
use taskq_core::{Message, QueueName, Record, State, TaskId};

/// One delivery that was carried out; `R` is what its task gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ran<R = Value> {
    /// The call; nil where the message can not be read.
    pub id: TaskId,
    /// Its task; empty where the message can not be read.
    pub task: String,
    /// The queue it came through.
    pub queue: QueueName,
    /// Which attempt it was, 1 for the first.
    pub attempt: u32,
    /// What became of it.
    pub ended: Ended,
    /// What is stored of it; `None` where its result is ignored, and after a crash.
    pub record: Option<Record>,
    result: PhantomData<fn() -> R>,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// SUCCESS.
    Done,
    /// It failed and runs again.
    Retry {
        /// After this long.
        after: Duration,
        /// What went wrong: the error's type and text.
        reason: String,
    },
    /// It asked to run later.
    Snooze {
        /// After this long.
        after: Duration,
    },
    /// FAILURE: it failed for good.
    Failed {
        /// What went wrong: the error's type and text.
        reason: String,
    },
    /// DEAD: it was rejected, or could not be run at all.
    Dead {
        /// Why.
        reason: String,
    },
    /// REVOKED: it was revoked, or had expired.
    Revoked {
        /// Why.
        reason: String,
    },
    /// It went back to its queue without an answer.
    Returned,
    /// Its worker crashed, as the test wanted: it is held until the lease is over.
    Crashed,
    /// Its verdict did not count: the lease had been lost.
    Lost,
}

impl Ran {
    pub(super) fn of(delivery: &Delivery, end: Result<Verdict, Ended>) -> Self {
        let message = Message::decode(&delivery.body);
        let message = message.unwrap_or_else(|error| {
            let mut message = Message::new(error.task.unwrap_or_default());
            message.id = error.id.unwrap_or(TaskId::NIL);
            message
        });
        let (ended, record) = match end {
            Ok(verdict) => (Ended::of(&verdict), verdict.record),
            Err(ended) => (ended, None),
        };
        Self {
            id: message.id,
            attempt: message.attempt(),
            task: message.task,
            queue: delivery.queue.clone(),
            ended,
            record,
            result: PhantomData,
        }
    }

    /// The same, of a call whose result is known to be an `R`.
    pub(super) fn typed<R>(self) -> Ran<R> {
        Ran {
            id: self.id,
            task: self.task,
            queue: self.queue,
            attempt: self.attempt,
            ended: self.ended,
            record: self.record,
            result: PhantomData,
        }
    }
}

impl<R: DeserializeOwned> Ran<R> {
    /// What the task gave. Where nobody looks at that, it asserts that the attempt ended as SUCCESS.
    ///
    /// # Panics
    /// When the attempt did not end as SUCCESS, and when the result is not an `R` or is not kept (`ignore_result`).
    #[expect(
        clippy::must_use_candidate,
        reason = "asked for alone, it asserts that the attempt succeeded"
    )]
    #[track_caller]
    pub fn value(&self) -> R {
        assert!(self.ended == Ended::Done, "there is no result: {self}");
        let result = self.record.as_ref().and_then(|r| r.result.as_ref());
        // What is not kept may still be nothing.
        let json = result.map_or("null", |raw| raw.get());
        serde_json::from_str(json).unwrap_or_else(|e| {
            let kept = if result.is_some() {
                ""
            } else {
                ", and none is kept (`ignore_result`)"
            };
            panic!(
                "the result of {} is not what was asked for{kept}: {e}",
                self.task
            )
        })
    }
}

impl<R> fmt::Display for Ran<R> {
    /// In a line: `shop.pay, attempt 1: RETRY after 60s, Error: the bank does not answer`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = if self.task.is_empty() {
            "a message that can not be read"
        } else {
            &self.task
        };
        write!(f, "{task}, attempt {}: {}", self.attempt, self.ended)
    }
}

impl Ended {
    fn of(verdict: &Verdict) -> Self {
        let said = || {
            let error = verdict.record.as_ref().and_then(|r| r.error.as_ref());
            let told = verdict.event.as_ref().and_then(|e| e.said.as_deref());
            match error {
                Some(error) => format!("{}: {}", error.kind, error.message),
                None => told.unwrap_or_default().to_owned(),
            }
        };
        match &verdict.end {
            End::Done => Self::Done,
            End::Retry { after, .. } => Self::Retry {
                after: *after,
                reason: said(),
            },
            End::Snooze(after) => Self::Snooze { after: *after },
            End::Return => Self::Returned,
            End::Dead { state, reason } => {
                let reason = reason.clone();
                if *state == State::Failure {
                    Self::Failed { reason }
                } else {
                    Self::Dead { reason }
                }
            }
            End::Revoked(cause) => Self::Revoked {
                reason: cause.failure().map_or_else(String::new, |f| f.message),
            },
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("SUCCESS"),
            Self::Retry { after, reason } => write!(f, "RETRY after {after:?}, {reason}"),
            Self::Snooze { after } => write!(f, "snoozed for {after:?}"),
            Self::Failed { reason } => write!(f, "FAILURE, {reason}"),
            Self::Dead { reason } => write!(f, "DEAD, {reason}"),
            Self::Revoked { reason } => write!(f, "REVOKED, {reason}"),
            Self::Returned => f.write_str("returned to its queue"),
            Self::Crashed => f.write_str("its worker crashed"),
            Self::Lost => f.write_str("its lease was lost"),
        }
    }
}

/// How many deliveries ended how. An attempt each: a call that is retried twice counts three times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// SUCCESS.
    pub done: u64,
    /// Failed attempts that run again.
    pub retried: u64,
    /// Put off at their own wish.
    pub snoozed: u64,
    /// FAILURE.
    pub failed: u64,
    /// DEAD.
    pub dead: u64,
    /// REVOKED, expired ones included.
    pub revoked: u64,
    /// Gone back to their queue.
    pub returned: u64,
    /// Held by a worker that crashed, as the test wanted.
    pub crashed: u64,
    /// Whose verdict did not count.
    pub lost: u64,
}

impl Drained {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let ended = self.done + self.failed + self.dead + self.revoked;
        ended + self.retried + self.snoozed + self.returned + self.crashed + self.lost
    }

    pub(super) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.retried += other.retried;
        self.snoozed += other.snoozed;
        self.failed += other.failed;
        self.dead += other.dead;
        self.revoked += other.revoked;
        self.returned += other.returned;
        self.crashed += other.crashed;
        self.lost += other.lost;
    }

    pub(super) fn count(&mut self, ended: &Ended) {
        *match ended {
            Ended::Done => &mut self.done,
            Ended::Retry { .. } => &mut self.retried,
            Ended::Snooze { .. } => &mut self.snoozed,
            Ended::Failed { .. } => &mut self.failed,
            Ended::Dead { .. } => &mut self.dead,
            Ended::Revoked { .. } => &mut self.revoked,
            Ended::Returned => &mut self.returned,
            Ended::Crashed => &mut self.crashed,
            Ended::Lost => &mut self.lost,
        } += 1;
    }
}
