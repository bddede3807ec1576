//! Dead messages leave the dead set: back into their queue, or for good.

use super::link::Link;
use super::place::QueueId;
use super::tx::{Tx, View};
use super::{dead, moves, records, revoked, stream};
use crate::broker::DeadHandle;
use crate::broker::marked::Marked;
use crate::broker::revive::{check_number, revive};
use crate::error::Error;
use crate::event::Told;
use crate::id::QueueName;
use crate::message::MAX_BYTES;

/// One step moves at most so many, and at most 1 MiB beyond the first.
const AT_ONCE: usize = 100;

/// How many were still dead. They are moved part by part, once it is known that all can be read.
pub(super) async fn replay(
    link: &Link,
    queue: &QueueName,
    dead: &[DeadHandle],
) -> Result<usize, Error> {
    check_number(dead)?;
    let (mut parts, mut rest) = (Vec::new(), dead);
    while !rest.is_empty() {
        let (name, next) = (queue.clone(), part_of(rest));
        let read = link.read(move |view| readable(view, &name, &next)).await?;
        let (part, left) = rest.split_at(read);
        parts.push(part);
        rest = left;
    }
    let mut replayed = 0;
    for part in parts {
        let (name, part) = (queue.clone(), part.to_vec());
        replayed += link.write(move |tx| put_back(tx, &name, &part)).await?;
    }
    Ok(replayed)
}

/// How many were still there.
pub(super) async fn discard(
    link: &Link,
    queue: &QueueName,
    dead: &[DeadHandle],
) -> Result<usize, Error> {
    check_number(dead)?;
    let mut dropped = 0;
    for part in dead.chunks(AT_ONCE) {
        let (name, part) = (queue.clone(), part.to_vec());
        let step = move |tx: &mut Tx<'_>| {
            let Some(queue) = tx.known(&name)? else {
                return Ok(0);
            };
            let mut gone = 0;
            for handle in &part {
                gone += usize::from(dead::take(tx, queue, handle)?);
            }
            Ok(gone)
        };
        dropped += link.write(step).await?;
    }
    Ok(dropped)
}

fn part_of(dead: &[DeadHandle]) -> Vec<DeadHandle> {
    dead.iter().take(AT_ONCE).cloned().collect()
}

/// How many of these, from the first on, make one step: at least one.
///
/// # Errors
/// One of them can not be put back.
fn readable(view: &View<'_>, name: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
    let Some(queue) = view.known(name)? else {
        return Ok(dead.len());
    };
    let mut room = MAX_BYTES;
    for (place, handle) in dead.iter().enumerate() {
        let Some(entry) = dead::entry(view, queue, handle)? else {
            continue;
        };
        match room.checked_sub(entry.body.len()) {
            Some(left) => room = left,
            None if place > 0 => return Ok(place),
            None => room = 0,
        }
        revive(&entry.body, name, view.now())?;
    }
    Ok(dead.len())
}

fn put_back(tx: &mut Tx<'_>, name: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
    let Some(queue) = tx.known(name)? else {
        return Ok(0);
    };
    let mut told = Vec::with_capacity(dead.len());
    for handle in dead {
        told.extend(put_one_back(tx, queue, name, handle)?);
    }
    tx.counts(queue).total_sent += told.len();
    stream::tell(tx, queue, None, &told)?;
    Ok(told.len())
}

/// What is told of it; `None`: it was dead no more.
fn put_one_back(
    tx: &mut Tx<'_>,
    queue: QueueId,
    name: &QueueName,
    handle: &DeadHandle,
) -> Result<Option<Told>, Error> {
    let Some(entry) = dead::entry(tx, queue, handle)? else {
        return Ok(None);
    };
    let now = tx.now();
    let new = revive(&entry.body, name, now)?;
    dead::take(tx, queue, handle)?;
    revoked::forget(tx, queue, new.id)?;
    if let Some(record) = &new.record {
        records::revive(tx, queue, record)?;
    }
    let message = Marked {
        body: new.body,
        priority: new.priority,
        crashes: 0,
    };
    moves::push(tx, queue, &message, now)?;
    Ok(Some(new.told))
}
