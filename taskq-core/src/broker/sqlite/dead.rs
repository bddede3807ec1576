//! The dead set: bounded by age, count and bytes, oldest out first.

use bytes::Bytes;
use rusqlite::params;

use super::link::Link;
use super::place::QueueId;
use super::tx::{Tx, View, column, number};
use crate::broker::marked::Marked;
use crate::broker::{DeadHandle, DeadMessage};
use crate::error::Error;
use crate::id::QueueName;
use crate::state::State;

/// A dead message is kept for 7 days at most; …
const KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// … of one queue so many; …
const MAX_ENTRIES: i64 = 10_000;

/// … and so many bytes of them: 64 MiB.
const MAX_BYTES: i64 = 64 << 20;

/// A listing answers at most this many.
const MAX_LISTED: usize = 1_000;

/// Puts a message into the dead set: FAILURE or DEAD, for this reason.
pub(super) fn push(
    tx: &mut Tx<'_>,
    queue: QueueId,
    message: &Marked,
    state: State,
    reason: &str,
) -> Result<(), Error> {
    let sql = "INSERT INTO dead (queue, at, state, reason, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    let (now, body) = (tx.now_column(), &message.body[..]);
    tx.run(sql, params![queue.0, now, state.as_str(), reason, body])?;
    let counts = tx.counts(queue);
    counts.dead += 1;
    counts.dead_bytes += body.len() + reason.len();
    make_room(tx, queue)
}

/// The oldest leave while there are too many.
fn make_room(tx: &mut Tx<'_>, queue: QueueId) -> Result<(), Error> {
    let sql = "SELECT dead, dead_bytes FROM queue WHERE id = ?1";
    let before: (i64, i64) = tx.one(sql, [queue.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    loop {
        let change = tx.counts(queue);
        let (entries, bytes) = (
            before.0 + change.dead.by(),
            before.1 + change.dead_bytes.by(),
        );
        if entries <= MAX_ENTRIES && bytes <= MAX_BYTES {
            return Ok(());
        }
        let sql = "SELECT id FROM dead WHERE queue = ?1 ORDER BY id LIMIT 1";
        let oldest: Option<i64> = tx.maybe(sql, [queue.0], |row| row.get(0))?;
        let Some(id) = oldest else {
            return Ok(());
        };
        drop_one(tx, id)?;
    }
}

/// Drops those that are past their time, at most `n`; how many.
pub(super) fn expire(tx: &mut Tx<'_>, n: usize) -> Result<usize, Error> {
    let sql = "SELECT id FROM dead WHERE at <= ?1 ORDER BY at LIMIT ?2";
    let past: Vec<i64> = tx.all(sql, params![kept_since(tx), column(n as u64)], |row| {
        row.get(0)
    })?;
    for id in &past {
        drop_one(tx, *id)?;
    }
    Ok(past.len())
}

/// Takes one out, and its counts with it.
fn drop_one(tx: &mut Tx<'_>, id: i64) -> Result<(), Error> {
    let sql = "DELETE FROM dead WHERE id = ?1 RETURNING queue, length(body) + length(CAST(reason AS BLOB))";
    let gone: Option<(i64, i64)> = tx.maybe(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if let Some((queue, bytes)) = gone {
        let counts = tx.counts(QueueId(queue));
        counts.dead -= 1;
        counts.dead_bytes -= usize::try_from(bytes).unwrap_or(0);
    }
    Ok(())
}

/// The newest first: `limit` behind the first `skip`.
pub(super) async fn list(
    link: &Link,
    queue: &QueueName,
    skip: usize,
    limit: usize,
) -> Result<Vec<DeadMessage>, Error> {
    let name = queue.clone();
    let look = move |view: &View<'_>| match view.known(&name)? {
        Some(queue) => newest(view, queue, skip, limit),
        None => Ok(Vec::new()),
    };
    link.read(look).await
}

fn newest(
    view: &View<'_>,
    queue: QueueId,
    skip: usize,
    limit: usize,
) -> Result<Vec<DeadMessage>, Error> {
    let sql = "SELECT id, at, state, reason, body FROM dead WHERE queue = ?1 AND at > ?2 \
               ORDER BY id DESC LIMIT ?3 OFFSET ?4";
    let (skip, limit) = (column(skip as u64), column(limit.min(MAX_LISTED) as u64));
    view.all(sql, params![queue.0, kept_since(view), limit, skip], read)
}

/// The entry known by `handle`.
pub(super) fn entry(
    view: &View<'_>,
    queue: QueueId,
    handle: &DeadHandle,
) -> Result<Option<DeadMessage>, Error> {
    let Some((id, at)) = known_by(handle) else {
        return Ok(None);
    };
    let sql = "SELECT id, at, state, reason, body FROM dead WHERE id = ?1 AND queue = ?2 AND at = ?3 AND at > ?4";
    view.maybe(sql, params![id, queue.0, at, kept_since(view)], read)
}

/// Takes the entry known by `handle` out; whether it was there.
pub(super) fn take(tx: &mut Tx<'_>, queue: QueueId, handle: &DeadHandle) -> Result<bool, Error> {
    let Some((id, at)) = known_by(handle) else {
        return Ok(false);
    };
    let sql = "SELECT 1 FROM dead WHERE id = ?1 AND queue = ?2 AND at = ?3";
    let there = tx.maybe(sql, params![id, queue.0, at], |_| Ok(()))?;
    if there.is_some() {
        drop_one(tx, id)?;
    }
    Ok(there.is_some())
}

/// What came before this is past its time.
pub(super) fn kept_since(view: &View<'_>) -> i64 {
    view.now_column().saturating_sub(column(KEPT_MS))
}

/// Columns: id, at, state, reason, body.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeadMessage> {
    let (id, at): (i64, i64) = (row.get(0)?, row.get(1)?);
    Ok(DeadMessage {
        handle: handle(id, at),
        at: number(at),
        state: state(row.get(2)?),
        reason: row.get(3)?,
        body: Bytes::from(row.get::<_, Vec<u8>>(4)?),
    })
}

/// What a newer version calls it is not known here.
pub(super) fn state(word: String) -> State {
    word.parse().unwrap_or(State::Dead)
}

/// Its number, and its time: a file that was put back gives numbers again.
fn handle(id: i64, at: i64) -> DeadHandle {
    let bytes = [id.to_be_bytes(), at.to_be_bytes()].concat();
    DeadHandle(Bytes::from(bytes))
}

fn known_by(handle: &DeadHandle) -> Option<(i64, i64)> {
    let (id, at) = handle.0.split_at_checked(8)?;
    let id = i64::from_be_bytes(id.try_into().ok()?);
    let at = i64::from_be_bytes(at.try_into().ok()?);
    Some((id, at))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::SqliteBroker;
    use super::super::open::Location;
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    /// Two bytes.
    const REASON: &str = "é";

    fn marked(bytes: usize) -> Marked {
        Marked {
            body: Bytes::from(vec![b'x'; bytes]),
            priority: 0,
            crashes: 0,
        }
    }

    /// A broker with so many dead messages of so many bytes, reason included.
    async fn with_dead(sizes: &[usize]) -> SqliteBroker {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        for size in sizes {
            let message = marked(size - REASON.len());
            let step = broker.link.write(move |tx| {
                let queue = tx.queue(&QueueName::default())?;
                push(tx, queue, &message, State::Dead, REASON)
            });
            step.await.unwrap();
        }
        broker
    }

    /// What the queue's row says of them, and what is there: their number and their bytes.
    async fn counted(broker: &SqliteBroker) -> [(i64, i64); 2] {
        let look = broker.link.read(|view| {
            let pair = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let told = view.one("SELECT dead, dead_bytes FROM queue WHERE id = 1", (), pair)?;
            let sql = "SELECT count(*), ifnull(sum(length(body) + length(CAST(reason AS BLOB))), 0) FROM dead";
            Ok([told, view.one(sql, (), pair)?])
        });
        look.await.unwrap()
    }

    async fn listed(broker: &SqliteBroker) -> Vec<DeadMessage> {
        let queue = QueueName::default();
        list(&broker.link, &queue, 0, 1_000).await.unwrap()
    }

    #[tokio::test]
    async fn the_oldest_leave_when_there_are_too_many() {
        let most = usize::try_from(MAX_ENTRIES).unwrap();
        let broker = with_dead(&vec![3; most]).await;
        let oldest = async || {
            let sql = "SELECT min(id) FROM dead";
            let look = broker
                .link
                .read(|view| view.one(sql, (), |row| row.get::<_, i64>(0)));
            look.await.unwrap()
        };
        assert_eq!(oldest().await, 1_i64);
        let step = broker.link.write(|tx| {
            let message = marked(1);
            (0..5).try_for_each(|_| push(tx, QueueId(1), &message, State::Dead, REASON))
        });
        step.await.unwrap();
        let all = (MAX_ENTRIES, 3 * MAX_ENTRIES);
        assert_eq!(counted(&broker).await, [all, all]);
        assert_eq!(oldest().await, 6);
    }

    #[tokio::test]
    async fn the_oldest_leave_when_they_weigh_too_much() {
        let mut sizes = vec![1 << 20; 65];
        let broker = with_dead(&sizes).await;
        let full = (64, MAX_BYTES);
        assert_eq!(counted(&broker).await, [full, full]);
        // A large one makes as many leave as it takes.
        sizes.push(10 << 20);
        let broker = with_dead(&sizes).await;
        let full = (55, MAX_BYTES);
        assert_eq!(counted(&broker).await, [full, full]);
    }

    #[tokio::test]
    async fn what_is_past_its_time_is_gone_before_it_is_dropped() {
        let broker = with_dead(&[3, 4]).await;
        let handle = listed(&broker).await.remove(0).handle;
        broker.advance(DAY * 7).await.unwrap();
        assert!(listed(&broker).await.is_empty());
        let look = move |view: &View<'_>| entry(view, QueueId(1), &handle);
        assert!(broker.link.read(look).await.unwrap().is_none());
        for left in [1, 0] {
            let dropped = broker.link.write(|tx| expire(tx, 1)).await.unwrap();
            assert_eq!((dropped, counted(&broker).await[1].0), (1, left));
        }
        assert_eq!(broker.link.write(|tx| expire(tx, 1)).await.unwrap(), 0);
        assert_eq!(counted(&broker).await, [(0, 0), (0, 0)]);
    }

    #[tokio::test]
    async fn a_handle_is_of_one_entry_of_one_queue() {
        let broker = with_dead(&[3, 4]).await;
        let listed = listed(&broker).await.into_iter();
        let handles: Vec<_> = listed.map(|entry| entry.handle).collect();
        let step = broker.link.write(move |tx| {
            let (first, other) = (&handles[0], QueueId(2));
            assert!(!take(tx, other, first)?);
            assert!(entry(tx, other, first)?.is_none());
            // The number of one, with another time.
            assert!(!take(tx, QueueId(1), &handle(1, 7))?);
            for odd in [&b""[..], b"1234567", b"12345678", &[0xff; 16]] {
                let odd = DeadHandle(Bytes::from_static(odd));
                assert!(!take(tx, QueueId(1), &odd)?);
            }
            assert!(take(tx, QueueId(1), first)?);
            assert!(!take(tx, QueueId(1), first)?);
            take(tx, QueueId(1), &handles[1])
        });
        assert!(step.await.unwrap());
    }
}
