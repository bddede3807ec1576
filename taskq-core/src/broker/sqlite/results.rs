//! Records, read and awaited.

use std::time::Duration;

use async_trait::async_trait;

use super::{SqliteBroker, unbuilt};
use crate::broker::{Results, Wanted, Watch};
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::record::Record;

#[async_trait]
impl Results for SqliteBroker {
    async fn record(
        &self,
        _id: TaskId,
        _queue: Option<&QueueName>,
    ) -> Result<Option<Record>, Error> {
        Err(unbuilt("record"))
    }

    async fn watch(
        &self,
        _wanted: Vec<Wanted>,
        _within: Duration,
    ) -> Result<Box<dyn Watch>, Error> {
        Err(unbuilt("watch"))
    }
}
