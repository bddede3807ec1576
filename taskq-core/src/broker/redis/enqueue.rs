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
use super::session::ms;
use super::value::{array, number, text};
use crate::broker::{Accepted, Due, Once, Outgoing};
use crate::clock::now_ms;
use crate::error::{Error, ErrorKind};
use crate::event::Told;
use crate::event::compact::Compact;
use crate::id::QueueName;
use crate::message::MAX_BYTES;

/// One try takes this long at most; the deadline of the batch may allow several.
const TRY: Duration = Duration::from_secs(5);

/// The queues' names are told again this often, so that they survive a FLUSHALL.
const TELL_QUEUE: Duration = Duration::from_secs(5);

/// An idempotency key is held this long at most: 100 years. Redis refuses a TTL that is much longer.
const LONGEST_HOLD_MS: u64 = 100 * 365 * 24 * 3_600_000;

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
    ) -> Result<Accepted, Error> {
        if batch.is_empty() {
            return Ok(Accepted::default());
        }
        let beyond: usize = batch.iter().skip(1).map(|m| m.body.len()).sum();
        if let Some(once) = batch
            .iter()
            .filter_map(|m| m.once.as_ref())
            .find(|o| !valid(o))
        {
            return Err(Error::invalid(format!(
                "an idempotency key has 1 to 256 bytes and is held for at least 1 ms; this one has {} and {:?}",
                once.key.len(),
                once.held_for
            )));
        }
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
    ) -> Result<Accepted, Error> {
        // A number once sent is never used for other messages: a late copy of the first ones would swallow them.
        self.last += 1;
        let mut calls = vec![self.build(endpoint, batch)?];
        let mut wait = Duration::from_millis(20);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let tell = self.told.is_none_or(|at| at.elapsed() > TELL_QUEUE);
            calls.truncate(1);
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

    fn settle(&mut self, answers: Vec<super::link::Answer>, told: bool) -> Result<Accepted, Error> {
        let mut answers = answers.into_iter();
        let first = answers
            .next()
            .unwrap_or_else(|| Err(self.link.odd("nothing")))?;
        if told && answers.next().is_some_and(|a| a.is_ok()) {
            self.told = Some(Instant::now());
        }
        let words = array(first).unwrap_or_default();
        match words.first().and_then(text) {
            Some("OK" | "APPLIED") => Ok(accepted(&words[1..])),
            _ => Err(self.link.odd(words)),
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
        let keyed: Vec<_> = batch
            .iter()
            .enumerate()
            .filter_map(|(place, m)| Some((place, m, m.once.as_ref()?)))
            .collect();
        let fixed = [&self.producer, &k.bell, &k.delayed, &k.records];
        let told = [&k.meta, &k.events, &k.totals];
        let keys = fixed
            .into_iter()
            .chain(&k.ready)
            .chain(told)
            .cloned()
            .chain(placed.keys(k))
            .chain(keyed.iter().map(|(.., once)| k.once(&once.key)));
        let mut call = scripts::ENQUEUE.call(keys);
        call.arg(endpoint.offset_ms())
            .arg(self.last)
            .arg(RETENTION_S);
        call.arg(batch.len())
            .arg(placed.buckets())
            .arg(placed.own());
        let (event, mut rows) = event(batch);
        call.arg(keyed.len()).arg(event);
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
        for (place, message, once) in keyed {
            let row = message.event.as_ref().and_then(|_| rows.next());
            call.arg(place)
                .arg(message.id.to_string())
                .arg(ms(once.held_for).clamp(1, LONGEST_HOLD_MS))
                .arg(row.unwrap_or_default());
        }
        Ok(call)
    }
}

/// What monitors are told of a batch: of messages without an idempotency key at once, a row each for the others.
fn event(batch: &[Outgoing]) -> (Vec<u8>, impl Iterator<Item = Vec<u8>>) {
    let told = |keyed: bool| {
        let messages = batch.iter().filter(move |m| m.once.is_some() == keyed);
        messages.filter_map(|m| m.event.as_ref())
    };
    let all: Vec<&Told> = told(false).chain(told(true)).collect();
    if all.is_empty() {
        return (Vec::new(), Vec::new().into_iter());
    }
    let Compact { header, mut rows } = Compact::encode(all, None, now_ms());
    let keyed = rows.split_off(told(false).count());
    let mut entry = header;
    rows.iter().for_each(|row| entry.extend_from_slice(row));
    (entry, keyed.into_iter())
}

fn valid(once: &Once) -> bool {
    (1..=256).contains(&once.key.len()) && once.held_for >= Duration::from_millis(1)
}

/// Which messages were not put in, out of pairs of place and id.
fn accepted(words: &[redis::Value]) -> Accepted {
    let pair = |pair: &[redis::Value]| {
        let place = usize::try_from(number(pair.first()?)?).ok()?;
        Some((place, text(pair.get(1)?)?.parse().ok()?))
    };
    Accepted {
        duplicates: words.chunks(2).filter_map(pair).collect(),
    }
}

#[cfg(test)]
mod tests {
    use private_redis::RedisServer;

    use super::*;
    use crate::id::TaskId;
    use crate::message::Message;

    fn keyed(key: &str) -> Outgoing {
        let message = Message::new("test.task");
        Outgoing {
            id: message.id,
            body: message.encode().unwrap().into(),
            priority: 0,
            due: Due::Now,
            record: None,
            once: Some(Once {
                key: key.into(),
                held_for: Duration::from_secs(60),
            }),
            event: None,
        }
    }

    /// The reply to a batch was lost, and its keys passed on before the repeat: what was put in is still told as put in,
    /// and what was not as not.
    #[tokio::test]
    async fn a_repeat_is_answered_as_the_batch_was() {
        let server = RedisServer::start();
        let endpoint = Endpoint::parse(&server.url()).unwrap();
        let queue = QueueName::new("q").unwrap();
        let lane = Lanes::new(&endpoint).lane(&queue);
        let mut lane = lane.lock().await;
        let (holder, other) = (Message::new("test.task").id, Message::new("test.task").id);
        let key = |key: &str| lane.keys.once(key);
        let (held, free) = (key("held"), key("free"));
        let hold = |key: &str, id: TaskId| {
            assert_eq!(server.command(&format!("SET {key} {id}")), "+OK");
        };
        hold(&held, holder);

        let batch = [keyed("held"), keyed("free")];
        lane.last += 1;
        let call = lane.build(&endpoint, &batch).unwrap();
        for repeat in [false, true] {
            let answers = lane.link.all(std::slice::from_ref(&call), Duration::ZERO);
            let answers = answers.await.unwrap();
            let accepted = lane.settle(answers, false).unwrap();
            assert_eq!(accepted.duplicates, [(0, holder)], "repeat: {repeat}");
            assert!(server.command(&format!("DEL {held}")).starts_with(':'));
            hold(&free, other);
        }
        assert_eq!(server.command("LLEN taskq:{q}:ready"), ":1");
    }

    /// A call that is sent twice has one id: its key keeps the second one out as it would any other.
    #[tokio::test]
    async fn a_key_keeps_out_a_second_send_of_its_own_holder() {
        let server = RedisServer::start();
        let endpoint = Endpoint::parse(&server.url()).unwrap();
        let (lanes, queue) = (Lanes::new(&endpoint), QueueName::new("q").unwrap());
        let one = keyed("key");
        let twice = [one.clone(), one.clone()];
        let second = Duration::from_secs(9);
        let accepted = lanes.enqueue(&queue, &twice, second).await.unwrap();
        assert_eq!(accepted.duplicates, [(1, one.id)]);
        let accepted = lanes.enqueue(&queue, &twice[..1], second).await.unwrap();
        assert_eq!(accepted.duplicates, [(0, one.id)]);
        assert_eq!(server.command("LLEN taskq:{q}:ready"), ":1");
        assert_eq!(server.command("EXISTS taskq:{q}:once:key"), ":1");
    }
}
