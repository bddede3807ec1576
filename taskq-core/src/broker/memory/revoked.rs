//! What is revoked at one queue: bounded, each entry for its time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::DAY_MS;
use super::store::Store;
use super::stream::Tale;
use crate::broker::{MAX_REVOKED, RevokeCause};
use crate::error::{Error, ErrorKind};
use crate::event::Told;
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::revocation::{Revocation, Revocations};
use crate::state::State;

const KEPT_MS: u64 = 7 * DAY_MS;

#[derive(Debug, Default)]
pub(super) struct Revoked {
    kept: HashMap<Revocation, Kept>,
    /// The end of the one that leaves first.
    first_end: u64,
    /// What claims answer: made anew with each change.
    all: Arc<Revocations>,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    at: u64,
    until: u64,
    told: bool,
}

impl Revoked {
    /// What is revoked at `now`.
    pub(super) fn read(&mut self, now: u64) -> Arc<Revocations> {
        self.expire(now);
        self.all.clone()
    }

    pub(super) fn expire(&mut self, now: u64) {
        if !self.kept.is_empty() && self.first_end <= now {
            self.kept.retain(|_, kept| kept.until > now);
            self.changed();
        }
    }

    /// Each with a time until which it is kept at least, but for its seven days.
    fn add(&mut self, what: Vec<(Revocation, u64)>, now: u64) -> Result<(), Error> {
        self.expire(now);
        let fresh = what.iter().map(|(one, _)| one);
        let fresh: HashSet<_> = fresh.filter(|one| !self.kept.contains_key(one)).collect();
        if self.kept.len() + fresh.len() > MAX_REVOKED {
            return Err(full(self.kept.len()));
        }
        for (one, due) in what {
            let until = now.max(due).saturating_add(KEPT_MS);
            let kept = self.kept.entry(one).or_insert(Kept {
                at: now,
                until,
                told: false,
            });
            (kept.at, kept.until) = (now, kept.until.max(until));
        }
        self.changed();
        Ok(())
    }

    /// What is replayed shall run.
    pub(super) fn forget(&mut self, id: TaskId) {
        if self.kept.remove(&Revocation::Id(id)).is_some() {
            self.changed();
        }
    }

    /// The end of `id` was told.
    fn tell(&mut self, id: TaskId) {
        if let Some(kept) = self.kept.get_mut(&Revocation::Id(id)) {
            kept.told = true;
            self.changed();
        }
    }

    fn changed(&mut self) {
        let mut all = Revocations::default();
        for (one, kept) in &self.kept {
            if let (Revocation::Id(id), true) = (one, kept.told) {
                all.add_told(*id);
            }
            all.add(one.clone(), kept.at);
        }
        self.first_end = self.kept.values().map(|k| k.until).min().unwrap_or(0);
        self.all = Arc::new(all);
    }
}

impl Store {
    pub(super) fn revoke(
        &mut self,
        name: &QueueName,
        what: &[Revocation],
        now: u64,
    ) -> Result<(), Error> {
        if what.len() > super::BATCH_LIMIT {
            return Err(too_many(what.len()));
        }
        what.iter().try_for_each(Revocation::check)?;
        let queue = self.queue_mut(name)?;
        let due = |one: &Revocation| match one {
            Revocation::Id(id) => queue.records.get(*id, now).and_then(|r| r.due),
            Revocation::Task(_) | Revocation::Header { .. } => None,
        };
        let due: Vec<u64> = what
            .iter()
            .map(due)
            .map(Option::unwrap_or_default)
            .collect();
        let what = what.iter().cloned().zip(due).collect();
        queue.revoked.add(what, now)
    }

    /// Writes and tells REVOKED of those that have a record which is not final.
    pub(super) fn mark_revoked(
        &mut self,
        name: &QueueName,
        ids: &[TaskId],
        now: u64,
    ) -> Result<Vec<TaskId>, Error> {
        if ids.len() > super::BATCH_LIMIT {
            return Err(too_many(ids.len()));
        }
        let mut marked = Vec::new();
        let Some(mut at) = self.at(name) else {
            return Ok(marked);
        };
        at.queue.records.expire(now);
        for &id in ids {
            // One that is not revoked any more was put back by a replay meanwhile: it runs.
            if !at.queue.revoked.kept.contains_key(&Revocation::Id(id)) {
                continue;
            }
            let stands = at.queue.records.written(id).cloned();
            let Some(stands) = stands.filter(|r| !r.state.is_final()) else {
                continue;
            };
            let told = Told::revoked(id, &stands.task, stands.attempts);
            let due = at.queue.records.due(id);
            let record = Record {
                state: State::Revoked,
                error: RevokeCause::Requested.failure(),
                finished: Some(now),
                due: None,
                ..stands
            };
            at.queue.stream.tell(Tale::Task(Box::new(told), None), now);
            at.write(name, record, now, due);
            at.queue.revoked.tell(id);
            marked.push(id);
        }
        Ok(marked)
    }
}

fn too_many(n: usize) -> Error {
    Error::invalid(format!(
        "{n} are too many for one call: revoke at most {} at once",
        super::BATCH_LIMIT
    ))
}

fn full(kept: usize) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!(
            "{kept} revocations are kept and there is room for {MAX_REVOKED}: revoke by task or header, or wait until the oldest leave"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_made_again_takes_no_room_and_counts_from_then() {
        let mut revoked = Revoked::default();
        let task = Revocation::Task("t".into());
        for at in [5, 9] {
            revoked.add(vec![(task.clone(), 0)], at).unwrap();
        }
        assert_eq!(revoked.kept.len(), 1);
        assert_eq!(revoked.kept[&task].at, 9);
        assert_eq!(revoked.first_end, 9 + KEPT_MS);
    }
}
