//! The hot path's door.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::consumer::SqliteConsumer;
use super::{SqliteBroker, enqueue, unbuilt};
use crate::broker::{Accepted, Broker, Consumer, ConsumerOptions, Outgoing};
use crate::error::Error;
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::QueueName;

#[async_trait]
impl Broker for SqliteBroker {
    async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        deadline: Duration,
    ) -> Result<Accepted, Error> {
        enqueue::enqueue(&self.link, queue, batch, deadline).await
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error> {
        let consumer = SqliteConsumer::open(&self.link, options).await?;
        Ok(Arc::new(consumer))
    }

    async fn register(
        &self,
        _card: &WorkerCard,
        _tasks: &[PublishedTask],
        _ttl: Duration,
    ) -> Result<(), Error> {
        Err(unbuilt("register"))
    }

    async fn withdraw(&self, _worker: &str) -> Result<(), Error> {
        Err(unbuilt("withdraw"))
    }
}
