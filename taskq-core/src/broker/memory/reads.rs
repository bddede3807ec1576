//! Reading what is there: records, queues, depths, totals, the dead, the fleet, and what was told.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::MemoryBroker;
use super::waiters::MemoryWatch;
use crate::broker::{
    DeadMessage, DelayedMessage, Depth, Found, Inspect, Results, ServerInfo, Totals, Wanted, Watch,
};
use crate::error::Error;
use crate::event::{EventPage, EventPosition};
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::revocation::Revocations;

/// `dead` answers at most this many.
const MAX_LISTED: usize = 1_000;

/// `events` waits at most this long, whatever it was asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[async_trait]
impl Results for MemoryBroker {
    async fn record(&self, id: TaskId, queue: Option<&QueueName>) -> Result<Option<Record>, Error> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        Ok(match queue {
            Some(name) => store
                .queues
                .get_mut(name)
                .and_then(|q| q.records.get(id, now)),
            None => store
                .queues
                .values_mut()
                .find_map(|q| q.records.get(id, now)),
        })
    }

    async fn watch(&self, wanted: Vec<Wanted>, within: Duration) -> Result<Box<dyn Watch>, Error> {
        Ok(Box::new(MemoryWatch::new(&self.shared, wanted, within)?))
    }
}

#[async_trait]
impl Inspect for MemoryBroker {
    async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        let now = self.shared.clock.now_ms();
        Ok(self.shared.lock().fleet.workers(now))
    }

    async fn tasks(&self) -> Result<Vec<PublishedTask>, Error> {
        let now = self.shared.clock.now_ms();
        Ok(self.shared.lock().fleet.tasks(now))
    }

    async fn task(&self, name: &str) -> Result<Option<PublishedTask>, Error> {
        let now = self.shared.clock.now_ms();
        Ok(self.shared.lock().fleet.task(name, now))
    }

    async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        Ok(self.shared.lock().queues.keys().cloned().collect())
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, Error> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        let depth = store.queues.get_mut(queue).map(|q| q.depth(now));
        Ok(depth.unwrap_or_default())
    }

    async fn dead(
        &self,
        queue: &QueueName,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<DeadMessage>, Error> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        Ok(store.queues.get_mut(queue).map_or(Vec::new(), |q| {
            q.dead.expire(now);
            q.dead.newest(skip, limit.min(MAX_LISTED))
        }))
    }

    async fn delayed(&self, queue: &QueueName, limit: usize) -> Result<Vec<DelayedMessage>, Error> {
        let store = self.shared.lock();
        let delayed = store
            .queues
            .get(queue)
            .map(|q| q.due_next(limit.min(MAX_LISTED)));
        Ok(delayed.unwrap_or_default())
    }

    async fn find(&self, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        let found = store.queues.get_mut(queue).map(|q| q.find(id, now));
        Ok(found.unwrap_or(Found {
            place: None,
            complete: true,
            now,
        }))
    }

    async fn revoked(&self, queue: &QueueName) -> Result<Arc<Revocations>, Error> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        let revoked = store.queues.get_mut(queue).map(|q| q.revoked.read(now));
        Ok(revoked.unwrap_or_default())
    }

    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        let store = self.shared.lock();
        Ok(store
            .queues
            .get(queue)
            .map_or_else(Totals::default, |q| q.totals))
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        let mut after = after.clone();
        loop {
            // Armed before the look: what is told between look and wait is not missed.
            let mut bell = pin!(self.shared.bell.notified());
            bell.as_mut().enable();
            let page = {
                let now = self.shared.clock.now_ms();
                let mut store = self.shared.lock();
                // A fleet that is gone whole has nobody but its watcher to tell of it.
                store.fleet.expire(now);
                let place = store.place(self.shared.id, &after);
                store.page(place)
            };
            if !page.events.is_empty() || page.missed || Instant::now() >= deadline {
                return Ok(page);
            }
            after = page.next;
            // Rung or timed out, it looks again.
            drop(timeout_at(deadline, bell).await);
        }
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        let asked = Instant::now();
        drop(self.shared.lock());
        Ok(ServerInfo {
            name: "memory".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            round_trip: asked.elapsed(),
            warnings: Vec::new(),
        })
    }
}
