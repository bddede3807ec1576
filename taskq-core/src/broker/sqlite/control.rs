//! Talking to running workers, and steering queues.

use async_trait::async_trait;

use super::{SqliteBroker, pause, purge, replay, revoked, talk};
use crate::broker::{Control, DeadHandle, Replies, Requests};
use crate::control::{Reply, Request};
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::revocation::Revocation;

#[async_trait]
impl Control for SqliteBroker {
    async fn ask(&self, request: Request) -> Result<Box<dyn Replies>, Error> {
        talk::ask(&self.link, request).await
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        talk::listen(&self.link).await
    }

    async fn reply(&self, request: &Request, reply: Reply) -> Result<(), Error> {
        talk::reply(&self.link, request, reply).await
    }

    async fn pause(&self, queue: &QueueName, by: &str, reason: &str) -> Result<(), Error> {
        pause::pause(&self.link, queue, by, reason).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        pause::resume(&self.link, queue).await
    }

    async fn revoke(&self, queue: &QueueName, what: &[Revocation]) -> Result<(), Error> {
        revoked::revoke(&self.link, queue, what).await
    }

    async fn mark_revoked(&self, queue: &QueueName, ids: &[TaskId]) -> Result<Vec<TaskId>, Error> {
        revoked::mark(&self.link, queue, ids).await
    }

    async fn purge(&self, queue: &QueueName, most: usize) -> Result<usize, Error> {
        purge::purge(&self.link, queue, most).await
    }

    async fn replay(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        replay::replay(&self.link, queue, dead).await
    }

    async fn discard(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        replay::discard(&self.link, queue, dead).await
    }
}
