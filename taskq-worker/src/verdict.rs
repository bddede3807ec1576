//! From what became of a call to its verdict and record: pure, but for the clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use taskq_core::broker::{Delivery, End};
use taskq_core::message::{MAX_BYTES, Undecodable};
use taskq_core::retry::Attempt;
use taskq_core::task::{TaskDef, TaskResult};
use taskq_core::{Failure, Message, Outcome, Record, State, TaskId};

use crate::supervisor::last_words;

/// How a delivery ends, and what is stored and said about it.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) end: End,
    pub(crate) record: Option<Record>,
    /// The state its task is in then.
    pub(crate) state: State,
    /// What went wrong, if something did.
    pub(crate) error: Option<Failure>,
    /// When it runs again, if it does.
    pub(crate) again: Option<Duration>,
    /// Whether the function was started.
    pub(crate) ran: bool,
}

/// A message that could be read, and what is known of its run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) message: &'a Message,
    pub(crate) delivery: &'a Delivery,
    pub(crate) worker: &'a str,
    /// When the function started (ms since the epoch); `None`: it never did.
    pub(crate) started: Option<u64>,
}

/// The ending of a message that can not be read.
pub(crate) fn undecodable(error: &Undecodable, delivery: &Delivery, worker: &str) -> Ending {
    let reason = format!("the message can not be read: {}", error.reason);
    let failure = Failure::new("Undecodable", &reason);
    let record = error.id.filter(|id| *id != TaskId::NIL).map(|id| Record {
        error: Some(failure.clone()),
        crashes: delivery.crashes.into(),
        worker: Some(worker.to_owned()),
        finished: Some(taskq_core::clock::now_ms()),
        ..Record::new(
            id,
            error.task.as_deref().unwrap_or_default(),
            &delivery.queue,
            State::Dead,
        )
    });
    Ending {
        end: dead(State::Dead, reason),
        record,
        state: State::Dead,
        error: Some(failure),
        again: None,
        ran: false,
    }
}

impl Call<'_> {
    /// The ending that `outcome` stands for.
    pub(crate) fn conclude(self, def: &TaskDef, outcome: TaskResult) -> Ending {
        match outcome {
            Outcome::Done(result) if result.get().len() > MAX_BYTES => {
                self.failed(Failure::new(
                    "ResultTooLarge",
                    format!(
                        "the result has {} bytes, the limit is {MAX_BYTES}: store it elsewhere and return a reference",
                        result.get().len()
                    ),
                ))
            }
            Outcome::Done(result) => Ending {
                end: End::Done,
                record: self.record(State::Success).map(|r| Record {
                    result: Some(result),
                    ..r
                }),
                state: State::Success,
                error: None,
                again: None,
            ran: self.started.is_some(),
            },
            Outcome::Retry { after, error } => match self.delay(def, after, &error) {
                Ok(delay) => self.retry(delay, error),
                Err(error) => self.failed(error),
            },
            Outcome::Snooze(after) => self.snooze(after),
            Outcome::Reject(reason) => self.dead("Rejected", reason),
            Outcome::Failed(error) => self.failed(error),
        }
    }

    /// DEAD without an answer of the function.
    pub(crate) fn dead(self, kind: &str, reason: String) -> Ending {
        let failure = Failure::new(kind, reason);
        Ending {
            end: dead(State::Dead, failure.message.clone()),
            record: self.record(State::Dead).map(|r| Record {
                error: Some(failure.clone()),
                ..r
            }),
            state: State::Dead,
            error: Some(failure),
            again: None,
            ran: self.started.is_some(),
        }
    }

    /// Not yet; costs no attempt.
    pub(crate) fn snooze(self, after: Duration) -> Ending {
        Ending {
            end: End::Snooze(after),
            record: self.record(State::Scheduled).map(|r| Record {
                attempts: self.message.retries,
                due: Some(due(after)),
                ..r
            }),
            state: State::Scheduled,
            error: None,
            again: Some(after),
            ran: self.started.is_some(),
        }
    }

    fn failed(self, error: Failure) -> Ending {
        Ending {
            end: dead(State::Failure, format!("{}: {}", error.kind, error.message)),
            record: self.record(State::Failure).map(|r| Record {
                error: Some(error.clone()),
                ..r
            }),
            state: State::Failure,
            error: Some(error),
            again: None,
            ran: self.started.is_some(),
        }
    }

    fn retry(self, after: Duration, error: Failure) -> Ending {
        let mut next = self.message.clone();
        next.retries = next.retries.saturating_add(1);
        let body = match next.encode() {
            Ok(wire) => wire.into(),
            Err(e) => return self.dead("MessageTooLarge", format!("it can not be retried: {e}")),
        };
        Ending {
            end: End::Retry { after, body },
            record: self.record(State::Retry).map(|r| Record {
                error: Some(error.clone()),
                due: Some(due(after)),
                ..r
            }),
            state: State::Retry,
            error: Some(error),
            again: Some(after),
            ran: self.started.is_some(),
        }
    }

    /// The wait before the next attempt, or the error that is final.
    fn delay(
        self,
        def: &TaskDef,
        after: Option<Duration>,
        error: &Failure,
    ) -> Result<Duration, Failure> {
        if self.message.retries >= self.message.max_retries.unwrap_or(def.max_retries) {
            return Err(error.clone());
        }
        if let Some(after) = after {
            return Ok(after);
        }
        let attempt = Attempt {
            number: self.message.attempt(),
            error,
        };
        match catch_unwind(AssertUnwindSafe(|| def.retry.delay(&attempt))) {
            Ok(delay) => delay.ok_or_else(|| error.clone()),
            Err(panic) => {
                let mut error = error.clone();
                error.chain.push(format!(
                    "its retry policy panicked: {}",
                    last_words(&*panic)
                ));
                Err(error)
            }
        }
    }

    fn record(self, state: State) -> Option<Record> {
        let m = self.message;
        if m.ignore_result {
            return None;
        }
        let base = Record::new(m.id, &m.task, &self.delivery.queue, state);
        Some(Record {
            // The attempts so far; this one counts once the function has started.
            attempts: m.retries.saturating_add(self.started.is_some().into()),
            crashes: self.delivery.crashes.into(),
            worker: Some(self.worker.to_owned()),
            created: m.enqueued_at.or(base.created),
            started: self.started,
            finished: state.is_final().then(taskq_core::clock::now_ms),
            ..base
        })
    }
}

fn dead(state: State, reason: String) -> End {
    End::Dead { state, reason }
}

fn due(after: Duration) -> u64 {
    let wait = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    taskq_core::clock::now_ms().saturating_add(wait)
}
