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

#[cfg(test)]
mod tests {
    use super::super::SqliteBroker;
    use super::super::open::Location;
    use super::*;
    use crate::error::ErrorKind;
    use crate::message::Message;
    use crate::state::State;

    /// A broker with so many dead messages of 20 KB, and their handles, the oldest first.
    async fn with_dead(n: usize) -> (SqliteBroker, Vec<DeadHandle>) {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        for _ in 0..n {
            let mut message = Message::new("t");
            let args = serde_json::value::to_raw_value(&["x".repeat(20_000)]);
            message.args = args.ok();
            bury(&broker, message.encode().unwrap()).await;
        }
        let queue = QueueName::default();
        let all = dead::list(&broker.link, &queue, 0, 1_000).await.unwrap();
        let handles = all.into_iter().rev().map(|entry| entry.handle);
        (broker, handles.collect())
    }

    async fn bury(broker: &SqliteBroker, body: Vec<u8>) {
        let message = Marked {
            body: body.into(),
            priority: 3,
            crashes: 0,
        };
        let step = broker.link.write(move |tx| {
            let queue = tx.queue(&QueueName::default())?;
            dead::push(tx, queue, &message, State::Failure, "no")
        });
        step.await.unwrap();
    }

    /// How many wait, and how many are dead.
    async fn counted(broker: &SqliteBroker) -> (i64, i64) {
        let sql = "SELECT waiting, dead FROM queue WHERE id = 1";
        let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let look = broker.link.read(move |view| view.one(sql, (), pair));
        look.await.unwrap()
    }

    /// Three megabytes go in steps of one; dropped are as many as are named.
    #[tokio::test]
    async fn many_large_ones_go_part_by_part() {
        let queue = QueueName::default();
        let (broker, handles) = with_dead(250).await;
        let (name, some) = (queue.clone(), handles[..100].to_vec());
        let part = broker.link.read(move |view| readable(view, &name, &some));
        assert_eq!(part.await.unwrap(), MAX_BYTES / 20_100);
        let moved = replay(&broker.link, &queue, &handles[..150]).await;
        assert_eq!(moved.unwrap(), 150);
        assert_eq!(counted(&broker).await, (150, 100));
        let dropped = discard(&broker.link, &queue, &handles[100..]).await;
        assert_eq!(dropped.unwrap(), 100);
        assert_eq!(counted(&broker).await, (150, 0));
    }

    /// All are read before one is moved, also in other parts.
    #[tokio::test]
    async fn one_that_can_not_be_read_holds_back_all() {
        let queue = QueueName::default();
        let (broker, mut handles) = with_dead(120).await;
        bury(&broker, b"no message".to_vec()).await;
        let newest = dead::list(&broker.link, &queue, 0, 1).await.unwrap();
        handles.push(newest[0].handle.clone());
        let refused = replay(&broker.link, &queue, &handles).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert_eq!(counted(&broker).await, (0, 121));
    }
}
