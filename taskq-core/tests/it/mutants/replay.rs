//! What the mutant does with the dead: replays and drops.

use std::time::Duration;

use bytes::Bytes;
use taskq_core::broker::{
    Broker, Control, DeadHandle, DeadMessage, Due, Inspect, Outgoing, Results,
};
use taskq_core::event::Told;
use taskq_core::revocation::Revocation;
use taskq_core::{Error, Message, QueueName, Record, State, TaskId};

use super::{Flaw, Mutant};

/// One call takes so many.
const AT_ONCE: usize = 999;

impl Mutant {
    pub(super) async fn bent_replay(
        &self,
        queue: &QueueName,
        dead: &[DeadHandle],
    ) -> Result<usize, Error> {
        let all = self.inner.dead(queue, 0, 1_000).await?;
        let meant = |d: &&DeadMessage| dead.contains(&d.handle);
        let bodies: Vec<Bytes> = all.iter().filter(meant).map(|d| d.body.clone()).collect();
        let mut dead = dead.to_vec();
        match self.flaw {
            Flaw::ReplaysNothing => return Ok(bodies.len()),
            Flaw::ReplaysAsItDied | Flaw::ReplaysAtPriorityZero => {
                return self.resend(queue, &dead, &bodies).await;
            }
            Flaw::ReplaysTwice if bodies.is_empty() => {
                let known = self.notes().replayed.clone();
                return self.resend(queue, &dead, &known).await;
            }
            Flaw::ReplaysEqualsTogether => {
                let equal = all.iter().filter(|d| bodies.contains(&d.body));
                dead = equal.map(|d| d.handle.clone()).collect();
            }
            Flaw::ReplaysTheReadable => {
                let broken = |d: &&DeadMessage| Message::decode(&d.body).is_err();
                let broken: Vec<_> = all.iter().filter(broken).map(|d| &d.handle).collect();
                dead.retain(|handle| !broken.contains(&handle));
            }
            _ => {}
        }
        let before = self.records_of(queue, &bodies).await?;
        let at_once = match self.flaw {
            Flaw::TakesAnyNumberOfDead => AT_ONCE,
            _ => dead.len().max(1),
        };
        let mut replayed = 0;
        for part in dead.chunks(at_once) {
            replayed += self.inner.replay(queue, part).await?;
        }
        if self.flaw == Flaw::ReplayLeavesTheRevocation {
            let ids = bodies.iter().filter_map(|b| Message::decode(b).ok());
            let again: Vec<_> = ids.map(|m| Revocation::Id(m.id)).collect();
            self.inner.revoke(queue, &again).await?;
        }
        self.notes().replays += replayed;
        self.notes().replayed.extend(bodies);
        for (id, record) in before {
            let instead = match (self.flaw, record) {
                (Flaw::ReplayLeavesTheRecord, record) => record,
                (Flaw::RecordsEveryReplay, None) => Some(queued(id, queue)),
                (Flaw::ReplayOverwritesSuccess, Some(r)) if r.state == State::Success => {
                    Some(queued(id, queue))
                }
                _ => None,
            };
            let mut notes = self.notes();
            notes.instead.extend(instead.map(|record| (id, record)));
        }
        Ok(replayed)
    }

    pub(super) async fn bent_discard(
        &self,
        queue: &QueueName,
        dead: &[DeadHandle],
    ) -> Result<usize, Error> {
        let at_once = match self.flaw {
            Flaw::DropsNothing => return Ok(dead.len()),
            Flaw::TakesAnyNumberOfDead => AT_ONCE,
            Flaw::ReplaysWhatIsDropped => return self.inner.replay(queue, dead).await,
            _ => dead.len().max(1),
        };
        let mut dropped = 0;
        for part in dead.chunks(at_once) {
            dropped += self.inner.discard(queue, part).await?;
        }
        Ok(dropped)
    }

    /// Drops them and sends these messages instead, as they are.
    async fn resend(
        &self,
        queue: &QueueName,
        dead: &[DeadHandle],
        bodies: &[Bytes],
    ) -> Result<usize, Error> {
        self.inner.discard(queue, dead).await?;
        let mut batch = Vec::new();
        for body in bodies {
            let message = Message::decode(body).map_err(|e| Error::invalid(e.to_string()))?;
            batch.push(Outgoing {
                id: message.id,
                body: body.clone(),
                priority: match self.flaw {
                    Flaw::ReplaysAtPriorityZero => 0,
                    _ => message.priority,
                },
                due: Due::Now,
                record: None,
                once: None,
                event: Some(Told::sent(&message)),
            });
        }
        self.inner.enqueue(queue, &batch, Duration::ZERO).await?;
        Ok(batch.len())
    }

    async fn records_of(
        &self,
        queue: &QueueName,
        bodies: &[Bytes],
    ) -> Result<Vec<(TaskId, Option<Record>)>, Error> {
        let mut records = Vec::new();
        for message in bodies.iter().filter_map(|b| Message::decode(b).ok()) {
            let record = self.inner.record(message.id, Some(queue)).await?;
            records.push((message.id, record));
        }
        Ok(records)
    }
}

fn queued(id: TaskId, queue: &QueueName) -> Record {
    Record::new(id, "", queue, State::Queued)
}
