//! Where messages lie when nobody holds them, and how they get there.

use std::ops::ControlFlow;

use bytes::Bytes;
use rusqlite::params;

use super::bell::Topic;
use super::place::{Lane, QueueId};
use super::tx::{Tx, column};
use crate::broker::marked::Marked;
use crate::error::Error;
use crate::message::MAX_BYTES;

/// Puts a message at the back of its list, or among the delayed until `due`.
pub(super) fn push(
    tx: &mut Tx<'_>,
    queue: QueueId,
    message: &Marked,
    due: u64,
) -> Result<(), Error> {
    if due > tx.now() {
        return delay(tx, queue, message, due);
    }
    let lane = lane_of(tx, queue, message);
    let sql = "SELECT max(place) FROM ready WHERE place BETWEEN ?1 AND ?2";
    let keys = lane.keys();
    let last: Option<i64> = tx.one(sql, [keys.start(), keys.end()], |row| row.get(0))?;
    put(tx, last.map_or(lane.middle(), |last| last + 1), message)
}

/// Puts a message back to the front of the list it came from. Of several, the newest goes first.
pub(super) fn put_back(tx: &mut Tx<'_>, queue: QueueId, message: &Marked) -> Result<(), Error> {
    let lane = lane_of(tx, queue, message);
    let sql = "SELECT min(place) FROM ready WHERE place BETWEEN ?1 AND ?2";
    let keys = lane.keys();
    let first: Option<i64> = tx.one(sql, [keys.start(), keys.end()], |row| row.get(0))?;
    put(tx, first.map_or(lane.middle(), |first| first - 1), message)
}

/// Moves at most `n` messages that have become due to their lists, and no further one behind 1 MiB.
pub(super) fn promote(tx: &mut Tx<'_>, queue: QueueId, n: usize) -> Result<(), Error> {
    let sql = "SELECT arrival, priority, crashes, body FROM delayed WHERE queue = ?1 AND due <= ?2 \
               ORDER BY due, arrival LIMIT ?3";
    let (mut due, mut size) = (Vec::new(), 0);
    let bounds = params![queue.0, tx.now_column(), column(n as u64)];
    tx.each(sql, bounds, |row| {
        let message = marked(row, 1)?;
        size += message.body.len();
        due.push((row.get::<_, i64>(0)?, message));
        Ok(if size >= MAX_BYTES {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    for (arrival, message) in due {
        tx.run("DELETE FROM delayed WHERE arrival = ?1", [arrival])?;
        tx.counts(queue).delayed -= 1;
        let now = tx.now();
        push(tx, queue, &message, now)?;
    }
    Ok(())
}

/// A message as a row tells it: its priority, its crashes and its body, from column `first` on. What another writer put
/// there out of their bounds is taken into them: one row must not hold up those behind it.
pub(super) fn marked(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Marked> {
    let digit = |at| row.get(at).map(|n: i64| n.clamp(0, 9) as u8);
    Ok(Marked {
        priority: digit(first)?,
        crashes: digit(first + 1)?,
        body: Bytes::from(row.get::<_, Vec<u8>>(first + 2)?),
    })
}

fn delay(tx: &mut Tx<'_>, queue: QueueId, message: &Marked, due: u64) -> Result<(), Error> {
    let sql =
        "INSERT INTO delayed (queue, due, priority, crashes, body) VALUES (?1, ?2, ?3, ?4, ?5)";
    let Marked {
        body,
        priority,
        crashes,
    } = message;
    tx.run(
        sql,
        params![queue.0, column(due), priority, crashes, &body[..]],
    )?;
    tx.counts(queue).delayed += 1;
    // It may be due before what waiters know of.
    tx.ring(Topic::Work);
    Ok(())
}

fn lane_of(tx: &mut Tx<'_>, queue: QueueId, message: &Marked) -> Lane {
    if message.on_last_life() {
        tx.counts(queue).suspects += 1;
        Lane::suspects(queue)
    } else {
        tx.counts(queue).waiting += 1;
        Lane::of(queue, message.priority)
    }
}

fn put(tx: &mut Tx<'_>, place: i64, message: &Marked) -> Result<(), Error> {
    let sql = "INSERT INTO ready (place, priority, crashes, body) VALUES (?1, ?2, ?3, ?4)";
    let Marked {
        body,
        priority,
        crashes,
    } = message;
    tx.run(sql, params![place, priority, crashes, &body[..]])?;
    tx.ring(Topic::Work);
    Ok(())
}
