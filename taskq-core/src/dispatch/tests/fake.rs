//! A broker that does as it is told.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::broker::{
    Accepted, Broker, Consumer, ConsumerOptions, Control, DeadHandle, DeadMessage, DelayedMessage,
    Depth, Found, Inspect, Outgoing, Replies, Requests, Results, ServerInfo, Totals, Wanted, Watch,
};
use crate::control::{Reply, Request};
use crate::error::{Error, ErrorKind};
use crate::event::{EventPage, EventPosition};
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::revocation::{Revocation, Revocations};
use crate::task::TaskDef;

/// Keeps what it is given, and who held an idempotency key first. Each enqueue takes one permit from `gate` and then the next of `script`, or accepts.
#[derive(Debug)]
pub(super) struct Fake {
    pub(super) batches: Mutex<Vec<(QueueName, Vec<Outgoing>)>>,
    pub(super) begun: Semaphore,
    pub(super) gate: Semaphore,
    pub(super) script: Mutex<VecDeque<Result<(), Error>>>,
    pub(super) refused: Mutex<Option<TaskId>>,
    pub(super) held: Mutex<HashMap<String, TaskId>>,
    pub(super) published: Mutex<Vec<PublishedTask>>,
    pub(super) reads: AtomicUsize,
    pub(super) registry_down: Mutex<Option<Error>>,
    pub(super) hangs: AtomicBool,
}

impl Fake {
    pub(super) fn closed() -> Arc<Self> {
        Arc::new(Self {
            batches: Mutex::default(),
            begun: Semaphore::new(0),
            gate: Semaphore::new(0),
            script: Mutex::default(),
            refused: Mutex::default(),
            held: Mutex::default(),
            published: Mutex::default(),
            reads: AtomicUsize::new(0),
            registry_down: Mutex::default(),
            hangs: AtomicBool::new(false),
        })
    }

    pub(super) fn open() -> Arc<Self> {
        let fake = Self::closed();
        fake.let_through(100_000);
        fake
    }

    pub(super) fn let_through(&self, n: usize) {
        self.gate.add_permits(n);
    }

    /// Waits until one more enqueue has begun.
    pub(super) async fn one_begins(&self) {
        self.begun.acquire().await.unwrap().forget();
    }

    pub(super) fn sizes(&self) -> Vec<usize> {
        self.batches
            .lock()
            .unwrap()
            .iter()
            .map(|b| b.1.len())
            .collect()
    }

    pub(super) fn ids(&self) -> Vec<TaskId> {
        let batches = self.batches.lock().unwrap();
        batches
            .iter()
            .flat_map(|b| b.1.iter().map(|m| m.id))
            .collect()
    }

    pub(super) fn publish(&self, def: &TaskDef) {
        self.published.lock().unwrap().push(def.into());
    }
}

#[async_trait]
impl Broker for Fake {
    async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        deadline: Duration,
    ) -> Result<Accepted, Error> {
        self.begun.add_permits(1);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        match tokio::time::timeout(deadline, self.gate.acquire()).await {
            Ok(permit) => permit.unwrap().forget(),
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Unreachable,
                    "fake://here does not answer",
                ));
            }
        }
        if let Some(result) = self.script.lock().unwrap().pop_front() {
            result?;
        }
        if self
            .refused
            .lock()
            .unwrap()
            .is_some_and(|id| batch.iter().any(|m| m.id == id))
        {
            return Err(Error::new(ErrorKind::TooLarge, "one of them is too large"));
        }
        self.batches
            .lock()
            .unwrap()
            .push((queue.clone(), batch.to_vec()));
        let mut held = self.held.lock().unwrap();
        let mut accepted = Accepted::default();
        for (place, message) in batch.iter().enumerate() {
            let Some(once) = &message.once else { continue };
            let holder = *held.entry(once.key.clone()).or_insert(message.id);
            if holder != message.id {
                accepted.duplicates.push((place, holder));
            }
        }
        Ok(accepted)
    }

    async fn consume(&self, _: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn register(
        &self,
        _: &WorkerCard,
        _: &[PublishedTask],
        _: Duration,
    ) -> Result<(), Error> {
        Ok(())
    }

    async fn withdraw(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Results for Fake {
    async fn record(&self, _: TaskId, _: Option<&QueueName>) -> Result<Option<Record>, Error> {
        Ok(None)
    }

    async fn watch(&self, wanted: Vec<Wanted>, within: Duration) -> Result<Box<dyn Watch>, Error> {
        let _ = (wanted, within);
        Err(Error::invalid("not in this test"))
    }
}

#[async_trait]
impl Inspect for Fake {
    async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        Ok(Vec::new())
    }

    async fn tasks(&self) -> Result<Vec<PublishedTask>, Error> {
        Ok(self.published.lock().unwrap().clone())
    }

    async fn task(&self, name: &str) -> Result<Option<PublishedTask>, Error> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if let Some(error) = self.registry_down.lock().unwrap().clone() {
            return Err(error);
        }
        let published = self.published.lock().unwrap();
        Ok(published.iter().find(|t| t.name == name).cloned())
    }

    async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        Ok(Vec::new())
    }

    async fn depth(&self, _: &QueueName) -> Result<Depth, Error> {
        Ok(Depth::default())
    }

    async fn dead(&self, _: &QueueName, _: usize, _: usize) -> Result<Vec<DeadMessage>, Error> {
        Ok(Vec::new())
    }

    async fn delayed(&self, _: &QueueName, _: usize) -> Result<Vec<DelayedMessage>, Error> {
        Ok(Vec::new())
    }

    async fn find(&self, _: &QueueName, _: TaskId) -> Result<Found, Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn revoked(&self, _: &QueueName) -> Result<Arc<Revocations>, Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        let _ = queue;
        Err(Error::invalid("not in this test"))
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        let _ = (after, wait);
        Err(Error::invalid("not in this test"))
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        Err(Error::invalid("not in this test"))
    }
}

#[async_trait]
impl Control for Fake {
    async fn ask(&self, _: Request) -> Result<Box<dyn Replies>, Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn reply(&self, _: &Request, _: Reply) -> Result<(), Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn replay(&self, _: &QueueName, _: &[DeadHandle]) -> Result<usize, Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn discard(&self, _: &QueueName, _: &[DeadHandle]) -> Result<usize, Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn revoke(&self, _: &QueueName, _: &[Revocation]) -> Result<(), Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn mark_revoked(&self, _: &QueueName, _: &[TaskId]) -> Result<Vec<TaskId>, Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn purge(&self, _: &QueueName, _: usize) -> Result<usize, Error> {
        Err(Error::invalid("not in this test"))
    }

    async fn pause(&self, queue: &QueueName, by: &str, reason: &str) -> Result<(), Error> {
        let _ = (queue, by, reason);
        Err(Error::invalid("not in this test"))
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        let _ = queue;
        Err(Error::invalid("not in this test"))
    }
}
