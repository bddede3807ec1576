//! The hot path's door.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::tx::Tx;
use super::{SqliteBroker, fleet, unbuilt};
use crate::broker::{Accepted, Broker, Consumer, ConsumerOptions, Outgoing};
use crate::error::Error;
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::QueueName;

#[async_trait]
impl Broker for SqliteBroker {
    async fn enqueue(
        &self,
        _queue: &QueueName,
        _batch: &[Outgoing],
        _deadline: Duration,
    ) -> Result<Accepted, Error> {
        Err(unbuilt("enqueue"))
    }

    async fn consume(&self, _options: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error> {
        Err(unbuilt("consume"))
    }

    async fn register(
        &self,
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl: Duration,
    ) -> Result<(), Error> {
        let (card, tasks) = (card.clone(), tasks.to_vec());
        let step = move |tx: &mut Tx<'_>| fleet::register(tx, &card, &tasks, ttl);
        self.link.write(step).await
    }

    async fn withdraw(&self, worker: &str) -> Result<(), Error> {
        let worker = worker.to_owned();
        let step = move |tx: &mut Tx<'_>| fleet::withdraw(tx, &worker);
        self.link.write(step).await
    }
}
