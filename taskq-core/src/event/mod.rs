//! Events: facts for monitors, with the names and fields of Celery's.
//!
//! What changes a task's stored state is told in the step that changes it; that a run began is told by its worker,
//! with the verdict of a short run or, for a longer one, a moment after it began. Events are for watching: they are
//! bounded, so the oldest leave, and long arguments and results are cut. What is exact are the
//! [totals](crate::broker::Totals).

mod celery;
#[cfg(any(feature = "redis", feature = "sqlite"))]
pub(crate) mod compact;
mod told;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{QueueName, TaskId};
use crate::message::Message;

pub use told::Told;

/// Arguments, results and errors are cut to this many characters in an event.
pub const MAX_CHARS: usize = 1_024;

/// One fact.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When, by the broker's clock: ms since the epoch. That a run was received or started is told by its worker's clock.
    pub at: u64,
    /// The queue it happened at; `None` for what concerns a worker.
    pub queue: Option<QueueName>,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// To a task.
    Task(Box<TaskEvent>),
    /// To a worker.
    Worker(Box<WorkerEvent>),
}

/// The kinds of events about tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TaskEventKind {
    /// `task-sent`: it was accepted.
    Sent,
    /// `task-received`: a worker has decoded it.
    Received,
    /// `task-started`: its function runs.
    Started,
    /// `task-succeeded`: SUCCESS.
    Succeeded,
    /// `task-failed`: FAILURE.
    Failed,
    /// `task-retried`: it failed or was snoozed, and runs again.
    Retried,
    /// `task-rejected`: DEAD, or (requeued) back to its queue without an answer.
    Rejected,
    /// `task-revoked`: REVOKED.
    Revoked,
}

/// One fact about a task. Fields that its kind does not tell are `None` or false.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskEvent {
    /// Which fact.
    pub kind: TaskEventKind,
    /// The call.
    pub id: TaskId,
    /// The task's name.
    pub task: Box<str>,
    /// The node name of the worker that tells it; of a sender none is known.
    pub worker: Option<Arc<str>>,
    /// How many attempts had failed before.
    pub retries: u32,
    /// Positional arguments as JSON, cut. Told once: when it is sent, or received when no sender told.
    pub args: Option<Box<str>>,
    /// Named arguments as JSON, cut. Told with `args`.
    pub kwargs: Option<Box<str>>,
    /// Not before this time (ms).
    pub eta: Option<u64>,
    /// Not after this time (ms).
    pub expires: Option<u64>,
    /// The call that began the chain.
    pub root_id: Option<TaskId>,
    /// The call that sent this one.
    pub parent_id: Option<TaskId>,
    /// How long the function ran.
    pub runtime: Option<Duration>,
    /// The result as JSON, cut.
    pub result: Option<Box<str>>,
    /// What went wrong, as `type: message`, or why it was rejected; cut.
    pub exception: Option<Box<str>>,
    /// The chain of causes, outermost first, a line each; cut.
    pub traceback: Option<Box<str>>,
    /// With rejected: it waits in its queue again.
    pub requeued: bool,
    /// With rejected: its process died while it held it.
    pub crashed: bool,
    /// With revoked: its time was over before it ran.
    pub expired: bool,
    /// With revoked: it ran, and was cut off.
    pub terminated: bool,
}

/// The kinds of events about workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkerEventKind {
    /// `worker-online`: it registered.
    Online,
    /// `worker-heartbeat`: it renewed its registration.
    Heartbeat,
    /// `worker-offline`: it withdrew, or its registration lapsed.
    Offline,
}

/// One fact about a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerEvent {
    /// Which fact.
    pub kind: WorkerEventKind,
    /// The node name.
    pub node: Box<str>,
    /// Its process.
    pub pid: u32,
    /// How many tasks it runs at this moment.
    pub active: usize,
    /// How many runs it has ended since its start.
    pub processed: u64,
    /// Its version of taskq.
    pub version: Box<str>,
}

/// What a worker tells of one attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The message as it was decoded.
    pub message: Arc<Message>,
    /// When it was decoded (ms, the worker's clock); `None`: not decoded, or told before.
    pub received: Option<u64>,
    /// When its function began (ms, the worker's clock); `None`: it did not, or that was told before.
    pub started: Option<u64>,
    /// How long the function ran; `None`: it did not.
    pub runtime: Option<Duration>,
    /// The result as JSON, or what went wrong as `type: message`; [cut](cut_text).
    pub said: Option<Box<str>>,
    /// The chain of causes, a line each; [cut](cut_text).
    pub traceback: Option<Box<str>>,
}

/// At most [`MAX_CHARS`] characters of `text`, the sign for what is left out included.
#[must_use]
pub fn cut_text(text: &str) -> Box<str> {
    match text.char_indices().nth(MAX_CHARS) {
        None => text.into(),
        Some(_) => {
            let kept = text
                .char_indices()
                .nth(MAX_CHARS - 1)
                .map_or(0, |(at, _)| at);
            format!("{}…", &text[..kept]).into()
        }
    }
}

/// Where a reader of events stands: in the stream of each queue and of the fleet.
///
/// It can be stored (as JSON) and gone on from, with another process and another day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPosition {
    /// Stream → the last entry that was read. What is not in here is read from the beginning, or only what is new.
    pub(crate) read: BTreeMap<String, String>,
    /// Streams that are not in `read` are read from their oldest entry on.
    pub(crate) from_oldest: bool,
}

impl EventPosition {
    /// Before everything that is still kept.
    #[must_use]
    pub fn oldest() -> Self {
        Self {
            read: BTreeMap::new(),
            from_oldest: true,
        }
    }

    /// Behind everything that is there when it is first read with.
    #[must_use]
    pub fn newest() -> Self {
        Self {
            read: BTreeMap::new(),
            from_oldest: false,
        }
    }

    /// Whether who stands here has read all that lies before `end`, the [`next`](EventPage::next) of another page of the
    /// same broker.
    ///
    /// So a reader that began with the oldest knows when it has read what was there: `end` is that of a page of
    /// [`newest`](Self::newest). A broker that was emptied meanwhile is never there; its pages do not move on any more.
    #[must_use]
    pub fn has_reached(&self, end: &Self) -> bool {
        end.read.iter().all(|(stream, end)| {
            let here = self.read.get(stream).and_then(|here| place(here));
            here.zip(place(end))
                .is_some_and(|(here, end)| here.0 == end.0 && here.1 >= end.1)
        })
    }
}

/// Whose numbers these are, and the number of an entry: brokers write `<ms>-<n>`, or `<writer>/<number>` and more behind it.
fn place(entry: &str) -> Option<(&str, (u64, u64))> {
    if let Some((writer, rest)) = entry.split_once('/') {
        let number = rest.split('/').next()?;
        return Some((writer, (number.parse().ok()?, 0)));
    }
    let (ms, n) = entry.split_once('-')?;
    Some(("", (ms.parse().ok()?, n.parse().ok()?)))
}

/// Some events, and where to go on.
#[derive(Debug, Clone)]
pub struct EventPage {
    /// In the order of their times.
    pub events: Vec<Event>,
    /// Where the next page begins.
    pub next: EventPosition,
    /// Events between the position and these were dropped before they were read: the reader was too slow, or the
    /// broker was emptied.
    pub missed: bool,
}
