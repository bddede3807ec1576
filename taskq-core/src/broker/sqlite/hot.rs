//! The hot path's door.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{SqliteBroker, unbuilt};
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
