//! Everything the broker holds, behind one lock: in, out, ended, given back.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::mpsc;

use super::MESSAGE_LIMIT;
use super::clock::ceil_ms;
use super::fleet::Fleet;
use super::queue::Queue;
use super::session::{Marked, Session};
use crate::broker::{DeadMessage, Delivery, Due, End, Finished, Outgoing, Receipt, Verdict};
use crate::control::Reply;
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;
use crate::message::MAX_BYTES;

pub(super) const MAX_MESSAGES: usize = 1_000_000;
pub(super) const MAX_MESSAGE_BYTES: usize = 1 << 30;
pub(super) const MAX_QUEUES: usize = 1_000;
const MAX_CONSUMERS: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) queues: BTreeMap<QueueName, Queue>,
    pub(super) fleet: Fleet,
    /// Where answers go, by `reply_to`; each leaves with its asker.
    pub(super) askers: HashMap<String, mpsc::Sender<Reply>>,
    owed: Usage,
    tags: u64,
    consumers: u64,
}

/// What is accepted and not ended, over all queues.
#[derive(Debug, Default)]
pub(super) struct Usage {
    messages: usize,
    bytes: usize,
}

impl Usage {
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
    }

    pub(super) fn remove(&mut self, bytes: usize) {
        self.messages -= 1;
        self.bytes -= bytes;
    }
}

impl Store {
    pub(super) fn enqueue(
        &mut self,
        name: &QueueName,
        batch: &[Outgoing],
        now: u64,
    ) -> Result<(), Error> {
        check_batch(batch)?;
        self.check_room(batch.len(), batch.iter().map(|m| m.body.len()).sum())?;
        let queue = queue_mut(&mut self.queues, name)?;
        for out in batch {
            let due = match out.due {
                Due::Now => now,
                Due::In(wait) => now.saturating_add(ceil_ms(wait)),
                Due::At(at) => at,
            };
            if let Some(record) = &out.record {
                let mut record = record.clone();
                record.id = out.id;
                queue.records.begin(record, now, due);
            }
            self.owed.add(out.body.len());
            let message = Marked {
                body: out.body.clone(),
                priority: out.priority,
                crashes: 0,
            };
            queue.push(message, due, now);
        }
        Ok(())
    }

    /// What came from elsewhere: no record, no check but the room.
    pub(super) fn push_raw(&mut self, name: &QueueName, message: Marked) -> Result<(), Error> {
        self.check_room(1, message.body.len())?;
        let size = message.body.len();
        queue_mut(&mut self.queues, name)?.push(message, 0, 0);
        self.owed.add(size);
        Ok(())
    }

    /// A new consumer's number, with a session at each of its queues; answers also the shortest lease in force.
    pub(super) fn open(
        &mut self,
        queues: &[QueueName],
        lease_ms: u64,
        now: u64,
    ) -> Result<(u64, u64), Error> {
        let open: usize = self.queues.values().map(|q| q.sessions.len()).sum();
        if open + queues.len() > MAX_CONSUMERS {
            return Err(full(format!("{open} sessions are open")));
        }
        self.consumers += 1;
        let mut shortest = lease_ms;
        for name in queues {
            let queue = queue_mut(&mut self.queues, name)?;
            shortest = shortest.min(reopen(queue, self.consumers, lease_ms, now).lease_ms);
        }
        Ok((self.consumers, shortest))
    }

    /// Up to `max` deliveries, suspects first, at most one suspect out per consumer.
    pub(super) fn claim(
        &mut self,
        consumer: u64,
        lease_ms: u64,
        queues: &[&QueueName],
        max: usize,
        now: u64,
    ) -> Vec<Delivery> {
        let max = max.min(super::BATCH_LIMIT);
        let mut got: Vec<Delivery> = Vec::new();
        let mut room = MAX_BYTES;
        let mut permit = !queues
            .iter()
            .filter_map(|name| self.queues.get(*name)?.sessions.get(&consumer))
            .any(|s| s.suspect.is_some());
        for &name in queues {
            let Some(queue) = self.queues.get_mut(name) else {
                continue;
            };
            reopen(queue, consumer, lease_ms, now);
            queue.promote(super::BATCH_LIMIT, now);
            while got.len() < max {
                let first = got.is_empty();
                let suspect = if permit { queue.pop_suspect() } else { None };
                let suspected = suspect.is_some();
                let next = suspect.or_else(|| queue.pop(|size| first || size <= room));
                let Some(message) = next else { break };
                if !first {
                    room = room.saturating_sub(message.body.len());
                }
                permit &= !suspected;
                self.tags += 1;
                let session = reopen(queue, consumer, lease_ms, now);
                if suspected {
                    session.suspect = Some(self.tags);
                }
                got.push(Delivery {
                    queue: name.clone(),
                    body: message.body.clone(),
                    priority: message.priority,
                    crashes: message.crashes,
                    suspect: suspected,
                    claimed_at: now,
                    lost: session.lost.child_token(),
                    receipt: Receipt {
                        session: consumer,
                        tag: self.tags,
                    },
                });
                session.held.insert(self.tags, message);
            }
        }
        got
    }

    pub(super) fn finish(
        &mut self,
        consumer: u64,
        name: &QueueName,
        mut verdicts: Vec<Verdict>,
        now: u64,
    ) -> Finished {
        let mut finished = Finished::default();
        let Some(queue) = self.queues.get_mut(name) else {
            finished.lost = verdicts.len();
            return finished;
        };
        // In the order of the claims, whatever order the runs ended in.
        verdicts.sort_by_key(|v| v.receipt.tag);
        let mut returned = Vec::new();
        for verdict in verdicts {
            // No tag is given twice, so what another holds, or held before a loss, is not found here.
            let session = queue.sessions.get_mut(&consumer);
            let Some(message) = session.and_then(|s| s.release(verdict.receipt.tag)) else {
                finished.lost += 1;
                continue;
            };
            finished.applied += 1;
            self.owed.remove(message.body.len());
            let mut due = now;
            match verdict.end {
                End::Done | End::Revoked { .. } => {}
                End::Retry { after, body } => {
                    due = now.saturating_add(ceil_ms(after));
                    self.owed.add(body.len());
                    queue.push(Marked { body, ..message }, due, now);
                }
                End::Snooze(after) => {
                    due = now.saturating_add(ceil_ms(after));
                    self.owed.add(message.body.len());
                    queue.push(message, due, now);
                }
                End::Return => {
                    self.owed.add(message.body.len());
                    returned.push(message);
                }
                End::Dead { state, reason } => queue.dead.push(DeadMessage {
                    body: message.body,
                    state,
                    reason,
                    at: now,
                }),
            }
            if let Some(record) = verdict.record {
                queue.records.write(record, now, due);
            }
        }
        returned
            .into_iter()
            .rev()
            .for_each(|message| queue.put_back(message));
        finished
    }

    pub(super) fn queue_and_owed(&mut self, name: &QueueName) -> Option<(&mut Queue, &mut Usage)> {
        let queue = self.queues.get_mut(name)?;
        Some((queue, &mut self.owed))
    }

    fn check_room(&self, messages: usize, bytes: usize) -> Result<(), Error> {
        if self.owed.messages + messages > MAX_MESSAGES
            || self.owed.bytes + bytes > MAX_MESSAGE_BYTES
        {
            return Err(full(format!("{} messages wait", self.owed.messages)));
        }
        Ok(())
    }
}

/// The session of `consumer`; a new one where it was lost. The lease in force at a queue is the earliest worker's.
pub(super) fn reopen(queue: &mut Queue, consumer: u64, lease_ms: u64, now: u64) -> &mut Session {
    let in_force = queue
        .sessions
        .values()
        .next()
        .map_or(lease_ms, |s| s.lease_ms);
    queue
        .sessions
        .entry(consumer)
        .or_insert_with(|| Session::open(in_force, now))
}

fn queue_mut<'a>(
    queues: &'a mut BTreeMap<QueueName, Queue>,
    name: &QueueName,
) -> Result<&'a mut Queue, Error> {
    if !queues.contains_key(name) && queues.len() >= MAX_QUEUES {
        return Err(full(format!("there are {MAX_QUEUES} queues")));
    }
    Ok(queues.entry(name.clone()).or_default())
}

fn check_batch(batch: &[Outgoing]) -> Result<(), Error> {
    let beyond: usize = batch.iter().skip(1).map(|m| m.body.len()).sum();
    if batch.len() > super::BATCH_LIMIT || beyond > MAX_BYTES {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "a batch of {} messages with {beyond} bytes beyond the first is too large: send at most {} messages and {MAX_BYTES} such bytes at once",
                batch.len(),
                super::BATCH_LIMIT
            ),
        ));
    }
    for out in batch {
        if out.priority > 9 {
            return Err(Error::invalid(format!(
                "the priority of message {} is {}, it goes from 0 to 9",
                out.id, out.priority
            )));
        }
        if out.body.len() > MESSAGE_LIMIT {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "message {} has {} bytes, the limit is {MESSAGE_LIMIT}",
                    out.id,
                    out.body.len()
                ),
            ));
        }
    }
    Ok(())
}

fn full(what: String) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("the memory broker is full, {what}: let workers catch up, or use a Redis broker"),
    )
}
