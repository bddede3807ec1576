//! From what brokers are told to events: the one place that decides which facts a verdict stands for.

use std::sync::Arc;
use std::time::Duration;

use super::{Attempt, Event, Fact, TaskEvent, TaskEventKind, cut_text};
use crate::broker::{End, RevokeCause};
use crate::id::{QueueName, TaskId};
use crate::message::Message;
use crate::state::State;

/// What one message's step came to, before it is known when and where: brokers store this, and readers
/// [expand](Self::expand) it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// How it ended; `None`: only that it was received or started.
    pub(crate) kind: Option<TaskEventKind>,
    pub(crate) id: TaskId,
    pub(crate) task: Box<str>,
    pub(crate) retries: u32,
    pub(crate) received: Option<u64>,
    pub(crate) started: Option<u64>,
    pub(crate) runtime: Option<Duration>,
    /// The result, or what went wrong.
    pub(crate) said: Option<Box<str>>,
    pub(crate) traceback: Option<Box<str>>,
    pub(crate) args: Option<Box<str>>,
    pub(crate) kwargs: Option<Box<str>>,
    pub(crate) eta: Option<u64>,
    pub(crate) expires: Option<u64>,
    pub(crate) root_id: Option<TaskId>,
    pub(crate) parent_id: Option<TaskId>,
    pub(crate) requeued: bool,
    pub(crate) crashed: bool,
    pub(crate) expired: bool,
    pub(crate) terminated: bool,
}

impl Told {
    /// It was accepted.
    #[must_use]
    pub fn sent(message: &Message) -> Self {
        Self {
            kind: Some(TaskEventKind::Sent),
            eta: message.eta,
            expires: message.expires,
            root_id: message.root_id,
            parent_id: message.parent_id,
            ..Self::of(message).with_arguments(message)
        }
    }

    /// A run began, and is still under way; `None`: that was told before, or is left to its verdict.
    #[must_use]
    pub fn begins(attempt: &Attempt) -> Option<Self> {
        let news = attempt.received.is_some() || attempt.started.is_some();
        news.then(|| Self::began(attempt))
    }

    /// The same, whether there is news in it or not.
    #[must_use]
    pub fn began(attempt: &Attempt) -> Self {
        let told = Self {
            received: attempt.received,
            started: attempt.started,
            ..Self::of(&attempt.message)
        };
        told.received_from(attempt)
    }

    /// A delivery ended so.
    #[must_use]
    pub fn ended(attempt: &Attempt, end: &End) -> Self {
        let kind = match end {
            End::Done => TaskEventKind::Succeeded,
            End::Retry { .. } | End::Snooze(_) => TaskEventKind::Retried,
            End::Return => TaskEventKind::Rejected,
            End::Dead {
                state: State::Failure,
                ..
            } => TaskEventKind::Failed,
            End::Dead { .. } => TaskEventKind::Rejected,
            End::Revoked(_) => TaskEventKind::Revoked,
        };
        let said = match end {
            End::Snooze(_) => Some("Snoozed".into()),
            End::Dead { reason, .. } if attempt.said.is_none() => Some(cut_text(reason)),
            _ => attempt.said.clone(),
        };
        Self {
            kind: Some(kind),
            runtime: attempt.runtime,
            said,
            traceback: attempt.traceback.clone(),
            requeued: matches!(end, End::Return),
            expired: matches!(end, End::Revoked(RevokeCause::Expired)),
            terminated: matches!(end, End::Revoked(RevokeCause::Terminated)),
            ..Self::began(attempt)
        }
    }

    /// It was revoked, or purged, before a worker had it.
    #[must_use]
    pub fn revoked(id: TaskId, task: &str, retries: u32) -> Self {
        let mut message = Message::new(task);
        message.id = id;
        message.retries = retries;
        Self {
            kind: Some(TaskEventKind::Revoked),
            ..Self::of(&message)
        }
    }

    /// It came back from a session that is over; `reason` when that made it DEAD.
    #[must_use]
    pub fn given_back(message: &Message, crashed: bool, dead: Option<&str>) -> Self {
        Self {
            kind: Some(TaskEventKind::Rejected),
            said: dead.map(cut_text),
            requeued: dead.is_none(),
            crashed,
            ..Self::of(message)
        }
    }

    /// The events it stands for, told by `worker` at `at` (ms): up to three.
    #[must_use]
    pub fn expand(self, at: u64, queue: &QueueName, worker: Option<&Arc<str>>) -> Vec<Event> {
        use TaskEventKind::{Failed, Received, Rejected, Retried, Sent, Started, Succeeded};
        let mut events = Vec::new();
        let event = |at, fact: TaskEvent| Event {
            at,
            queue: Some(queue.clone()),
            fact: Fact::Task(Box::new(fact)),
        };
        let plain = |kind| TaskEvent {
            kind,
            id: self.id,
            task: self.task.clone(),
            worker: worker.cloned(),
            retries: self.retries,
            args: None,
            kwargs: None,
            eta: None,
            expires: None,
            root_id: None,
            parent_id: None,
            runtime: None,
            result: None,
            exception: None,
            traceback: None,
            requeued: false,
            crashed: false,
            expired: false,
            terminated: false,
        };
        if let Some(at) = self.received {
            events.push(event(
                at,
                TaskEvent {
                    args: self.args.clone(),
                    kwargs: self.kwargs.clone(),
                    eta: self.eta,
                    expires: self.expires,
                    root_id: self.root_id,
                    parent_id: self.parent_id,
                    ..plain(Received)
                },
            ));
        }
        if let Some(at) = self.started {
            events.push(event(at, plain(Started)));
        }
        let Some(kind) = self.kind else {
            return events;
        };
        let sent = kind == Sent;
        let error = matches!(kind, Failed | Retried | Rejected);
        let last = TaskEvent {
            args: self.args.clone().filter(|_| sent),
            kwargs: self.kwargs.clone().filter(|_| sent),
            eta: self.eta.filter(|_| sent),
            expires: self.expires.filter(|_| sent),
            root_id: self.root_id.filter(|_| sent),
            parent_id: self.parent_id.filter(|_| sent),
            runtime: self.runtime,
            result: self.said.clone().filter(|_| kind == Succeeded),
            exception: self.said.clone().filter(|_| error),
            traceback: self.traceback.clone().filter(|_| error),
            requeued: self.requeued,
            crashed: self.crashed,
            expired: self.expired,
            terminated: self.terminated,
            ..plain(kind)
        };
        events.push(event(at, last));
        events
    }

    fn of(message: &Message) -> Self {
        Self {
            kind: None,
            id: message.id,
            task: message.task.as_str().into(),
            retries: message.retries,
            received: None,
            started: None,
            runtime: None,
            said: None,
            traceback: None,
            args: None,
            kwargs: None,
            eta: None,
            expires: None,
            root_id: None,
            parent_id: None,
            requeued: false,
            crashed: false,
            expired: false,
            terminated: false,
        }
    }

    fn with_arguments(self, message: &Message) -> Self {
        let text = |raw: &Option<Box<serde_json::value::RawValue>>| {
            raw.as_ref().map(|raw| cut_text(raw.get()))
        };
        Self {
            args: text(&message.args),
            kwargs: text(&message.kwargs),
            ..self
        }
    }

    /// Of a message that no sender told of, the receiver tells the arguments.
    fn received_from(self, attempt: &Attempt) -> Self {
        let message = &attempt.message;
        if attempt.received.is_none() || message.enqueued_at.is_some() {
            return self;
        }
        Self {
            eta: message.eta,
            expires: message.expires,
            root_id: message.root_id,
            parent_id: message.parent_id,
            ..self.with_arguments(message)
        }
    }
}
