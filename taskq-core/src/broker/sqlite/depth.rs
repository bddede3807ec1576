//! What lies in a queue, and what happened there: told by the counts that each step keeps.

use rusqlite::Row;

use super::pause;
use super::place::{Lane, QueueId};
use super::tx::{View, number};
use crate::broker::{Depth, Totals};
use crate::error::Error;
use crate::id::QueueName;
use crate::message::Message;

/// Every queue that is known, by name.
pub(super) fn queues(view: &View<'_>) -> Result<Vec<QueueName>, Error> {
    // The fleet has the number 0.
    let sql = "SELECT name FROM queue WHERE id > 0";
    let names = view.all(sql, (), |row| row.get::<_, String>(0))?;
    // A name that is none was written by another program: nothing here serves it.
    let names = names.iter().filter_map(|name| QueueName::new(name).ok());
    let mut names: Vec<QueueName> = names.collect();
    names.sort();
    Ok(names)
}

pub(super) fn depth(view: &View<'_>, name: &QueueName) -> Result<Depth, Error> {
    let sql = "SELECT id, waiting, suspects, delayed, held, dead FROM queue WHERE name = ?1";
    let found = view.maybe(sql, [name.as_str()], |row| {
        let depth = Depth {
            waiting: count(row, 1)?,
            suspects: count(row, 2)?,
            delayed: count(row, 3)?,
            in_flight: count(row, 4)?,
            dead: count(row, 5)?,
            oldest_ms: None,
            paused: None,
        };
        Ok((QueueId(row.get(0)?), depth))
    })?;
    let Some((queue, depth)) = found else {
        return Ok(Depth::default());
    };
    let now = view.now();
    Ok(Depth {
        oldest_ms: oldest(view, queue)?.map(|since| now.saturating_sub(since)),
        paused: pause::read(view, queue)?,
        ..depth
    })
}

pub(super) fn totals(view: &View<'_>, name: &QueueName) -> Result<Totals, Error> {
    let sql = "SELECT total_sent, total_succeeded, total_failed, total_retried, total_dead, total_revoked, \
               total_crashed, total_returned FROM queue WHERE name = ?1";
    let found = view.maybe(sql, [name.as_str()], |row| {
        Ok(Totals {
            sent: count(row, 0)?,
            succeeded: count(row, 1)?,
            failed: count(row, 2)?,
            retried: count(row, 3)?,
            dead: count(row, 4)?,
            revoked: count(row, 5)?,
            crashed: count(row, 6)?,
            returned: count(row, 7)?,
        })
    })?;
    Ok(found.unwrap_or_default())
}

/// Since when the oldest of those that wait exists: the next one of a list is its oldest.
fn oldest(view: &View<'_>, queue: QueueId) -> Result<Option<u64>, Error> {
    let sql = "SELECT body FROM ready WHERE place BETWEEN ?1 AND ?2 ORDER BY place LIMIT 1";
    let lanes = (0..=9).map(|priority| Lane::of(queue, priority));
    let mut oldest: Option<u64> = None;
    for lane in lanes.chain([Lane::suspects(queue)]) {
        let keys = lane.keys();
        let front = view.maybe(sql, [keys.start(), keys.end()], |row| {
            row.get::<_, Vec<u8>>(0)
        })?;
        let since = front.and_then(|body| {
            let message = Message::decode(&body).ok()?;
            let created = message.id.created_second().map(|s| s * 1000);
            message.enqueued_at.or(created)
        });
        oldest = [oldest, since].into_iter().flatten().min();
    }
    Ok(oldest)
}

fn count(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get(at).map(number)
}
