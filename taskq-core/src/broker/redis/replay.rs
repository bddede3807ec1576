//! Dead messages leave the dead set: back into their queue, or for good.

use std::collections::BTreeSet;

use redis::{Cmd, Value};

use super::RedisBroker;
use super::dead;
use super::keys::QueueKeys;
use super::records::{RETENTION_S, encode, server_ms};
use super::scripts;
use super::value::number;
use crate::broker::DeadHandle;
use crate::broker::revive::{Revived, check_number, revive};
use crate::clock::now_ms;
use crate::error::{Error, ErrorKind};
use crate::event::compact::Compact;
use crate::id::QueueName;
use crate::message::MAX_BYTES;

/// One script moves at most so many, and at most 1 MiB of entries and messages beyond the first.
const AT_ONCE: usize = 100;

/// An entry of the dead set, and what it is put back as.
type Leaving<'a> = (&'a DeadHandle, Revived);

pub(super) async fn replay(
    broker: &RedisBroker,
    queue: &QueueName,
    dead: &[DeadHandle],
) -> Result<usize, Error> {
    check_number(dead)?;
    // By the server's clock, as what is revoked: a replay counts as sent after whatever was revoked before it.
    let time = broker.short.call(&redis::cmd("TIME")).await?;
    let now = server_ms(Some(time), broker.endpoint.offset_ms());
    // All are read before one is moved: what can not be is refused with the others.
    let mut leaving: Vec<Leaving<'_>> = Vec::with_capacity(dead.len());
    let mut seen = BTreeSet::new();
    for handle in dead.iter().filter(|handle| seen.insert(&handle.0)) {
        leaving.push((handle, revive(dead::body(&handle.0), queue, now)?));
    }
    let keys = broker.endpoint.namespace.queue(queue);
    let mut replayed = 0;
    for part in parts(&leaving, |(handle, new)| handle.0.len() + new.body.len()) {
        replayed += answer(broker, &call(broker, &keys, part)?, queue).await?;
    }
    Ok(replayed)
}

pub(super) async fn discard(
    broker: &RedisBroker,
    queue: &QueueName,
    dead: &[DeadHandle],
) -> Result<usize, Error> {
    check_number(dead)?;
    let keys = broker.endpoint.namespace.queue(queue);
    let mut dropped = 0;
    for part in parts(dead, |handle| handle.0.len()) {
        let mut call = scripts::DISCARD.call([&keys.dead, &keys.meta]);
        for handle in part {
            call.arg(&handle.0[..]);
        }
        dropped += answer(broker, &call, queue).await?;
    }
    Ok(dropped)
}

/// What one script takes, in order.
fn parts<T>(all: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut parts = Vec::new();
    let mut rest = all;
    while !rest.is_empty() {
        let mut beyond = 0;
        let fits = |one: &&T| {
            beyond += size(one);
            beyond <= MAX_BYTES
        };
        let more = rest[1..].iter().take(AT_ONCE - 1).take_while(fits).count();
        let (part, left) = rest.split_at(1 + more);
        parts.push(part);
        rest = left;
    }
    parts
}

fn call(broker: &RedisBroker, k: &QueueKeys, part: &[Leaving<'_>]) -> Result<Cmd, Error> {
    let fixed = [&k.dead, &k.meta, &k.records, &k.bell, &k.events, &k.totals];
    let fixed = fixed.into_iter().chain(&k.ready).chain([&k.revoked]);
    let mut keys: Vec<String> = fixed.cloned().collect();
    let mut places = Vec::with_capacity(part.len());
    for (_, new) in part {
        let (mut bucket, mut own) = (0, 0);
        if new.record.is_some() {
            if let Some(second) = new.id.created_second() {
                keys.push(k.bucket(second));
                bucket = keys.len();
            }
            keys.push(k.record(new.id));
            own = keys.len();
        }
        places.push((bucket, own));
    }
    let told = part.iter().map(|(_, new)| &new.told);
    let event = Compact::encode(told, None, now_ms());
    let mut call = scripts::REPLAY.call(&keys);
    call.arg(broker.endpoint.offset_ms())
        .arg(RETENTION_S)
        .arg(event.header)
        .arg(part.len());
    for (((handle, new), (bucket, own)), row) in part.iter().zip(places).zip(event.rows) {
        let record = new.record.as_ref().map(encode).transpose()?;
        let second = new.record.as_ref().and_then(|r| r.id.created_second());
        call.arg(&handle.0[..])
            .arg(new.priority)
            .arg(&new.body[..])
            .arg(new.id.to_string())
            .arg(record.unwrap_or_default())
            .arg(second.map(|s| s.to_string()).unwrap_or_default())
            .arg(bucket)
            .arg(own)
            .arg(row);
    }
    Ok(call)
}

async fn answer(broker: &RedisBroker, call: &Cmd, queue: &QueueName) -> Result<usize, Error> {
    let answer: Value = broker.short.call(call).await?;
    let moved = number(&answer).and_then(|n| usize::try_from(n).ok());
    moved.ok_or_else(|| {
        Error::new(
            ErrorKind::Protocol,
            format!(
                "the broker at {} does not say how many messages left the dead set of {queue}",
                broker.endpoint.address
            ),
        )
    })
}
