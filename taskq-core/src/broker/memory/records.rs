//! The records of one queue: kept for a day after their last write (failures for a week), bounded by count and bytes.

use std::collections::{BTreeSet, HashMap};

use super::DAY_MS;
use crate::id::TaskId;
use crate::record::Record;
use crate::state::State;

const MAX_RECORDS: usize = 1_000_000;
const MAX_BYTES: usize = 256 << 20;

#[derive(Debug, Default)]
pub(super) struct Records {
    by_id: HashMap<TaskId, Kept>,
    by_deadline: BTreeSet<(u64, TaskId)>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    record: Record,
    until: u64,
}

impl Records {
    /// The first record of a message on its way in: written only where there is none.
    pub(super) fn begin(&mut self, record: Record, now: u64, due: u64) {
        self.expire(now);
        if !self.by_id.contains_key(&record.id) {
            self.put(record, now, due);
        }
    }

    /// What a verdict, a start or a sweep writes: a final record stands for ever.
    pub(super) fn write(&mut self, record: Record, now: u64, due: u64) {
        self.expire(now);
        let stands = self.by_id.get(&record.id);
        if !stands.is_some_and(|k| k.record.state.is_final()) {
            self.put(record, now, due);
        }
    }

    /// The first record of a message that is replayed: over FAILURE and DEAD, and where there is none.
    pub(super) fn revive(&mut self, record: Record, now: u64) {
        self.expire(now);
        let before = self.by_id.get(&record.id).map(|k| k.record.state);
        if before.is_none_or(|state| matches!(state, State::Failure | State::Dead)) {
            self.put(record, now, now);
        }
    }

    /// The record as it reads now.
    pub(super) fn get(&mut self, id: TaskId, now: u64) -> Option<Record> {
        self.expire(now);
        self.by_id.get(&id).map(|k| k.record.clone().read_at(now))
    }

    /// The record as it was written.
    pub(super) fn written(&self, id: TaskId) -> Option<&Record> {
        self.by_id.get(&id).map(|k| &k.record)
    }

    /// When its task is due, as far as its retention tells.
    pub(super) fn due(&self, id: TaskId) -> u64 {
        let until = self.by_id.get(&id).map_or(0, |k| k.until);
        until.saturating_sub(DAY_MS)
    }

    /// The record if it reads as final now.
    pub(super) fn get_final(&mut self, id: TaskId, now: u64) -> Option<Record> {
        self.get(id, now).filter(|r| r.state.is_final())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.by_deadline.is_empty() && self.bytes == 0
    }

    /// Retention counts from `due`, where that lies in the future: a record outlives its task's wait.
    fn put(&mut self, record: Record, now: u64, due: u64) {
        let days = match record.state {
            State::Failure | State::Dead => 7,
            _ => 1,
        };
        let until = now.max(due).saturating_add(days * DAY_MS);
        let id = record.id;
        self.bytes += size(&record);
        self.by_deadline.insert((until, id));
        if let Some(old) = self.by_id.insert(id, Kept { record, until }) {
            self.bytes -= size(&old.record);
            if old.until != until {
                self.by_deadline.remove(&(old.until, id));
            }
        }
        while self.by_id.len() > MAX_RECORDS || self.bytes > MAX_BYTES {
            self.drop_first();
        }
    }

    pub(super) fn expire(&mut self, now: u64) {
        while self.by_deadline.first().is_some_and(|(at, _)| *at <= now) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, id)) = self.by_deadline.pop_first()
            && let Some(gone) = self.by_id.remove(&id)
        {
            self.bytes -= size(&gone.record);
        }
    }
}

fn size(record: &Record) -> usize {
    let result = record.result.as_ref().map_or(0, |r| r.get().len());
    let error = record.error.as_ref().map_or(0, |e| {
        e.kind.len() + e.message.len() + e.chain.iter().map(String::len).sum::<usize>()
    });
    let note = record.progress.as_ref().and_then(|p| p.note.as_ref());
    let progress = note.map_or(0, String::len);
    size_of::<Kept>() + record.task.len() + result + error + progress
}
