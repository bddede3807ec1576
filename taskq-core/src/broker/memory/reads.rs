//! Reading what is there: records, queues, depths, the dead, the fleet.

use std::time::Duration;

use async_trait::async_trait;

use super::MemoryBroker;
use crate::broker::{DeadMessage, Depth, Inspect, Results, ServerInfo, Totals, Wanted, Watch};
use crate::error::Error;
use crate::event::{EventPage, EventPosition};
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};
use crate::record::Record;

/// `dead` answers at most this many.
const MAX_LISTED: usize = 1_000;

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
        }
        .cloned())
    }

    async fn watch(&self, wanted: Vec<Wanted>, within: Duration) -> Result<Box<dyn Watch>, Error> {
        let _ = (wanted, within);
        Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this broker does not do that yet",
        ))
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

    async fn dead(&self, queue: &QueueName, limit: usize) -> Result<Vec<DeadMessage>, Error> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        Ok(store.queues.get_mut(queue).map_or(Vec::new(), |q| {
            q.dead.expire(now);
            q.dead.newest(limit.min(MAX_LISTED))
        }))
    }

    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        let _ = queue;
        Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this broker does not do that yet",
        ))
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        let _ = (after, wait);
        Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this broker does not do that yet",
        ))
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this broker does not do that yet",
        ))
    }
}
