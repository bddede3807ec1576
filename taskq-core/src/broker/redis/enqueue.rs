//! Messages in: one numbered batch at a time for each queue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::cmd;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::endpoint::Endpoint;
use super::keys::QueueKeys;
use super::link::Link;
use super::records::{Placed, RETENTION_S};
use super::scripts;
use super::value::text;
use crate::broker::{Due, Outgoing};
use crate::clock::now_ms;
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;
use crate::message::MAX_BYTES;

/// One try takes this long at most; the deadline of the batch may allow several.
const TRY: Duration = Duration::from_secs(5);

/// The queues' names are told again this often, so that they survive a FLUSHALL.
const TELL_QUEUE: Duration = Duration::from_secs(5);

/// Queues one client keeps a lane for; beyond them the oldest idle lanes are forgotten.
const MAX_LANES: usize = 1024;

/// All lanes of one client.
#[derive(Debug)]
pub(super) struct Lanes {
    endpoint: Arc<Endpoint>,
    client: String,
    lanes: std::sync::Mutex<HashMap<QueueName, Arc<Mutex<Lane>>>>,
}

/// The way to one queue: batches go one after the other, because their numbers must.
#[derive(Debug)]
struct Lane {
    link: Link,
    keys: QueueKeys,
    producer: String,
    last: u64,
    told: Option<Instant>,
}

impl Lanes {
    pub(super) fn new(endpoint: &Arc<Endpoint>) -> Self {
        Self {
            endpoint: endpoint.clone(),
            client: uuid::Uuid::now_v7().simple().to_string(),
            lanes: std::sync::Mutex::default(),
        }
    }

    pub(super) async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        deadline: Duration,
    ) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let beyond: usize = batch.iter().skip(1).map(|m| m.body.len()).sum();
        if batch.len() > 999 || beyond > MAX_BYTES {
            return Err(Error::invalid(format!(
                "a batch has at most 999 messages and {MAX_BYTES} bytes beyond the first, not {} and {beyond}",
                batch.len()
            )));
        }
        let until = Instant::now() + deadline;
        let lane = self.lane(queue);
        let Ok(mut lane) = tokio::time::timeout(deadline, lane.lock()).await else {
            return Err(Error::new(
                ErrorKind::Unreachable,
                format!(
                    "the broker at {} did not take earlier batches within {} ms",
                    self.endpoint.address,
                    deadline.as_millis()
                ),
            ));
        };
        lane.enqueue(&self.endpoint, queue, batch, until).await
    }

    fn lane(&self, queue: &QueueName) -> Arc<Mutex<Lane>> {
        let mut lanes = self
            .lanes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if lanes.len() >= MAX_LANES {
            // A forgotten lane's numbers must never be used again for this client's key: a lane that is made anew
            // goes on from the time of day, far above any count of batches before it.
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        lanes
            .entry(queue.clone())
            .or_insert_with(|| {
                let keys = self.endpoint.namespace.queue(queue);
                Arc::new(Mutex::new(Lane {
                    link: Link::new(&self.endpoint, TRY),
                    producer: keys.producer(&self.client),
                    keys,
                    last: now_ms() * 1000,
                    told: None,
                }))
            })
            .clone()
    }
}

impl Lane {
    async fn enqueue(
        &mut self,
        endpoint: &Endpoint,
        queue: &QueueName,
        batch: &[Outgoing],
        until: Instant,
    ) -> Result<(), Error> {
        // A number once sent is never used for other messages: a late copy of the first ones would swallow them.
        self.last += 1;
        let call = self.build(endpoint, batch)?;
        let mut wait = Duration::from_millis(20);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let tell = self.told.is_none_or(|at| at.elapsed() > TELL_QUEUE);
            let mut calls = vec![call.clone()];
            if tell {
                let mut add = cmd("SADD");
                add.arg(endpoint.namespace.queues()).arg(queue.as_str());
                calls.push(add);
            }
            let answer = match tokio::time::timeout(
                left.max(Duration::from_millis(1)),
                self.link.all(&calls, Duration::ZERO),
            )
            .await
            {
                Ok(Ok(answers)) => self.settle(answers, tell),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(Error::new(
                    ErrorKind::Unreachable,
                    format!("the broker at {} did not answer in time", endpoint.address),
                )),
            };
            match answer {
                Err(error) if error.kind() == ErrorKind::Unreachable => {
                    if Instant::now() + wait >= until {
                        return Err(error);
                    }
                    sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(1));
                }
                other => return other,
            }
        }
    }

    fn settle(&mut self, answers: Vec<super::link::Answer>, told: bool) -> Result<(), Error> {
        let mut answers = answers.into_iter();
        let first = answers
            .next()
            .unwrap_or_else(|| Err(self.link.odd("nothing")))?;
        if told && answers.next().is_some_and(|a| a.is_ok()) {
            self.told = Some(Instant::now());
        }
        match text(&first) {
            Some("OK" | "APPLIED") => Ok(()),
            _ => Err(self.link.odd(first)),
        }
    }

    fn build(&self, endpoint: &Endpoint, batch: &[Outgoing]) -> Result<redis::Cmd, Error> {
        let mut placed = Placed::default();
        for message in batch {
            let wait = match message.due {
                Due::Now => Duration::ZERO,
                Due::In(wait) => wait,
                Due::At(at) => Duration::from_millis(at.saturating_sub(now_ms())),
            };
            if let Some(record) = &message.record {
                placed.add(record, wait, true, true)?;
            }
        }
        let k = &self.keys;
        let fixed = [&self.producer, &k.bell, &k.delayed, &k.records];
        let keys = fixed
            .into_iter()
            .chain(&k.ready)
            .cloned()
            .chain(placed.keys(k));
        let mut call = scripts::ENQUEUE.call(keys);
        call.arg(endpoint.offset_ms())
            .arg(self.last)
            .arg(RETENTION_S);
        call.arg(batch.len())
            .arg(placed.buckets())
            .arg(placed.own());
        for message in batch {
            let (kind, at) = match message.due {
                Due::Now => ("R", 0),
                Due::In(wait) => ("I", u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                Due::At(at) => ("A", at),
            };
            call.arg(kind)
                .arg(at)
                .arg(message.priority.min(9))
                .arg(&message.body[..]);
        }
        placed.arguments(&mut call);
        Ok(call)
    }
}
