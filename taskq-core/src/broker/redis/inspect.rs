//! Reading what is there.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{Cmd, Value, cmd};

use super::RedisBroker;
use super::scripts;
use super::value::{array, bytes, members, number};
use crate::broker::{DeadMessage, Depth, Inspect, ServerInfo, Totals};
use crate::error::{Error, ErrorKind};
use crate::event::{EventPage, EventPosition};
use crate::fleet::{PUBLISHED_FOR_MS, PublishedTask, WorkerCard};
use crate::id::QueueName;
use crate::state::State;

/// The stored form of a published task: the script puts `seen` before the rest.
pub(super) fn published_json(task: &PublishedTask) -> Result<Vec<u8>, Error> {
    #[derive(serde::Serialize)]
    struct Stored<'a> {
        name: &'a str,
        doc: &'a str,
        params: &'a [crate::fleet::PublishedParam],
        queue: &'a QueueName,
        max_retries: u32,
        ignore_result: bool,
    }
    let stored = Stored {
        name: &task.name,
        doc: &task.doc,
        params: &task.params,
        queue: &task.queue,
        max_retries: task.max_retries,
        ignore_result: task.ignore_result,
    };
    serde_json::to_vec(&stored).map_err(|e| {
        Error::new(
            ErrorKind::Protocol,
            format!("the task {} does not encode", task.name),
        )
        .because(e)
    })
}

/// All queues somebody sent to or listens at, sorted.
pub(super) async fn queues(broker: &RedisBroker) -> Result<Vec<QueueName>, Error> {
    let mut ask = cmd("SMEMBERS");
    ask.arg(broker.endpoint.namespace.queues());
    let names = members(broker.short.call(&ask).await?);
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
            .map(|id| {
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
        Ok(Depth {
            waiting: counts[..keys.ready.len()].iter().sum(),
            suspects: counts[keys.ready.len()],
            delayed: counts[keys.ready.len() + 1],
            dead: counts[keys.ready.len() + 2],
            in_flight: self.in_flight(&keys, &sessions).await?,
            oldest_ms: None,
            paused: None,
        })
    }

    async fn dead(&self, queue: &QueueName, limit: usize) -> Result<Vec<DeadMessage>, Error> {
        let keys = self.endpoint.namespace.queue(queue);
        let limit = limit.min(1000);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut ask = cmd("ZREVRANGE");
        ask.arg(&keys.dead).arg(0).arg(limit - 1).arg("WITHSCORES");
        let mut words = array(self.short.call(&ask).await?)
            .unwrap_or_default()
            .into_iter();
        let mut dead = Vec::new();
        while let (Some(member), Some(score)) = (words.next(), words.next()) {
            let (Some(member), at) = (bytes(member), number(&score).unwrap_or(0)) else {
                continue;
            };
            dead.push(read_dead(member, at));
        }
        Ok(dead)
    }

    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        let _ = queue;
        Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this broker does not do that yet",
        ))
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        let _ = (after, wait);
        Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this broker does not do that yet",
        ))
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this broker does not do that yet",
        ))
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

/// Takes an entry of the dead set apart: a line of JSON, then the message.
fn read_dead(member: Vec<u8>, at: u64) -> DeadMessage {
    #[derive(serde::Deserialize)]
    struct Header {
        state: State,
        reason: String,
    }
    let end = member.iter().position(|&b| b == b'\n').unwrap_or(0);
    let header: Option<Header> = serde_json::from_slice(&member[..end]).ok();
    let (state, reason) =
        header.map_or((State::Dead, "unknown".to_owned()), |h| (h.state, h.reason));
    let member = Bytes::from(member);
    DeadMessage {
        body: member.slice((end + 1).min(member.len())..),
        state,
        reason,
        at,
    }
}
