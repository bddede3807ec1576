//! Talking to running workers, and steering queues.

use async_trait::async_trait;

use super::{SqliteBroker, unbuilt};
use crate::broker::{Control, DeadHandle, Replies, Requests};
use crate::control::{Reply, Request};
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::revocation::Revocation;

#[async_trait]
impl Control for SqliteBroker {
    async fn ask(&self, _request: Request) -> Result<Box<dyn Replies>, Error> {
        Err(unbuilt("ask"))
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        Err(unbuilt("listen"))
    }

    async fn reply(&self, _request: &Request, _reply: Reply) -> Result<(), Error> {
        Err(unbuilt("reply"))
    }

    async fn pause(&self, _queue: &QueueName, _by: &str, _reason: &str) -> Result<(), Error> {
        Err(unbuilt("pause"))
    }

    async fn resume(&self, _queue: &QueueName) -> Result<bool, Error> {
        Err(unbuilt("resume"))
    }

    async fn revoke(&self, _queue: &QueueName, _what: &[Revocation]) -> Result<(), Error> {
        Err(unbuilt("revoke"))
    }

    async fn mark_revoked(
        &self,
        _queue: &QueueName,
        _ids: &[TaskId],
    ) -> Result<Vec<TaskId>, Error> {
        Err(unbuilt("mark_revoked"))
    }

    async fn purge(&self, _queue: &QueueName, _most: usize) -> Result<usize, Error> {
        Err(unbuilt("purge"))
    }

    async fn replay(&self, _queue: &QueueName, _dead: &[DeadHandle]) -> Result<usize, Error> {
        Err(unbuilt("replay"))
    }

    async fn discard(&self, _queue: &QueueName, _dead: &[DeadHandle]) -> Result<usize, Error> {
        Err(unbuilt("discard"))
    }
}
