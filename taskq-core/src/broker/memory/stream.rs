//! What was told at one queue, or of the fleet: a ring bounded by age, count and bytes, oldest out first.

use std::collections::VecDeque;
use std::sync::Arc;

use super::DAY_MS;
use crate::event::{Event, Fact, Told, WorkerEvent};
use crate::id::QueueName;

const KEPT_MS: u64 = DAY_MS;
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: usize = 8 << 20;

#[derive(Debug, Default)]
pub(super) struct Stream {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// How many were ever told: the number of the newest; the first has number 1.
    told: u64,
}

/// One thing told, as it lies here.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) at: u64,
    tale: Tale,
}

#[derive(Debug, Clone)]
pub(super) enum Tale {
    /// What a step came to for one message, and the node name of the worker that tells it.
    Task(Box<Told>, Option<Arc<str>>),
    Worker(Box<WorkerEvent>),
}

impl Stream {
    pub(super) fn tell(&mut self, tale: Tale, now: u64) {
        let entry = Entry { at: now, tale };
        self.bytes += entry.size();
        self.entries.push_back(entry);
        self.told += 1;
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            self.pop_oldest();
        }
    }

    pub(super) fn expire(&mut self, now: u64) {
        while self.entries.front().is_some_and(|e| e.at + KEPT_MS <= now) {
            self.pop_oldest();
        }
    }

    pub(super) fn newest(&self) -> u64 {
        self.told
    }

    /// The number of the last one that was dropped, 0 if none was.
    pub(super) fn dropped(&self) -> u64 {
        self.told - self.entries.len() as u64
    }

    /// The entry with this number; `None`: not told yet, or dropped.
    pub(super) fn entry(&self, number: u64) -> Option<&Entry> {
        let place = number.checked_sub(self.dropped() + 1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    fn pop_oldest(&mut self) {
        if let Some(gone) = self.entries.pop_front() {
            self.bytes -= gone.size();
        }
    }
}

impl Entry {
    /// The events it stands for; `queue` is the one whose stream holds it.
    pub(super) fn expand(self, queue: Option<&QueueName>) -> Vec<Event> {
        match (self.tale, queue) {
            (Tale::Task(told, worker), Some(queue)) => told.expand(self.at, queue, worker.as_ref()),
            (Tale::Worker(worker), _) => vec![Event {
                at: self.at,
                queue: None,
                fact: Fact::Worker(worker),
            }],
            // Nobody tells of a task in the fleet's stream.
            (Tale::Task(..), None) => Vec::new(),
        }
    }

    fn size(&self) -> usize {
        let texts = match &self.tale {
            Tale::Task(told, _) => {
                let texts = [&told.said, &told.traceback, &told.args, &told.kwargs];
                let texts: usize = texts.into_iter().flatten().map(|t| t.len()).sum();
                size_of::<Told>() + told.task.len() + texts
            }
            Tale::Worker(worker) => {
                size_of::<WorkerEvent>() + worker.node.len() + worker.version.len()
            }
        };
        size_of::<Self>() + texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn sent(chars: usize) -> Tale {
        let mut message = Message::new("t");
        message.args = serde_json::value::to_raw_value(&["x".repeat(chars)]).ok();
        Tale::Task(Box::new(Told::sent(&message)), None)
    }

    #[test]
    fn the_oldest_leave_when_there_are_too_many() {
        let mut stream = Stream::default();
        for at in 0..=MAX_ENTRIES as u64 {
            stream.tell(sent(0), at);
        }
        assert_eq!((stream.dropped(), stream.newest()), (1, 10_001));
        assert!(stream.entry(1).is_none());
        assert_eq!(stream.entry(2).map(|e| e.at), Some(1));
        assert_eq!(stream.entry(10_001).map(|e| e.at), Some(10_000));
        assert!(stream.entry(10_002).is_none());
    }

    #[test]
    fn the_oldest_leave_when_they_weigh_too_much() {
        let mut stream = Stream::default();
        for _ in 0..9_000 {
            stream.tell(sent(2_000), 0);
        }
        assert!(
            stream.bytes <= MAX_BYTES && stream.dropped() > 0,
            "{}",
            stream.bytes
        );
        assert!(stream.bytes > MAX_BYTES - 4_096);
    }

    #[test]
    fn they_leave_after_a_day() {
        let mut stream = Stream::default();
        stream.tell(sent(3), 0);
        stream.expire(KEPT_MS - 1);
        assert_eq!(stream.dropped(), 0);
        stream.expire(KEPT_MS);
        assert_eq!((stream.dropped(), stream.bytes), (1, 0));
    }
}
