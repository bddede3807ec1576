//! Reading what is there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value, cmd};

use super::RedisBroker;
use super::endpoint::Endpoint;
use super::short::Short;
use super::value::{array, bytes, members, number};
use super::{events, find, scripts};
use crate::broker::{DeadMessage, DelayedMessage, Depth, Found, Inspect, ServerInfo, Totals};
use crate::error::{Error, ErrorKind};
use crate::event::{EventPage, EventPosition};
use crate::fleet::{PUBLISHED_FOR_MS, PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};
use crate::revocation::Revocations;

/// The stored form of a published task: the script puts `seen` before the rest.
pub(super) fn published_json(task: &PublishedTask) -> Result<Vec<u8>, Error> {
    let stored = serde_json::to_value(task).and_then(|mut stored| {
        if let Some(fields) = stored.as_object_mut() {
            fields.remove("seen");
        }
        serde_json::to_vec(&stored)
    });
    stored.map_err(|e| {
        Error::new(
            ErrorKind::Protocol,
            format!("the task {} does not encode", task.name),
        )
        .because(e)
    })
}

/// All queues somebody sent to, listens at or paused, sorted.
pub(super) async fn queues(broker: &RedisBroker) -> Result<Vec<QueueName>, Error> {
    queues_at(&broker.endpoint, &broker.short).await
}

pub(super) async fn queues_at(endpoint: &Endpoint, short: &Short) -> Result<Vec<QueueName>, Error> {
    let mut ask = cmd("SMEMBERS");
    ask.arg(endpoint.namespace.queues());
    let names = members(short.call(&ask).await?);
    let mut queues: Vec<QueueName> = names
        .iter()
        .filter_map(|n| QueueName::new(n).ok())
        .collect();
    queues.sort();
    Ok(queues)
}

impl RedisBroker {
    /// The server's time in ms, and the workers that are there now.
    async fn alive(&self) -> Result<(u64, Vec<WorkerCard>), Error> {
        let names = &self.endpoint.namespace;
        let mut ask = scripts::ALIVE.call([names.workers()]);
        ask.arg(self.endpoint.offset_ms());
        let mut answer = array(self.short.call(&ask).await?)
            .unwrap_or_default()
            .into_iter();
        let now = answer.next().as_ref().and_then(number).unwrap_or(0);
        let cards: Vec<Cmd> = members(Value::Array(answer.collect()))
            .iter()
            .map(|there| {
                let id = there.split_once(' ').map_or(there.as_str(), |(id, _)| id);
                let mut card = cmd("HGET");
                card.arg(names.worker(id)).arg("card");
                card
            })
            .collect();
        if cards.is_empty() {
            return Ok((now, Vec::new()));
        }
        let cards = self.short.all(&cards).await?.into_iter().filter_map(bytes);
        // A card that a later version wrote in a form of its own is not ours to read.
        let mut workers: Vec<WorkerCard> = cards
            .filter_map(|json| serde_json::from_slice(&json).ok())
            .collect();
        workers.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
        Ok((now, workers))
    }
}

#[async_trait]
impl Inspect for RedisBroker {
    async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        Ok(self.alive().await?.1)
    }

    async fn tasks(&self) -> Result<Vec<PublishedTask>, Error> {
        let (now, workers) = self.alive().await?;
        let mut ask = cmd("HGETALL");
        ask.arg(self.endpoint.namespace.registry());
        let entries = match self.short.call(&ask).await? {
            Value::Map(pairs) => pairs.into_iter().map(|(_, json)| json).collect(),
            other => array(other)
                .unwrap_or_default()
                .into_iter()
                .skip(1)
                .step_by(2)
                .collect::<Vec<_>>(),
        };
        let mut tasks: Vec<PublishedTask> = entries
            .into_iter()
            .filter_map(|json| serde_json::from_slice(&bytes(json)?).ok())
            .filter(|task: &PublishedTask| task.seen + PUBLISHED_FOR_MS >= now)
            .collect();
        let offered: HashSet<(&str, &QueueName)> = workers
            .iter()
            .flat_map(|w| {
                w.tasks
                    .iter()
                    .flat_map(|task| w.queues.iter().map(move |queue| (task.as_str(), queue)))
            })
            .collect();
        for task in &mut tasks {
            task.live = offered.contains(&(task.name.as_str(), &task.queue));
        }
        tasks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tasks)
    }

    async fn task(&self, name: &str) -> Result<Option<PublishedTask>, Error> {
        Ok(self
            .tasks()
            .await?
            .into_iter()
            .find(|task| task.name == name))
    }

    async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        queues(self).await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, Error> {
        let keys = self.endpoint.namespace.queue(queue);
        let mut asks: Vec<Cmd> = Vec::new();
        let mut ask = |verb: &str, key: &str| {
            let mut command = cmd(verb);
            command.arg(key);
            asks.push(command);
        };
        keys.ready.iter().for_each(|list| ask("LLEN", list));
        ask("LLEN", &keys.suspects);
        ask("ZCARD", &keys.delayed);
        ask("ZCARD", &keys.dead);
        let mut sessions = cmd("ZRANGE");
        sessions.arg(&keys.leases).arg(0).arg(999);
        asks.push(sessions);
        let mut answers = self.short.all(&asks).await?;
        let sessions = members(answers.pop().unwrap_or_default());
        let counts: Vec<u64> = answers.iter().map(|v| number(v).unwrap_or(0)).collect();
        let lists = keys.ready.iter().chain([&keys.suspects]).zip(&counts);
        let filled = lists
            .filter(|(_, n)| **n > 0)
            .map(|(list, _)| list.as_str());
        let oldest_ms = self.oldest_ms(filled).await?;
        Ok(Depth {
            waiting: counts[..keys.ready.len()].iter().sum(),
            suspects: counts[keys.ready.len()],
            delayed: counts[keys.ready.len() + 1],
            dead: counts[keys.ready.len() + 2],
            in_flight: self.in_flight(&keys, &sessions).await?,
            oldest_ms,
            paused: super::pause::paused(self, queue).await?,
        })
    }

    async fn dead(
        &self,
        queue: &QueueName,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<DeadMessage>, Error> {
        let keys = self.endpoint.namespace.queue(queue);
        let limit = limit.min(1000);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut ask = cmd("ZREVRANGE");
        ask.arg(&keys.dead)
            .arg(skip)
            .arg(skip.saturating_add(limit - 1))
            .arg("WITHSCORES");
        let mut words = array(self.short.call(&ask).await?)
            .unwrap_or_default()
            .into_iter();
        let mut dead = Vec::new();
        while let (Some(member), Some(score)) = (words.next(), words.next()) {
            let (Some(member), at) = (bytes(member), number(&score).unwrap_or(0)) else {
                continue;
            };
            dead.push(super::dead::read(member, at));
        }
        Ok(dead)
    }

    async fn delayed(&self, queue: &QueueName, limit: usize) -> Result<Vec<DelayedMessage>, Error> {
        find::delayed(self, queue, limit).await
    }

    async fn find(&self, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
        find::find(self, queue, id).await
    }

    async fn revoked(&self, queue: &QueueName) -> Result<Arc<Revocations>, Error> {
        super::revoked::list(self, queue).await
    }

    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        let mut ask = cmd("HGETALL");
        ask.arg(self.endpoint.namespace.queue(queue).totals);
        Ok(events::totals(self.short.call(&ask).await?))
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        events::read(self, after, wait).await
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        super::server::read(self).await
    }
}

impl RedisBroker {
    async fn in_flight(
        &self,
        keys: &super::keys::QueueKeys,
        sessions: &[String],
    ) -> Result<u64, Error> {
        let mut asks = Vec::with_capacity(4 * sessions.len());
        for key in sessions
            .iter()
            .flat_map(|s| [keys.session(s), keys.orphan(s)])
        {
            let (mut all, mut own) = (cmd("HLEN"), cmd("HMGET"));
            all.arg(&key);
            own.arg(&key).arg(&["c", "f", "s", "x"]);
            asks.extend([all, own]);
        }
        if asks.is_empty() {
            return Ok(0);
        }
        let mut in_flight = 0;
        for pair in self.short.all(&asks).await?.chunks(2) {
            let fields = number(&pair[0]).unwrap_or(0);
            let own = array(pair[1].clone())
                .unwrap_or_default()
                .iter()
                .filter(|v| **v != Value::Nil)
                .count();
            in_flight += fields.saturating_sub(own as u64);
        }
        Ok(in_flight)
    }
}
