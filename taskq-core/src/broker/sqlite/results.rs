//! Records, read and awaited.

use std::time::Duration;

use async_trait::async_trait;

use super::tx::View;
use super::{SqliteBroker, records, watch};
use crate::broker::{Results, Wanted, Watch};
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::record::Record;

#[async_trait]
impl Results for SqliteBroker {
    async fn record(&self, id: TaskId, queue: Option<&QueueName>) -> Result<Option<Record>, Error> {
        let queue = queue.cloned();
        let look = move |view: &View<'_>| records::read(view, id, queue.as_ref());
        self.link.read(look).await
    }

    async fn watch(&self, wanted: Vec<Wanted>, within: Duration) -> Result<Box<dyn Watch>, Error> {
        watch::watch(&self.link, wanted, within)
    }
}
