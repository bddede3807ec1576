//! What is revoked at a queue: kept in one zset, and read by consumers when its serial has changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, Value, cmd};

use super::RedisBroker;
use super::endpoint::Endpoint;
use super::keys::QueueKeys;
use super::link::{Answer, Link};
use super::records::{RETENTION_S, decode, encode, server_ms};
use super::scripts;
use super::value::{array, bytes, members, number, text};
use crate::broker::{MAX_REVOKED, RevokeCause};
use crate::clock::now_ms;
use crate::error::{Error, ErrorKind};
use crate::event::Told;
use crate::event::compact::Compact;
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::revocation::{Revocation, Revocations};
use crate::state::State;

/// Each is kept for 7 days; what is due later, until then and 7 days.
const KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// One call takes this many at most.
const MOST: usize = 999;

/// What a consumer knows of one queue.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Read>);

#[derive(Debug, Default)]
struct Read {
    /// Of the set that was read; empty: nothing was ever revoked here, as far as is known.
    serial: Vec<u8>,
    set: Set,
    /// It has to be read before it is used again.
    stale: bool,
}

/// The set as it was read.
#[derive(Debug, Default)]
struct Set {
    all: Arc<Revocations>,
    /// When the first of it leaves: ms, the server's clock.
    first_end: Option<u64>,
}

impl Known {
    /// A claim answered `serial` at `now`.
    pub(super) fn told(&self, serial: &[u8], now: u64) {
        let mut read = self.read();
        let past = read.set.first_end.is_some_and(|end| end <= now);
        if serial != read.serial || past {
            read.stale = true;
        }
    }

    /// What was claimed a while ago is handed out only now.
    pub(super) fn doubt(&self) {
        self.read().stale = true;
    }

    /// What is revoked; `None`: it has to be read first.
    pub(super) fn all(&self) -> Option<Arc<Revocations>> {
        let read = self.read();
        (!read.stale).then(|| read.set.all.clone())
    }

    /// The calls that read it.
    pub(super) fn ask(keys: &QueueKeys) -> [Cmd; 2] {
        let mut serial = cmd("HGET");
        serial.arg(&keys.meta).arg("revoked");
        // Behind the serial: what it brings is at least as new.
        [serial, ask_set(keys)]
    }

    /// Takes note of what these were answered; `now` by the server's clock.
    pub(super) fn answered(&self, serial: Answer, set: Answer, now: u64) -> Result<(), Error> {
        let (serial, set) = (bytes(serial?).unwrap_or_default(), read_set(set?, now));
        *self.read() = Read {
            serial,
            set,
            stale: false,
        };
        Ok(())
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask_set(keys: &QueueKeys) -> Cmd {
    let mut ask = cmd("ZRANGE");
    ask.arg(&keys.revoked).arg(0).arg(-1).arg("WITHSCORES");
    ask
}

/// What has not run off at `now`. What can not be read was written by another version, and revokes nothing here.
fn read_set(answer: Value, now: u64) -> Set {
    let mut words = array(answer).unwrap_or_default().into_iter();
    let (mut all, mut first_end) = (Revocations::default(), None);
    while let (Some(member), Some(until)) = (words.next(), words.next()) {
        let (Some(until), Some(member)) = (number(&until), text(&member)) else {
            continue;
        };
        if until <= now {
            continue;
        }
        first_end = Some(first_end.map_or(until, |first: u64| first.min(until)));
        let at = until.saturating_sub(KEPT_MS);
        match member.split_at_checked(1) {
            Some(("i", id)) => {
                if let Ok(id) = id.parse() {
                    all.add(Revocation::Id(id), at);
                }
            }
            Some(("m", id)) => {
                if let Ok(id) = id.parse() {
                    all.add(Revocation::Id(id), at);
                    all.add_told(id);
                }
            }
            Some(("t", task)) => all.add(Revocation::Task(task.to_owned()), at),
            Some(("h", json)) => {
                if let Ok((name, value)) = serde_json::from_str(json) {
                    all.add(Revocation::Header { name, value }, at);
                }
            }
            _ => {}
        }
    }
    Set {
        all: Arc::new(all),
        first_end,
    }
}

/// As it stands in the set.
fn member(one: &Revocation) -> String {
    match one {
        Revocation::Id(id) => format!("i{id}"),
        Revocation::Task(task) => format!("t{task}"),
        Revocation::Header { name, value } => format!("h{}", serde_json::json!([name, value])),
    }
}

/// What is revoked now.
pub(super) async fn list(
    broker: &RedisBroker,
    queue: &QueueName,
) -> Result<Arc<Revocations>, Error> {
    let keys = broker.endpoint.namespace.queue(queue);
    let mut answers = broker.short.all(&[ask_set(&keys), cmd("TIME")]).await?;
    let now = server_ms(answers.pop(), broker.endpoint.offset_ms());
    Ok(read_set(answers.pop().unwrap_or_default(), now).all)
}

pub(super) async fn revoke(
    broker: &RedisBroker,
    queue: &QueueName,
    what: &[Revocation],
) -> Result<(), Error> {
    check(what.len())?;
    what.iter().try_for_each(Revocation::check)?;
    if what.is_empty() {
        return Ok(());
    }
    let keys = broker.endpoint.namespace.queue(queue);
    let ids = what.iter().filter_map(|one| match one {
        Revocation::Id(id) => Some(*id),
        Revocation::Task(_) | Revocation::Header { .. } => None,
    });
    let (records, _) = records(broker, &keys, ids.collect()).await?;
    let mut call = scripts::REVOKE.call([&keys.meta, &keys.revoked]);
    call.arg(broker.endpoint.offset_ms())
        .arg(KEPT_MS)
        .arg(MAX_REVOKED);
    for one in what {
        let due = match one {
            Revocation::Id(id) => records.get(id).and_then(|r| r.due),
            Revocation::Task(_) | Revocation::Header { .. } => None,
        };
        call.arg(member(one)).arg(due.unwrap_or(0));
    }
    let words = array(broker.short.call(&call).await?).unwrap_or_default();
    match (words.first().and_then(text), words.get(1).and_then(number)) {
        (Some("OK"), _) => Ok(()),
        (Some("FULL"), Some(kept)) => Err(Error::new(
            ErrorKind::Refused,
            format!(
                "{kept} revocations are kept at {queue} and there is room for {MAX_REVOKED}: revoke by task or header, or wait until the oldest leave"
            ),
        )),
        _ => Err(odd(broker, "what became of a revocation")),
    }
}

pub(super) async fn mark(
    broker: &RedisBroker,
    queue: &QueueName,
    ids: &[TaskId],
) -> Result<Vec<TaskId>, Error> {
    check(ids.len())?;
    let keys = broker.endpoint.namespace.queue(queue);
    let (records, now) = records(broker, &keys, ids.to_vec()).await?;
    let records: Vec<Record> = records
        .into_values()
        .filter(|r| !r.state.is_final())
        .collect();
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let told: Vec<Told> = records
        .iter()
        .map(|r| Told::revoked(r.id, &r.task, r.attempts))
        .collect();
    let event = Compact::encode(&told, None, now_ms());
    let mut names = vec![
        keys.records.clone(),
        keys.revoked.clone(),
        keys.meta.clone(),
        keys.events.clone(),
        keys.waiters.clone(),
    ];
    for record in &records {
        names.extend(places(&keys, record.id));
    }
    let mut call = scripts::MARK.call(&names);
    call.arg(broker.endpoint.offset_ms())
        .arg(RETENTION_S)
        .arg(event.header);
    for (record, row) in records.into_iter().zip(event.rows) {
        let id = record.id;
        let revoked = Record {
            state: State::Revoked,
            error: RevokeCause::Requested.failure(),
            finished: Some(now),
            due: None,
            ..record
        };
        let second = id.created_second().map(|s| s.to_string());
        call.arg(id.to_string())
            .arg(encode(&revoked)?)
            .arg(second.unwrap_or_default())
            .arg(row);
    }
    let marked = members(broker.short.call(&call).await?);
    Ok(marked.iter().filter_map(|id| id.parse().ok()).collect())
}

/// The two keys where the record of `id` may lie.
fn places(keys: &QueueKeys, id: TaskId) -> [String; 2] {
    [
        keys.bucket(id.created_second().unwrap_or(0)),
        keys.record(id),
    ]
}

/// The records of `ids` in one queue as they were written, and the server's time.
async fn records(
    broker: &RedisBroker,
    keys: &QueueKeys,
    ids: Vec<TaskId>,
) -> Result<(HashMap<TaskId, Record>, u64), Error> {
    let mut asks = Vec::with_capacity(2 * ids.len() + 1);
    for &id in &ids {
        let [bucket, own] = places(keys, id);
        let (mut first, mut second) = (cmd("GET"), cmd("HGET"));
        first.arg(own);
        second.arg(bucket).arg(id.to_string());
        asks.extend([first, second]);
    }
    asks.push(cmd("TIME"));
    let mut answers = broker.short.each(&asks).await?;
    let time = answers.pop().transpose()?;
    let now = server_ms(time, broker.endpoint.offset_ms());
    let mut records = HashMap::new();
    for (id, pair) in ids.into_iter().zip(answers.chunks(2)) {
        // As in `records::read`: one of its own that is final was written last, else the bucket is newer.
        let mut found: Option<Record> = None;
        for answer in pair.iter().flatten() {
            if let Some(json) = bytes(answer.clone())
                && found.as_ref().is_none_or(|r| !r.state.is_final())
                && let Ok(record) = decode(id, &json)
            {
                found = Some(record);
            }
        }
        records.extend(found.map(|record| (id, record)));
    }
    Ok((records, now))
}

fn check(n: usize) -> Result<(), Error> {
    if n <= MOST {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{n} are too many for one call: revoke at most {MOST} at once"
    )))
}

fn odd(broker: &RedisBroker, what: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!(
            "the broker at {} does not say {what}",
            broker.endpoint.address
        ),
    )
}

/// Reads what is revoked at these queues, each with its answer: trouble at one is no trouble of the others.
pub(super) async fn read<'a>(
    endpoint: &Endpoint,
    link: &mut Link,
    queues: impl Iterator<Item = (&'a QueueKeys, &'a Known)>,
) -> Result<Vec<Result<(), Error>>, Error> {
    let queues: Vec<_> = queues.collect();
    let mut asks: Vec<Cmd> = queues
        .iter()
        .flat_map(|(keys, _)| Known::ask(keys))
        .collect();
    asks.push(cmd("TIME"));
    let mut answers = link.all(&asks, Duration::ZERO).await?;
    let time = answers.pop().transpose()?;
    let now = server_ms(time, endpoint.offset_ms());
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
    Ok(queues
        .into_iter()
        .map(|(_, known)| known.answered(next(), next(), now))
        .collect())
}
