//! The hot path's door.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::consumer::SqliteConsumer;
use super::tx::Tx;
use super::{SqliteBroker, enqueue, fleet};
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
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl: Duration,
    ) -> Result<(), Error> {
        let (card, tasks) = (card.clone(), tasks.to_vec());
        let lifelines = self.link.lifelines().clone();
        let step = move |tx: &mut Tx<'_>| fleet::register(tx, &card, &tasks, ttl, &lifelines);
        self.link.write(step).await
    }

    async fn withdraw(&self, worker: &str) -> Result<(), Error> {
        let worker = worker.to_owned();
        let step = move |tx: &mut Tx<'_>| fleet::withdraw(tx, &worker);
        self.link.write(step).await
    }
}
