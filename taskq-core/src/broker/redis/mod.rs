//! The Redis broker: Redis 6.2 or later, or Valkey. docs/protocol.md has the protocol, docs/adr the reasons.
//!
//! Reading order: `keys`, `scripts` and their `lua/`, `enqueue`, `session`, `consumer`, `claim`, `bell`, `finish`, `sweep`.

mod batch;
mod bell;
mod claim;
mod consumer;
mod control;
mod dead;
mod delivery;
mod endpoint;
mod enqueue;
mod events;
mod find;
mod finish;
mod inspect;
mod keys;
mod link;
mod oldest;
mod pause;
mod purge;
mod records;
mod replay;
mod revoked;
mod scripts;
mod server;
mod session;
mod short;
mod started;
mod sweep;
mod value;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::cmd;
use tokio::sync::Mutex;

use super::{Accepted, Broker, Consumer, ConsumerOptions, Outgoing, Results, Wanted, Watch};
use crate::error::{Error, ErrorKind};
use crate::fleet::{PUBLISHED_FOR_MS, PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use consumer::RedisConsumer;
use endpoint::Endpoint;
use enqueue::Lanes;
use link::Link;
use short::Short;

/// A worker's registration is renewed beside its beat, which must not wait for long.
const REGISTER: Duration = Duration::from_secs(1);

/// A broker on a Redis server.
#[derive(Debug)]
pub struct RedisBroker {
    endpoint: Arc<Endpoint>,
    lanes: Lanes,
    short: Arc<Short>,
    hub: Arc<watch::Hub>,
    /// For what a worker says of itself, and its answers: never a connection that the runtime of its tasks drives.
    registrar: Mutex<Link>,
    answerer: Mutex<Link>,
}

impl RedisBroker {
    /// A broker at `url`: `redis://[user:password@]host[:port][/database][?namespace=name]`, `rediss://` for TLS.
    ///
    /// Nothing is opened yet: a server that is not there yet shows at the first call.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a URL that does not read.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::at(Endpoint::parse(url)?)
    }

    fn at(endpoint: Arc<Endpoint>) -> Result<Self, Error> {
        Ok(Self {
            lanes: Lanes::new(&endpoint),
            short: Arc::new(Short::new(&endpoint)?),
            hub: watch::Hub::new(&endpoint),
            registrar: Mutex::new(Link::new(&endpoint, REGISTER)),
            answerer: Mutex::new(Link::new(&endpoint, REGISTER)),
            endpoint,
        })
    }

    async fn tell(&self, calls: &[redis::Cmd]) -> Result<(), Error> {
        self.registrar.lock().await.seldom(calls).await
    }

    /// Another client of the same server, with connections and producer numbers of its own, by the same clock; for tests.
    ///
    /// # Errors
    /// None that the first client did not have.
    #[cfg(feature = "testing")]
    pub fn another(&self) -> Result<Self, Error> {
        Self::at(self.endpoint.another())
    }

    /// Moves the broker's clock as this process sees it, for tests: lets every TTL of the namespace run off
    /// by as much and rings the bells.
    ///
    /// # Errors
    /// When the server can not be reached.
    #[cfg(feature = "testing")]
    pub async fn advance(&self, by: Duration) -> Result<(), Error> {
        self.endpoint.advance(by);
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let mut every = cmd("KEYS");
        every.arg(self.endpoint.namespace.pattern());
        let keys = value::members(self.short.call(&every).await?);
        for key in keys {
            let mut left = cmd("PTTL");
            left.arg(&key);
            if let redis::Value::Int(ttl) = self.short.call(&left).await?
                && ttl >= 0
            {
                let mut lower = cmd("PEXPIRE");
                lower.arg(&key).arg((ttl - ms).max(0));
                self.short.call(&lower).await?;
            }
        }
        for queue in inspect::queues(self).await? {
            let mut ring = cmd("ZADD");
            ring.arg(self.endpoint.namespace.queue(&queue).bell)
                .arg(0)
                .arg(1);
            self.short.call(&ring).await?;
        }
        Ok(())
    }

    /// Pushes raw bytes as a foreign producer does, for tests.
    ///
    /// # Errors
    /// When the server can not be reached.
    #[cfg(feature = "testing")]
    pub async fn push_raw(
        &self,
        queue: &QueueName,
        priority: u8,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let keys = self.endpoint.namespace.queue(queue);
        let mut push = cmd("LPUSH");
        push.arg(&keys.ready[usize::from(priority.min(9))])
            .arg(bytes);
        let mut add = cmd("SADD");
        add.arg(self.endpoint.namespace.queues())
            .arg(queue.as_str());
        self.short.call(&push).await?;
        self.short.call(&add).await.map(drop)
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        deadline: Duration,
    ) -> Result<Accepted, Error> {
        self.lanes.enqueue(queue, batch, deadline).await
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error> {
        Ok(Arc::new(
            RedisConsumer::open(&self.endpoint, options).await?,
        ))
    }

    async fn register(
        &self,
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl: Duration,
    ) -> Result<(), Error> {
        let (names, ms) = (
            &self.endpoint.namespace,
            u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        );
        let json = |e: serde_json::Error| {
            Error::new(ErrorKind::Protocol, "a worker's card does not encode").because(e)
        };
        let mut put = scripts::CARD.call([names.worker(&card.id)]);
        put.arg(serde_json::to_vec(card).map_err(json)?).arg(ms);
        let mut there = scripts::REGISTER.call([names.workers(), names.fleet_events()]);
        there
            .arg(self.endpoint.offset_ms())
            .arg(format!("{} {}", card.id, card.node))
            .arg(ms)
            .arg(events::worker_json(card).map_err(json)?)
            .arg(events::FLEET_EVENTS);
        let mut calls = vec![put, there];
        if !tasks.is_empty() {
            let mut publish = scripts::PUBLISH.call([names.registry()]);
            publish.arg(self.endpoint.offset_ms()).arg(PUBLISHED_FOR_MS);
            for task in tasks {
                publish.arg(&task.name).arg(inspect::published_json(task)?);
            }
            calls.push(publish);
        }
        self.tell(&calls).await
    }

    async fn withdraw(&self, worker: &str) -> Result<(), Error> {
        let names = &self.endpoint.namespace;
        let mut ask = cmd("HGET");
        ask.arg(names.worker(worker)).arg("card");
        let mut link = self.registrar.lock().await;
        // As `seldom`: a connection that broke while nobody looked shows only now.
        let card = match link.call(&ask).await {
            Err(error) if error.kind() == ErrorKind::Unreachable => link.call(&ask).await,
            first => first,
        };
        let card = value::bytes(card?);
        let card: Option<WorkerCard> = card.and_then(|json| serde_json::from_slice(&json).ok());
        let Some(card) = card else { return Ok(()) };
        let mut gone =
            scripts::WITHDRAW.call([names.workers(), names.worker(worker), names.fleet_events()]);
        let json = events::worker_json(&card).map_err(|e| {
            Error::new(ErrorKind::Protocol, "a worker's card does not encode").because(e)
        })?;
        gone.arg(format!("{} {}", card.id, card.node))
            .arg(events::FLEET_EVENTS)
            .arg(json);
        link.seldom(&[gone]).await
    }
}

#[async_trait]
impl Results for RedisBroker {
    async fn record(&self, id: TaskId, queue: Option<&QueueName>) -> Result<Option<Record>, Error> {
        records::read(self, id, queue).await
    }

    async fn watch(&self, wanted: Vec<Wanted>, within: Duration) -> Result<Box<dyn Watch>, Error> {
        watch::watch(self, wanted, within).await
    }
}
