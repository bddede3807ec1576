//! Everything the broker holds, behind one lock; what goes in and out.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::mpsc;

use super::clock::ceil_ms;
use super::consumer::Taken;
use super::fleet::Fleet;
use super::queue::Queue;
use super::session::Session;
use super::stream::Tale;
use super::waiters::Waiters;
use crate::broker::marked::Marked;
use crate::broker::outgoing;
use crate::broker::shares::{self, Turn};
use crate::broker::{Accepted, Delivery, Due, Order, Outgoing, Paused, Receipt, Served};
use crate::control::Reply;
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};
use crate::message::MAX_BYTES;
use crate::record::Record;

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
    pub(super) waiters: Waiters,
    owed: Usage,
    tags: u64,
    consumers: u64,
}

/// One queue, and what all queues share.
#[derive(Debug)]
pub(super) struct At<'a> {
    pub(super) queue: &'a mut Queue,
    pub(super) owed: &'a mut Usage,
    waiters: &'a mut Waiters,
}

impl At<'_> {
    /// Writes what a verdict, a start or a sweep says, and wakes those who wait for it.
    pub(super) fn write(&mut self, name: &QueueName, record: Record, now: u64, due: u64) {
        let ended = record.state.is_final().then_some(record.id);
        self.queue.records.write(record, now, due);
        if let Some(id) = ended {
            self.waiters.ring(id, name);
        }
    }
}

/// What is accepted and not ended, over all queues.
#[derive(Debug, Default)]
pub(super) struct Usage {
    messages: usize,
    bytes: usize,
}

impl Usage {
    pub(super) fn add(&mut self, bytes: usize) {
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
    ) -> Result<Accepted, Error> {
        outgoing::check(batch)?;
        self.check_room(batch.len(), batch.iter().map(|m| m.body.len()).sum())?;
        let queue = queue_mut(&mut self.queues, name)?;
        let keys = batch.iter().filter_map(|out| out.once.as_ref());
        queue.keys.check(keys, now)?;
        let mut accepted = Accepted::default();
        for (place, out) in batch.iter().enumerate() {
            let once = out.once.as_ref();
            if let Some(holder) = once.and_then(|once| queue.keys.take(once, out.id, now)) {
                accepted.duplicates.push((place, holder));
                continue;
            }
            queue.totals.sent += 1;
            if let Some(told) = &out.event {
                let tale = Tale::Task(Box::new(told.clone()), None);
                queue.stream.tell(tale, now);
            }
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
        Ok(accepted)
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
        queues: &[Served],
        lease_ms: u64,
        now: u64,
    ) -> Result<(u64, u64), Error> {
        self.check_sessions(queues.len())?;
        self.consumers += 1;
        let mut shortest = lease_ms;
        for served in queues {
            let queue = queue_mut(&mut self.queues, &served.queue)?;
            shortest = shortest.min(reopen(queue, self.consumers, lease_ms, now).lease_ms);
        }
        Ok((self.consumers, shortest))
    }

    /// Opens a consumer's session at one more queue; answers the lease in force there.
    pub(super) fn join(
        &mut self,
        consumer: u64,
        name: &QueueName,
        lease_ms: u64,
        now: u64,
    ) -> Result<u64, Error> {
        self.check_sessions(1)?;
        let queue = queue_mut(&mut self.queues, name)?;
        Ok(reopen(queue, consumer, lease_ms, now).lease_ms)
    }

    fn check_sessions(&self, more: usize) -> Result<(), Error> {
        let open: usize = self.queues.values().map(|q| q.sessions.len()).sum();
        if open + more > MAX_CONSUMERS {
            return Err(full(format!("{open} sessions are open")));
        }
        Ok(())
    }

    /// Whether a consumer holds no suspect at any of these queues.
    pub(super) fn has_permit<'a>(
        &self,
        consumer: u64,
        queues: impl IntoIterator<Item = &'a QueueName>,
    ) -> bool {
        let mut sessions = queues
            .into_iter()
            .filter_map(|name| self.queues.get(name)?.sessions.get(&consumer));
        sessions.all(|s| s.suspect.is_none())
    }

    /// Up to `max` deliveries of the queues in their turn; suspects first, of which `permit` allows one.
    #[expect(clippy::too_many_arguments, reason = "a claim is all of these")]
    pub(super) fn claim(
        &mut self,
        consumer: u64,
        lease_ms: u64,
        queues: &mut [&mut Taken],
        order: Order,
        max: usize,
        mut permit: bool,
        now: u64,
    ) -> Vec<Delivery> {
        let max = max.min(super::BATCH_LIMIT);
        let mut got: Vec<Delivery> = Vec::new();
        let mut room = MAX_BYTES;
        let mut given = vec![0; queues.len()];
        let mut open: Vec<usize> = Vec::with_capacity(queues.len());
        for (i, taken) in queues.iter().enumerate() {
            let Some(queue) = self.queues.get_mut(&taken.served.queue) else {
                continue;
            };
            reopen(queue, consumer, lease_ms, now);
            if queue.paused.is_none() {
                queue.promote(super::BATCH_LIMIT, now);
                open.push(i);
            }
        }
        while got.len() < max {
            let turn = |i: &usize| match order {
                Order::Strict => 0,
                Order::Weighted => queues[*i].pass_after(given[*i] as u64),
            };
            let Some(i) = open.iter().copied().min_by_key(turn) else {
                break;
            };
            let name = &queues[i].served.queue;
            let first = got.is_empty();
            let next = self.queues.get_mut(name).and_then(|queue| {
                let suspect = if permit { queue.pop_suspect() } else { None };
                let suspected = suspect.is_some();
                let next = suspect.or_else(|| queue.pop(|size| first || size <= room))?;
                let revoked = queue.revoked.read(now);
                Some((queue, next, suspected, revoked))
            });
            let Some((queue, message, suspected, revoked)) = next else {
                open.retain(|&at| at != i);
                continue;
            };
            if !first {
                room = room.saturating_sub(message.body.len());
            }
            permit &= !suspected;
            given[i] += 1;
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
                revoked,
                receipt: Receipt {
                    session: consumer,
                    tag: self.tags,
                },
            });
            session.held.insert(self.tags, message);
        }
        let turns = queues.iter_mut().zip(given).map(|(taken, got)| Turn {
            weight: taken.served.weight,
            pass: &mut taken.pass,
            asked: got > 0,
            got,
            hungry: got > 0,
        });
        shares::settle(&mut turns.collect::<Vec<_>>());
        got
    }

    /// A queue, made if there is room for one more.
    pub(super) fn queue_mut(&mut self, name: &QueueName) -> Result<&mut Queue, Error> {
        queue_mut(&mut self.queues, name)
    }

    /// A known queue, and what all queues share.
    pub(super) fn at(&mut self, name: &QueueName) -> Option<At<'_>> {
        Some(At {
            queue: self.queues.get_mut(name)?,
            owed: &mut self.owed,
            waiters: &mut self.waiters,
        })
    }

    /// The record of `id` if it reads as final; without a queue all are asked.
    pub(super) fn final_record(
        &mut self,
        id: TaskId,
        queue: Option<&QueueName>,
        now: u64,
    ) -> Option<Record> {
        match queue {
            Some(name) => self.queues.get_mut(name)?.records.get_final(id, now),
            None => {
                let mut records = self.queues.values_mut().map(|q| &mut q.records);
                records.find_map(|r| r.get_final(id, now))
            }
        }
    }

    /// Stops all claims from a queue.
    pub(super) fn pause(&mut self, name: &QueueName, paused: Paused) -> Result<(), Error> {
        queue_mut(&mut self.queues, name)?.paused = Some(paused);
        Ok(())
    }

    /// Drops what is past its time, everywhere.
    pub(super) fn expire(&mut self, now: u64) {
        self.fleet.expire(now);
        for queue in self.queues.values_mut() {
            queue.expire(now);
        }
    }

    pub(super) fn check_room(&self, messages: usize, bytes: usize) -> Result<(), Error> {
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

fn full(what: String) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("the memory broker is full, {what}: let workers catch up, or use a Redis broker"),
    )
}
