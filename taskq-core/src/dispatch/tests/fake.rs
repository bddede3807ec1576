//! A broker that does as it is told.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::broker::memory::MemoryBroker;
use crate::broker::{Accepted, Backend, Outgoing, Wraps};
use crate::error::{Error, ErrorKind};
use crate::fleet::PublishedTask;
use crate::id::{QueueName, TaskId};
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
    /// What else is asked of it, nothing was put into.
    unasked: MemoryBroker,
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
            unasked: MemoryBroker::new(),
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
impl Wraps for Fake {
    fn inner(&self) -> &dyn Backend {
        &self.unasked
    }

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
}
