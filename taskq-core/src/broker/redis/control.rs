//! Questions to workers and their answers, by publish and subscribe.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt};
use redis::{Cmd, Msg, cmd};
use tokio::time::timeout;

use super::RedisBroker;
use super::endpoint::Endpoint;
use super::link::{IS_IT_THERE, connect_error};
use crate::broker::{Control, DeadHandle, Replies, Requests};
use crate::control::{Reply, Request};
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};
use crate::revocation::Revocation;

const SUBSCRIBE: Duration = Duration::from_secs(3);

/// Messages of one channel.
struct Channel {
    address: String,
    messages: Pin<Box<dyn Stream<Item = Msg> + Send>>,
}

impl Channel {
    async fn subscribe(endpoint: &Endpoint, name: &str) -> Result<Self, Error> {
        let address = endpoint.address.clone();
        let subscribed = timeout(SUBSCRIBE, async {
            let mut channel = endpoint.client.get_async_pubsub().await?;
            channel.subscribe(name).await?;
            Ok(channel.into_on_message())
        })
        .await;
        match subscribed {
            Ok(Ok(messages)) => Ok(Self {
                address,
                messages: Box::pin(messages),
            }),
            Ok(Err(error)) => Err(connect_error(&address, error)),
            Err(_) => Err(Error::new(
                ErrorKind::Unreachable,
                format!(
                    "the broker at {address} can not be reached: no answer within {} ms{IS_IT_THERE}",
                    SUBSCRIBE.as_millis()
                ),
            )),
        }
    }

    /// The next message that `read` can read; what it can not is not ours.
    async fn next<T>(
        &mut self,
        read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, Error> {
        while let Some(message) = self.messages.next().await {
            match read(message.get_payload_bytes()) {
                Ok(read) => return Ok(read),
                Err(error) => {
                    tracing::debug!(%error, "a message on a control channel can not be read")
                }
            }
        }
        Err(Error::new(
            ErrorKind::Unreachable,
            format!(
                "the broker at {} can not be reached: the subscription ended",
                self.address
            ),
        ))
    }
}

#[async_trait]
impl Replies for Channel {
    async fn next(&mut self) -> Result<Reply, Error> {
        Self::next(self, |json| serde_json::from_slice(json)).await
    }
}

#[async_trait]
impl Requests for Channel {
    async fn next(&mut self) -> Result<Request, Error> {
        Self::next(self, Request::decode).await
    }
}

impl RedisBroker {
    fn publish(channel: &str, message: &impl serde::Serialize) -> Result<Cmd, Error> {
        let json = serde_json::to_vec(message).map_err(|e| {
            Error::new(ErrorKind::Protocol, "a control message does not encode").because(e)
        })?;
        let mut publish = cmd("PUBLISH");
        publish.arg(channel).arg(json);
        Ok(publish)
    }
}

#[async_trait]
impl Control for RedisBroker {
    async fn ask(&self, mut request: Request) -> Result<Box<dyn Replies>, Error> {
        let names = &self.endpoint.namespace;
        request.reply_to = names.reply(&uuid::Uuid::now_v7().simple().to_string());
        let replies = Channel::subscribe(&self.endpoint, &request.reply_to).await?;
        self.short
            .call(&Self::publish(&names.control(), &request)?)
            .await?;
        Ok(Box::new(replies))
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        let control = self.endpoint.namespace.control();
        Ok(Box::new(
            Channel::subscribe(&self.endpoint, &control).await?,
        ))
    }

    async fn reply(&self, request: &Request, reply: Reply) -> Result<(), Error> {
        // Only to where answers go: a forged question must not make us publish elsewhere.
        if !request
            .reply_to
            .starts_with(&self.endpoint.namespace.reply(""))
        {
            return Err(Error::invalid(format!(
                "{:?} is no place for answers",
                request.reply_to
            )));
        }
        let publish = Self::publish(&request.reply_to, &reply)?;
        self.answerer.lock().await.seldom(&[publish]).await
    }

    async fn pause(&self, queue: &QueueName, by: &str, reason: &str) -> Result<(), Error> {
        super::pause::pause(self, queue, by, reason).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        super::pause::resume(self, queue).await
    }

    async fn replay(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        super::replay::replay(self, queue, dead).await
    }

    async fn discard(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        super::replay::discard(self, queue, dead).await
    }

    async fn revoke(&self, queue: &QueueName, what: &[Revocation]) -> Result<(), Error> {
        super::revoked::revoke(self, queue, what).await
    }

    async fn mark_revoked(&self, queue: &QueueName, ids: &[TaskId]) -> Result<Vec<TaskId>, Error> {
        super::revoked::mark(self, queue, ids).await
    }

    async fn purge(&self, queue: &QueueName, most: usize) -> Result<usize, Error> {
        super::purge::purge(self, queue, most).await
    }
}
