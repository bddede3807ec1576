//! Where a record lives: in the bucket of its id's second, or under a key of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Cmd, Value, cmd};

use super::RedisBroker;
use super::keys::QueueKeys;
use super::value::{array, bytes, number};
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::state::State;

/// Records are kept this long after they were last written: 24 h.
pub(super) const RETENTION_S: u64 = 24 * 3600;

/// FAILURE and DEAD are kept 7 days.
pub(super) const FAILED_RETENTION_S: u64 = 7 * 24 * 3600;

/// Nothing waits longer, as far as its record goes: 100 years. Redis refuses a TTL that is much longer.
const LONGEST_WAIT_S: u64 = 100 * 365 * 24 * 3600;

/// Records on their way into a script, grouped as it takes them.
#[derive(Debug, Default)]
pub(super) struct Placed {
    buckets: BTreeMap<u64, Vec<(TaskId, Vec<u8>)>>,
    own: Vec<(TaskId, u64, Vec<u8>)>,
}

impl Placed {
    /// Adds the record of a task that waits for so long, in its bucket and under a key of its own as far as it may stand
    /// there and needs to.
    pub(super) fn add(
        &mut self,
        record: &Record,
        wait: Duration,
        bucket: bool,
        own: bool,
    ) -> Result<(), Error> {
        let json = encode(record)?;
        let second = record.id.created_second().filter(|_| bucket);
        let wait_s = wait.as_secs().min(LONGEST_WAIT_S);
        let ttl = if matches!(record.state, State::Failure | State::Dead) {
            Some(FAILED_RETENTION_S)
        } else if second.is_none() || wait_s >= RETENTION_S {
            Some(wait_s + RETENTION_S)
        } else {
            None
        };
        if let Some(ttl) = ttl.filter(|_| own) {
            self.own.push((record.id, ttl, json.clone()));
        }
        if let Some(second) = second {
            self.buckets
                .entry(second)
                .or_default()
                .push((record.id, json));
        }
        Ok(())
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn own(&self) -> usize {
        self.own.len()
    }

    /// The keys in the order in which `arguments` speaks of them: buckets, then own ones.
    pub(super) fn keys(&self, keys: &QueueKeys) -> Vec<String> {
        let buckets = self.buckets.keys().map(|second| keys.bucket(*second));
        let own = self.own.iter().map(|(id, ..)| keys.record(*id));
        buckets.chain(own).collect()
    }

    pub(super) fn arguments(&self, call: &mut Cmd) {
        for (second, records) in &self.buckets {
            call.arg(*second).arg(records.len());
            for (id, json) in records {
                call.arg(id.to_string()).arg(json);
            }
        }
        for (id, ttl, json) in &self.own {
            call.arg(*ttl).arg(id.to_string()).arg(json);
        }
    }

    /// The ids whose record lives in the `index`-th of `keys`.
    pub(super) fn ids_at(&self, index: usize) -> Vec<TaskId> {
        match self.buckets.values().nth(index) {
            Some(records) => records.iter().map(|(id, _)| *id).collect(),
            None => self
                .own
                .get(index - self.buckets.len())
                .map(|(id, ..)| *id)
                .into_iter()
                .collect(),
        }
    }

    /// Bytes it adds to a call.
    pub(super) fn size(record: Option<&Record>) -> usize {
        record.map_or(0, |r| 256 + r.result.as_ref().map_or(0, |v| v.get().len()))
    }
}

/// The stored form.
pub(super) fn encode(record: &Record) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(record).map_err(|e| {
        Error::new(
            ErrorKind::Protocol,
            format!("the record of {} does not encode", record.id),
        )
        .because(e)
    })
}

pub(super) fn decode(id: TaskId, json: &[u8]) -> Result<Record, Error> {
    let mut record: Record = serde_json::from_slice(json).map_err(|e| {
        Error::new(
            ErrorKind::Protocol,
            format!("the record of {id} can not be read"),
        )
        .because(e)
    })?;
    record.id = id;
    Ok(record)
}

/// Reads the record of `id` from the queues it may be in, in one pipeline.
pub(super) async fn read(
    broker: &RedisBroker,
    id: TaskId,
    queue: Option<&QueueName>,
) -> Result<Option<Record>, Error> {
    let queues = match queue {
        Some(queue) => vec![queue.clone()],
        None => super::inspect::queues(broker).await?,
    };
    let mut asks: Vec<Cmd> = Vec::with_capacity(2 * queues.len());
    for queue in &queues {
        let keys = broker.endpoint.namespace.queue(queue);
        let mut own = cmd("GET");
        own.arg(keys.record(id));
        asks.push(own);
        let mut bucket = cmd("HGET");
        bucket
            .arg(keys.bucket(id.created_second().unwrap_or(0)))
            .arg(id.to_string());
        asks.push(bucket);
    }
    asks.push(cmd("TIME"));
    let mut answers = broker.short.all(&asks).await?;
    let now = server_ms(answers.pop(), broker.endpoint.offset_ms());
    let mut best: Option<Record> = None;
    for pair in answers.chunks(2) {
        // A final record of its own was written last; else the bucket is newer.
        for value in pair {
            let Some(json) = bytes(value.clone()) else {
                continue;
            };
            let record = decode(id, &json)?;
            let better = best.as_ref().is_none_or(|b| !b.state.is_final());
            if better {
                best = Some(record);
            }
        }
    }
    Ok(best.map(|record| record.read_at(now)))
}

/// What TIME answers, in ms.
pub(super) fn server_ms(answer: Option<Value>, offset_ms: i64) -> u64 {
    let words = answer.and_then(array).unwrap_or_default();
    let part = |i: usize| words.get(i).and_then(number).unwrap_or(0);
    (part(0) * 1000 + part(1) / 1000).saturating_add_signed(offset_ms)
}
