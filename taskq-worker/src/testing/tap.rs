//! The broker as the test's client and worker see it: the memory broker, with an ear at the way in.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{
    Accepted, Broker, Consumer, ConsumerOptions, Control, DeadHandle, DeadMessage, DelayedMessage,
    Depth, Found, Inspect, Outgoing, Replies, Requests, Results, ServerInfo, Totals, Wanted, Watch,
};
use taskq_core::control::{Reply, Request};
use taskq_core::event::{EventPage, EventPosition};
use taskq_core::fleet::{PublishedTask, WorkerCard};
use taskq_core::revocation::{Revocation, Revocations};
use taskq_core::{Error, ErrorKind, QueueName, Record, TaskId};

use super::broker::Core;
use super::sent::Sent;

/// What was sent is remembered up to so many; then the oldest are forgotten.
const REMEMBERED: usize = 100_000;

#[derive(Debug)]
pub(super) struct Tap {
    memory: MemoryBroker,
    sent: Mutex<VecDeque<Sent>>,
    /// So many sends more lose their answer.
    deaf: Mutex<usize>,
    /// Who runs what is sent at once.
    inline: Weak<Core>,
}

impl Tap {
    pub(super) fn new(memory: MemoryBroker, inline: Weak<Core>) -> Self {
        Self {
            memory,
            sent: Mutex::default(),
            deaf: Mutex::default(),
            inline,
        }
    }

    pub(super) fn lose_an_answer(&self) {
        *lock(&self.deaf) += 1;
    }

    /// All that was accepted, oldest first.
    pub(super) fn sent(&self) -> Vec<Sent> {
        lock(&self.sent).iter().cloned().collect()
    }

    fn remember(&self, queue: &QueueName, batch: &[Outgoing], accepted: &Accepted) {
        let mut sent = lock(&self.sent);
        for (place, outgoing) in batch.iter().enumerate() {
            if accepted.duplicates.iter().any(|(held, _)| *held == place) {
                continue;
            }
            if let Some(one) = Sent::of(queue, outgoing) {
                sent.push_back(one);
            }
        }
        let beyond = sent.len().saturating_sub(REMEMBERED);
        sent.drain(..beyond);
    }

    fn loses_this_answer(&self) -> bool {
        let mut deaf = lock(&self.deaf);
        let loses = *deaf > 0;
        *deaf = deaf.saturating_sub(1);
        loses
    }
}

#[async_trait]
impl Broker for Tap {
    async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        deadline: Duration,
    ) -> Result<Accepted, Error> {
        let accepted = self.memory.enqueue(queue, batch, deadline).await?;
        self.remember(queue, batch, &accepted);
        if let Some(core) = self.inline.upgrade()
            && core.inline
        {
            core.run_what_is_due().await;
        }
        if self.loses_this_answer() {
            return Err(Error::new(
                ErrorKind::Unreachable,
                "the test lost the broker's answer: the messages were accepted all the same",
            ));
        }
        Ok(accepted)
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error> {
        self.memory.consume(options).await
    }

    async fn register(
        &self,
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl: Duration,
    ) -> Result<(), Error> {
        self.memory.register(card, tasks, ttl).await
    }

    async fn withdraw(&self, worker: &str) -> Result<(), Error> {
        self.memory.withdraw(worker).await
    }
}

#[async_trait]
impl Results for Tap {
    async fn record(&self, id: TaskId, queue: Option<&QueueName>) -> Result<Option<Record>, Error> {
        self.memory.record(id, queue).await
    }

    async fn watch(&self, wanted: Vec<Wanted>, within: Duration) -> Result<Box<dyn Watch>, Error> {
        self.memory.watch(wanted, within).await
    }
}

#[async_trait]
impl Inspect for Tap {
    async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        self.memory.workers().await
    }

    async fn tasks(&self) -> Result<Vec<PublishedTask>, Error> {
        self.memory.tasks().await
    }

    async fn task(&self, name: &str) -> Result<Option<PublishedTask>, Error> {
        self.memory.task(name).await
    }

    async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        self.memory.queues().await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, Error> {
        self.memory.depth(queue).await
    }

    async fn dead(
        &self,
        queue: &QueueName,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<DeadMessage>, Error> {
        self.memory.dead(queue, skip, limit).await
    }

    async fn delayed(&self, queue: &QueueName, limit: usize) -> Result<Vec<DelayedMessage>, Error> {
        self.memory.delayed(queue, limit).await
    }

    async fn find(&self, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
        self.memory.find(queue, id).await
    }

    async fn revoked(&self, queue: &QueueName) -> Result<Arc<Revocations>, Error> {
        self.memory.revoked(queue).await
    }

    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        self.memory.totals(queue).await
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        self.memory.events(after, wait).await
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        self.memory.server().await
    }
}

#[async_trait]
impl Control for Tap {
    async fn ask(&self, request: Request) -> Result<Box<dyn Replies>, Error> {
        self.memory.ask(request).await
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        self.memory.listen().await
    }

    async fn reply(&self, request: &Request, reply: Reply) -> Result<(), Error> {
        self.memory.reply(request, reply).await
    }

    async fn pause(&self, queue: &QueueName, by: &str, reason: &str) -> Result<(), Error> {
        self.memory.pause(queue, by, reason).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.memory.resume(queue).await
    }

    async fn revoke(&self, queue: &QueueName, what: &[Revocation]) -> Result<(), Error> {
        self.memory.revoke(queue, what).await
    }

    async fn mark_revoked(&self, queue: &QueueName, ids: &[TaskId]) -> Result<Vec<TaskId>, Error> {
        self.memory.mark_revoked(queue, ids).await
    }

    async fn purge(&self, queue: &QueueName, most: usize) -> Result<usize, Error> {
        self.memory.purge(queue, most).await
    }

    async fn replay(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        self.memory.replay(queue, dead).await
    }

    async fn discard(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        self.memory.discard(queue, dead).await
    }
}

/// No code that can panic runs under the locks of the kit.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
