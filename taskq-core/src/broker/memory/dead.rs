//! The dead set of one queue: bounded by age, count and bytes, oldest out first.

use std::collections::VecDeque;

use bytes::Bytes;

use super::DAY_MS;
use crate::broker::{DeadHandle, DeadMessage};

const KEPT_MS: u64 = 7 * DAY_MS;
const MAX_ENTRIES: usize = 10_000;
const MAX_BYTES: usize = 64 << 20;

#[derive(Debug, Default)]
pub(super) struct DeadSet {
    entries: VecDeque<DeadMessage>,
    bytes: usize,
    /// How many there have ever been: numbers the next one.
    pushed: u64,
}

impl DeadSet {
    /// `entry` under a handle of its own.
    pub(super) fn push(&mut self, mut entry: DeadMessage) {
        self.pushed += 1;
        entry.handle = DeadHandle(Bytes::copy_from_slice(&self.pushed.to_be_bytes()));
        let now = entry.at;
        self.bytes += size(&entry);
        self.entries.push_back(entry);
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            self.pop_oldest();
        }
        self.expire(now);
    }

    pub(super) fn expire(&mut self, now: u64) {
        while self.entries.front().is_some_and(|e| e.at + KEPT_MS <= now) {
            self.pop_oldest();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry known by `handle`.
    pub(super) fn get(&self, handle: &DeadHandle) -> Option<&DeadMessage> {
        self.entries.get(self.place(handle)?)
    }

    /// Takes the entry known by `handle` out.
    pub(super) fn take(&mut self, handle: &DeadHandle) -> Option<DeadMessage> {
        let gone = self.entries.remove(self.place(handle)?)?;
        self.bytes -= size(&gone);
        Some(gone)
    }

    /// Handles are numbers that grow.
    fn place(&self, handle: &DeadHandle) -> Option<usize> {
        self.entries
            .binary_search_by(|e| e.handle.0.cmp(&handle.0))
            .ok()
    }

    pub(super) fn newest(&self, skip: usize, limit: usize) -> Vec<DeadMessage> {
        let newest = self.entries.iter().rev();
        newest.skip(skip).take(limit).cloned().collect()
    }

    fn pop_oldest(&mut self) {
        if let Some(gone) = self.entries.pop_front() {
            self.bytes -= size(&gone);
        }
    }
}

fn size(entry: &DeadMessage) -> usize {
    entry.body.len() + entry.reason.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    fn entry(at: u64, bytes: usize) -> DeadMessage {
        DeadMessage {
            handle: DeadHandle::default(),
            body: Bytes::from(vec![b'x'; bytes]),
            state: State::Dead,
            reason: String::new(),
            at,
        }
    }

    #[test]
    fn the_oldest_leave_when_there_are_too_many() {
        let mut dead = DeadSet::default();
        for at in 0..=MAX_ENTRIES as u64 {
            dead.push(entry(at, 1));
        }
        assert_eq!(dead.len(), MAX_ENTRIES);
        assert_eq!(dead.newest(0, usize::MAX).last().map(|e| e.at), Some(1));
    }

    #[test]
    fn the_oldest_leave_when_they_weigh_too_much() {
        let mut dead = DeadSet::default();
        for at in 0..65 {
            dead.push(entry(at, 1 << 20));
        }
        assert_eq!(dead.len(), 64);
    }

    #[test]
    fn one_is_taken_out_by_its_handle() {
        let mut dead = DeadSet::default();
        for bytes in 1..=3 {
            dead.push(entry(0, bytes));
        }
        let middle = dead.newest(1, 1).remove(0).handle;
        assert_eq!(dead.get(&middle).map(|e| e.body.len()), Some(2));
        assert_eq!(dead.take(&middle).map(|e| e.body.len()), Some(2));
        assert!(dead.take(&middle).is_none() && dead.get(&middle).is_none());
        assert_eq!((dead.len(), dead.bytes), (2, 4));
    }

    #[test]
    fn they_leave_after_a_week() {
        let mut dead = DeadSet::default();
        dead.push(entry(0, 1));
        dead.expire(KEPT_MS - 1);
        assert_eq!(dead.len(), 1);
        dead.expire(KEPT_MS);
        assert_eq!((dead.len(), dead.bytes), (0, 0));
    }
}
