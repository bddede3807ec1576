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
