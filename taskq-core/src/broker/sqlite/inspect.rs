//! Reading what is there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{SqliteBroker, dead, find, revoked, unbuilt};
use crate::broker::{DeadMessage, DelayedMessage, Depth, Found, Inspect, ServerInfo, Totals};
use crate::error::Error;
use crate::event::{EventPage, EventPosition};
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};
use crate::revocation::Revocations;

#[async_trait]
impl Inspect for SqliteBroker {
    async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        Err(unbuilt("workers"))
    }

    async fn tasks(&self) -> Result<Vec<PublishedTask>, Error> {
        Err(unbuilt("tasks"))
    }

    async fn task(&self, _name: &str) -> Result<Option<PublishedTask>, Error> {
        Err(unbuilt("task"))
    }

    async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        Err(unbuilt("queues"))
    }

    async fn depth(&self, _queue: &QueueName) -> Result<Depth, Error> {
        Err(unbuilt("depth"))
    }

    async fn dead(
        &self,
        queue: &QueueName,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<DeadMessage>, Error> {
        dead::list(&self.link, queue, skip, limit).await
    }

    async fn delayed(&self, queue: &QueueName, limit: usize) -> Result<Vec<DelayedMessage>, Error> {
        find::delayed(&self.link, queue, limit).await
    }

    async fn find(&self, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
        find::find(&self.link, queue, id).await
    }

    async fn revoked(&self, queue: &QueueName) -> Result<Arc<Revocations>, Error> {
        revoked::list(&self.link, queue).await
    }

    async fn totals(&self, _queue: &QueueName) -> Result<Totals, Error> {
        Err(unbuilt("totals"))
    }

    async fn events(&self, _after: &EventPosition, _wait: Duration) -> Result<EventPage, Error> {
        Err(unbuilt("events"))
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        Err(unbuilt("server"))
    }
}
