//! Purging a queue: messages are read, then ended where they still lie, in one step that also removes them.
//!
//! Nobody holds them between the two: a purger that dies half way has taken nothing.

use redis::Cmd;

use super::RedisBroker;
use super::delivery::mark;
use super::keys::QueueKeys;
use super::records::{RETENTION_S, encode, server_ms};
use super::scripts;
use super::value::{array, bytes, number};
use crate::broker::RevokeCause;
use crate::clock::now_ms;
use crate::error::{Error, ErrorKind};
use crate::event::Told;
use crate::event::compact::Compact;
use crate::id::{QueueName, TaskId};
use crate::message::{MAX_BYTES, Message};
use crate::record::Record;
use crate::state::State;

/// One call takes this many at most, and 1 MiB beyond the first.
const MOST: usize = 999;

/// What was read may be claimed, or come back, before it is ended: so often it is read again.
const TRIES: usize = 10;

/// A message as it lies in its place.
struct Lying {
    place: u64,
    marked: Vec<u8>,
    /// What is known of it, if anything is.
    call: Option<Call>,
}

struct Call {
    id: TaskId,
    task: String,
    retries: u32,
    tracked: bool,
    created: Option<u64>,
    crashes: u8,
}

pub(super) async fn purge(
    broker: &RedisBroker,
    queue: &QueueName,
    most: usize,
) -> Result<usize, Error> {
    let keys = broker.endpoint.namespace.queue(queue);
    for _ in 0..TRIES {
        let (lying, now) = look(broker, &keys, most.min(MOST)).await?;
        if lying.is_empty() {
            break;
        }
        let purge = call(broker, queue, &keys, &lying, now)?;
        match number(&broker.short.call(&purge).await?) {
            Some(0) => {}
            Some(ended) => return Ok(usize::try_from(ended).unwrap_or(usize::MAX)),
            None => {
                return Err(Error::new(
                    ErrorKind::Protocol,
                    format!(
                        "the broker at {} does not say how many messages were purged",
                        broker.endpoint.address
                    ),
                ));
            }
        }
    }
    Ok(0)
}

/// What lies in the queue, next first, and the server's time.
async fn look(
    broker: &RedisBroker,
    keys: &QueueKeys,
    most: usize,
) -> Result<(Vec<Lying>, u64), Error> {
    let places = std::iter::once(&keys.suspects)
        .chain(&keys.ready)
        .chain([&keys.delayed]);
    let mut look = scripts::LOOK.call(places);
    look.arg(most).arg(MAX_BYTES);
    let mut answers = broker.short.all(&[look, redis::cmd("TIME")]).await?;
    let now = server_ms(answers.pop(), broker.endpoint.offset_ms());
    let words = answers.pop().and_then(array).unwrap_or_default();
    let mut words = words.into_iter();
    let mut lying = Vec::new();
    while let (Some(place), Some(marked)) = (words.next(), words.next()) {
        if let (Some(place), Some(marked)) = (number(&place), bytes(marked)) {
            let call = read(&marked);
            lying.push(Lying {
                place,
                marked,
                call,
            });
        }
    }
    Ok((lying, now))
}

/// What can be read of a message. Of one that can not be read whole, its id is enough.
fn read(marked: &[u8]) -> Option<Call> {
    let has_mark = marked.len() >= 2 && marked[..2].iter().all(u8::is_ascii_digit);
    let (crashes, body) = match has_mark {
        true => (mark(marked).1, &marked[2..]),
        false => (0, marked),
    };
    match Message::decode(body) {
        Ok(message) => Some(Call {
            id: message.id,
            retries: message.retries,
            tracked: !message.ignore_result,
            created: message.enqueued_at,
            crashes,
            task: message.task,
        }),
        Err(error) => Some(Call {
            id: error.id.filter(|id| *id != TaskId::NIL)?,
            task: error.task.unwrap_or_default(),
            retries: 0,
            tracked: true,
            created: None,
            crashes,
        }),
    }
}

/// The script's call.
fn call(
    broker: &RedisBroker,
    queue: &QueueName,
    keys: &QueueKeys,
    lying: &[Lying],
    now: u64,
) -> Result<Cmd, Error> {
    let told: Vec<Told> = lying
        .iter()
        .filter_map(|one| one.call.as_ref())
        .map(|call| Told::revoked(call.id, &call.task, call.retries))
        .collect();
    let event = Compact::encode(&told, None, now_ms());
    let mut rows = event.rows.into_iter();
    let fixed = [
        &keys.records,
        &keys.meta,
        &keys.events,
        &keys.totals,
        &keys.waiters,
    ];
    let mut names: Vec<String> = std::iter::once(&keys.suspects)
        .chain(&keys.ready)
        .chain([&keys.delayed])
        .chain(fixed)
        .cloned()
        .collect();
    let mut arguments = Vec::with_capacity(lying.len());
    for one in lying {
        let (mut json, mut second, mut bucket, mut own) = (Vec::new(), None, 0, 0);
        if let Some(call) = one.call.as_ref().filter(|call| call.tracked) {
            json = encode(&record(call, queue, now))?;
            second = call.id.created_second();
            if let Some(second) = second {
                names.push(keys.bucket(second));
                bucket = names.len();
            }
            names.push(keys.record(call.id));
            own = names.len();
        }
        arguments.push((one, json, second, bucket, own));
    }
    let mut call = scripts::PURGE.call(&names);
    call.arg(broker.endpoint.offset_ms())
        .arg(RETENTION_S)
        .arg(event.header)
        .arg(lying.len());
    for (one, json, second, bucket, own) in arguments {
        let id = one.call.as_ref().map(|call| call.id.to_string());
        let row = one.call.as_ref().and_then(|_| rows.next());
        call.arg(one.place)
            .arg(&one.marked)
            .arg(id.unwrap_or_default())
            .arg(json)
            .arg(second.map(|s| s.to_string()).unwrap_or_default())
            .arg(bucket)
            .arg(own)
            .arg(row.unwrap_or_default());
    }
    Ok(call)
}

fn record(call: &Call, queue: &QueueName, now: u64) -> Record {
    let base = Record::new(call.id, &call.task, queue, State::Revoked);
    Record {
        error: RevokeCause::Purged.failure(),
        attempts: call.retries,
        crashes: call.crashes.into(),
        created: call.created.or(base.created),
        finished: Some(now),
        ..base
    }
}
