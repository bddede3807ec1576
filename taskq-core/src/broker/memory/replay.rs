//! Dead messages leave the dead set: back into their queue, or for good.

use super::store::Store;
use super::stream::Tale;
use crate::broker::DeadHandle;
use crate::broker::marked::Marked;
use crate::broker::revive::{check_number, revive};
use crate::error::Error;
use crate::id::QueueName;

impl Store {
    pub(super) fn replay(
        &mut self,
        name: &QueueName,
        dead: &[DeadHandle],
        now: u64,
    ) -> Result<usize, Error> {
        check_number(dead)?;
        let Some(queue) = self.queues.get_mut(name) else {
            return Ok(0);
        };
        queue.dead.expire(now);
        // All are read before one is moved: what can not be is refused with the others.
        let mut leaving = Vec::with_capacity(dead.len());
        for handle in dead {
            if let Some(entry) = queue.dead.get(handle) {
                leaving.push((handle, revive(&entry.body, name, now)?));
            }
        }
        self.check_room(
            leaving.len(),
            leaving.iter().map(|(_, new)| new.body.len()).sum(),
        )?;
        let Some(at) = self.at(name) else {
            return Ok(0);
        };
        let mut replayed = 0;
        for (handle, new) in leaving {
            if at.queue.dead.take(handle).is_none() {
                continue;
            }
            replayed += 1;
            at.queue.totals.sent += 1;
            at.queue.revoked.forget(new.id);
            if let Some(record) = new.record {
                at.queue.records.revive(record, now);
            }
            at.queue
                .stream
                .tell(Tale::Task(Box::new(new.told), None), now);
            at.owed.add(new.body.len());
            let message = Marked {
                body: new.body,
                priority: new.priority,
                crashes: 0,
            };
            at.queue.push(message, now, now);
        }
        Ok(replayed)
    }

    pub(super) fn discard(
        &mut self,
        name: &QueueName,
        dead: &[DeadHandle],
    ) -> Result<usize, Error> {
        check_number(dead)?;
        let Some(queue) = self.queues.get_mut(name) else {
            return Ok(0);
        };
        let gone = dead.iter().filter_map(|handle| queue.dead.take(handle));
        Ok(gone.count())
    }
}
