//! From what became of a call to its verdict and record: pure, but for the clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskq_core::broker::{Delivery, End, Receipt, RevokeCause, Verdict};
use taskq_core::event::{self, cut_text};
use taskq_core::message::{MAX_BYTES, OnCrash, Undecodable};
use taskq_core::retry::Attempt;
use taskq_core::task::{TaskDef, TaskResult};
use taskq_core::{Context, Failure, Message, Outcome, QueueName, Record, State, TaskId};

use crate::instant;
use crate::report::Told;
use crate::supervisor::last_words;

/// How a delivery ends, and what is stored and said about it.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) end: End,
    pub(crate) record: Option<Record>,
    pub(crate) event: Option<event::Attempt>,
    /// The state its task is in then.
    pub(crate) state: State,
    /// What went wrong, if something did.
    pub(crate) error: Option<Failure>,
    /// When it runs again, if it does.
    pub(crate) again: Option<Duration>,
    /// How long the function ran, if it did.
    pub(crate) runtime: Option<Duration>,
}

/// A message that could be read, and what is known of its run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) message: &'a Arc<Message>,
    pub(crate) queue: &'a QueueName,
    pub(crate) crashes: u8,
    pub(crate) worker: &'a str,
    /// When it was read (ms since the epoch).
    pub(crate) received: u64,
    /// When the function began; `None`: it never did.
    pub(crate) began: Option<Began>,
    /// What the function was given.
    pub(crate) context: Option<&'a Context>,
}

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began {
    /// Ms since the epoch.
    pub(crate) ms: u64,
    pub(crate) at: Instant,
}

impl Began {
    pub(crate) fn now() -> Self {
        Self {
            ms: taskq_core::clock::now_ms(),
            at: instant::now(),
        }
    }
}

impl Ending {
    /// The same, telling this of it.
    fn saying(mut self, said: Box<str>) -> Self {
        if let Some(event) = &mut self.event {
            event.said = Some(said);
        }
        self
    }

    /// The same, telling what went wrong.
    fn blaming(mut self, error: Failure, said: &str) -> Self {
        let causes = (!error.chain.is_empty()).then(|| cut_text(&error.chain.join("\n")));
        if let Some(event) = &mut self.event {
            event.traceback = causes;
        }
        self.error = Some(error);
        self.saying(cut_text(said))
    }

    /// What is said about it, and the verdict on the delivery `receipt`.
    pub(crate) fn split(self, receipt: Receipt) -> (Told, Verdict) {
        let told = Told {
            state: self.state,
            error: self.error,
            again: self.again,
            runtime: self.runtime,
        };
        let verdict = Verdict {
            receipt,
            end: self.end,
            record: self.record,
            event: self.event,
        };
        (told, verdict)
    }

    /// The verdict on the delivery `receipt`.
    pub(crate) fn verdict(self, receipt: Receipt) -> Verdict {
        self.split(receipt).1
    }
}

/// The ending of a message that can not be read.
pub(crate) fn undecodable(error: &Undecodable, delivery: &Delivery, worker: &str) -> Ending {
    let reason = format!("the message can not be read: {}", error.reason);
    let failure = Failure::new("Undecodable", &reason);
    let known = error.id.filter(|id| *id != TaskId::NIL);
    let task = error.task.as_deref().unwrap_or_default();
    let record = known.map(|id| Record {
        error: Some(failure.clone()),
        crashes: delivery.crashes.into(),
        worker: Some(worker.to_owned()),
        finished: Some(taskq_core::clock::now_ms()),
        ..Record::new(id, task, &delivery.queue, State::Dead)
    });
    // Who asks what became of it knows its id; whoever sent it without one can not be told.
    let event = known.map(|id| {
        let mut message = Message::new(task);
        message.id = id;
        event::Attempt {
            message: Arc::new(message),
            received: None,
            started: None,
            runtime: None,
            said: None,
            traceback: None,
        }
    });
    Ending {
        end: dead(State::Dead, reason),
        record,
        event,
        state: State::Dead,
        error: Some(failure),
        again: None,
        runtime: None,
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
            Outcome::Done(result) => {
                let ending = self.ending(End::Done, State::Success);
                let ending = ending.saying(cut_text(result.get()));
                Ending {
                    record: self.record(State::Success).map(|r| Record {
                        result: Some(result),
                        ..r
                    }),
                    ..ending
                }
            }
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
        let end = dead(State::Dead, failure.message.clone());
        Ending {
            record: self.record(State::Dead).map(|r| Record {
                error: Some(failure.clone()),
                ..r
            }),
            // Its event says the reason that stands in the dead set.
            error: Some(failure),
            ..self.ending(end, State::Dead)
        }
    }

    /// Not yet; costs no attempt.
    pub(crate) fn snooze(self, after: Duration) -> Ending {
        Ending {
            record: self.record(State::Scheduled).map(|r| Record {
                attempts: self.message.retries,
                due: Some(due(after)),
                ..r
            }),
            again: Some(after),
            ..self.ending(End::Snooze(after), State::Scheduled)
        }
    }

    /// Its time was over before it ran.
    pub(crate) fn expired(self) -> Ending {
        self.revoked_for(RevokeCause::Expired)
    }

    /// It was revoked before it ran; `told`: whoever revoked it has told it.
    pub(crate) fn revoked(self, told: bool) -> Ending {
        let ending = self.revoked_for(RevokeCause::Requested);
        Ending {
            event: ending.event.filter(|_| !told),
            ..ending
        }
    }

    fn revoked_for(self, cause: RevokeCause) -> Ending {
        let error = cause.failure();
        Ending {
            record: self.record(State::Revoked).map(|r| Record {
                error: error.clone(),
                ..r
            }),
            error,
            ..self.ending(End::Revoked(cause), State::Revoked)
        }
    }

    /// It was revoked while it ran, and cut off.
    pub(crate) fn terminated(self) -> Ending {
        self.revoked_for(RevokeCause::Terminated)
    }

    /// It is cut off, or never got to run, and goes back: unless it has begun and must not begin twice.
    pub(crate) fn cut(self) -> Ending {
        if self.began.is_some() && self.message.on_crash == OnCrash::Dead {
            let reason =
                "its worker stopped while it ran, and on_crash = \"dead\" forbids a second run";
            return self.dead("WorkerStopped", reason.to_owned());
        }
        // A record that says STARTED is not true any more.
        let record = self.says_started().then(|| self.record(State::Queued));
        Ending {
            record: record.flatten().map(|r| Record {
                attempts: self.message.retries,
                started: None,
                progress: None,
                ..r
            }),
            ..self.ending(End::Return, State::Queued)
        }
    }

    /// Whether its record says STARTED while it runs: so it does of one that tells how far it has got.
    ///
    /// That of a message that expires does, whatever it asks for: a record that does not tell that it runs reads as
    /// REVOKED when that time is past.
    pub(crate) fn says_started(self) -> bool {
        let m = self.message;
        let asks = || {
            m.track_started
                || m.expires.is_some()
                || self.context.is_some_and(Context::has_progress)
        };
        self.began.is_some() && !m.ignore_result && asks()
    }

    /// The record that says that it runs, if it is to have one.
    pub(crate) fn started(self) -> Option<Record> {
        self.says_started()
            .then(|| self.record(State::Started))
            .flatten()
    }

    fn failed(self, error: Failure) -> Ending {
        let reason = said(&error);
        let record = self.record(State::Failure).map(|r| Record {
            error: Some(error.clone()),
            ..r
        });
        let ending = self.ending(dead(State::Failure, reason.clone()), State::Failure);
        Ending {
            record,
            ..ending.blaming(error, &reason)
        }
    }

    fn retry(self, after: Duration, error: Failure) -> Ending {
        let mut next = Message::clone(self.message);
        next.retries = next.retries.saturating_add(1);
        let body = match next.encode() {
            Ok(wire) => wire.into(),
            Err(e) => return self.dead("MessageTooLarge", format!("it can not be retried: {e}")),
        };
        let record = self.record(State::Retry).map(|r| Record {
            error: Some(error.clone()),
            due: Some(due(after)),
            ..r
        });
        let ending = self.ending(End::Retry { after, body }, State::Retry);
        let said = said(&error);
        Ending {
            record,
            again: Some(after),
            ..ending.blaming(error, &said)
        }
    }

    /// An ending of which nothing is stored yet, and nothing told but the attempt.
    fn ending(self, end: End, state: State) -> Ending {
        let runtime = self
            .began
            .map(|began| instant::now().saturating_duration_since(began.at));
        let event = event::Attempt {
            message: Arc::clone(self.message),
            received: Some(self.received),
            started: self.began.map(|began| began.ms),
            runtime,
            said: None,
            traceback: None,
        };
        Ending {
            end,
            record: None,
            event: Some(event),
            state,
            error: None,
            again: None,
            runtime,
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
        let base = Record::new(m.id, &m.task, self.queue, state);
        let waits = !state.is_final() && state != State::Started;
        Some(Record {
            // The attempts so far; this one counts once the function has started.
            attempts: m.retries.saturating_add(self.began.is_some().into()),
            crashes: self.crashes.into(),
            worker: Some(self.worker.to_owned()),
            created: m.enqueued_at.or(base.created),
            started: self.began.map(|began| began.ms),
            finished: state.is_final().then(taskq_core::clock::now_ms),
            expires: m.expires.filter(|_| waits),
            progress: self.context.and_then(Context::last_progress),
            ..base
        })
    }
}

/// What went wrong, in a line.
fn said(error: &Failure) -> String {
    format!("{}: {}", error.kind, error.message)
}

fn dead(state: State, reason: String) -> End {
    End::Dead { state, reason }
}

fn due(after: Duration) -> u64 {
    let wait = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    taskq_core::clock::now_ms().saturating_add(wait)
}
