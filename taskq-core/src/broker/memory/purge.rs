//! Purging a queue: what waits, is held back or is delayed there is over.

use super::store::Store;
use super::stream::Tale;
use crate::broker::RevokeCause;
use crate::event::Told;
use crate::id::{QueueName, TaskId};
use crate::message::{MAX_BYTES, Message};
use crate::record::Record;
use crate::state::State;

impl Store {
    /// Ends up to `most` messages as REVOKED, and at most 1 MiB beyond the first; how many.
    pub(super) fn purge(&mut self, name: &QueueName, most: usize, now: u64) -> usize {
        let Some(mut at) = self.at(name) else {
            return 0;
        };
        at.queue.records.expire(now);
        let (mut purged, mut room) = (0, MAX_BYTES);
        while purged < most.min(super::BATCH_LIMIT) {
            let first = purged == 0;
            let Some(gone) = at.queue.pop_any(|size| first || size <= room) else {
                break;
            };
            room -= if first { 0 } else { gone.body.len() };
            purged += 1;
            at.owed.remove(gone.body.len());
            at.queue.totals.revoked += 1;
            let (id, task, message) = match Message::decode(&gone.body) {
                Ok(message) => (message.id, message.task.clone(), Some(message)),
                Err(error) => match error.id.filter(|id| *id != TaskId::NIL) {
                    Some(id) => (id, error.task.unwrap_or_default(), None),
                    None => continue,
                },
            };
            let stands = at.queue.records.written(id).cloned();
            if stands.as_ref().is_some_and(|r| r.state.is_final()) {
                continue;
            }
            let retries = message.as_ref().map_or(0, |m| m.retries);
            let told = Told::revoked(id, &task, retries);
            at.queue.stream.tell(Tale::Task(Box::new(told), None), now);
            if message.is_none_or(|m| !m.ignore_result) {
                let record = Record {
                    state: State::Revoked,
                    error: RevokeCause::Purged.failure(),
                    attempts: retries,
                    crashes: gone.crashes.into(),
                    finished: Some(now),
                    due: None,
                    ..stands.unwrap_or_else(|| Record::new(id, &task, name, State::Revoked))
                };
                let due = at.queue.records.due(id);
                at.write(name, record, now, due);
            }
        }
        purged
    }
}
