//! Reading what is there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::tx::View;
use super::{SqliteBroker, dead, depth, events, find, fleet, revoked, server};
use crate::broker::{DeadMessage, DelayedMessage, Depth, Found, Inspect, ServerInfo, Totals};
use crate::error::Error;
use crate::event::{EventPage, EventPosition};
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};
use crate::revocation::Revocations;

#[async_trait]
impl Inspect for SqliteBroker {
    async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        let lifelines = self.link.lifelines().clone();
        let look = self.link.read(move |view| fleet::workers(view, &lifelines));
        look.await
    }

    async fn tasks(&self) -> Result<Vec<PublishedTask>, Error> {
        let lifelines = self.link.lifelines().clone();
        let look = self.link.read(move |view| fleet::tasks(view, &lifelines));
        look.await
    }

    async fn task(&self, name: &str) -> Result<Option<PublishedTask>, Error> {
        let (name, lifelines) = (name.to_owned(), self.link.lifelines().clone());
        let look = move |view: &View<'_>| fleet::task(view, &name, &lifelines);
        self.link.read(look).await
    }

    async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        self.link.read(depth::queues).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, Error> {
        let queue = queue.clone();
        self.link.read(move |view| depth::depth(view, &queue)).await
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

    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        let queue = queue.clone();
        self.link
            .read(move |view| depth::totals(view, &queue))
            .await
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        events::read(&self.link, after, wait).await
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        server::read(&self.link).await
    }
}
