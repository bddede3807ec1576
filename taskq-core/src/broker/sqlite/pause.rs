//! Pausing a queue: nothing is claimed from it until it is resumed.

use rusqlite::params;

use super::bell::Topic;
use super::link::Link;
use super::place::QueueId;
use super::tx::{Tx, View, number};
use crate::broker::Paused;
use crate::error::Error;
use crate::event::cut_text;
use crate::id::QueueName;

pub(super) async fn pause(
    link: &Link,
    queue: &QueueName,
    by: &str,
    reason: &str,
) -> Result<(), Error> {
    let (queue, by, reason) = (queue.clone(), cut_text(by), cut_text(reason));
    let step = move |tx: &mut Tx<'_>| {
        let queue = tx.queue(&queue)?;
        let sql =
            "UPDATE queue SET paused_by = ?2, paused_reason = ?3, paused_since = ?4 WHERE id = ?1";
        let now = tx.now_column();
        tx.run(sql, params![queue.0, by, reason, now]).map(drop)
    };
    link.write(step).await
}

/// Whether it was paused.
pub(super) async fn resume(link: &Link, queue: &QueueName) -> Result<bool, Error> {
    let queue = queue.clone();
    let step = move |tx: &mut Tx<'_>| {
        let sql = "UPDATE queue SET paused_by = NULL, paused_reason = NULL, paused_since = NULL \
                   WHERE name = ?1 AND paused_since IS NOT NULL";
        let resumed = tx.run(sql, [queue.as_str()])? > 0;
        tx.ring(Topic::Work);
        Ok(resumed)
    };
    link.write(step).await
}

/// Why nothing is claimed from it; `None`: it is not paused.
pub(super) fn read(view: &View<'_>, queue: QueueId) -> Result<Option<Paused>, Error> {
    let sql = "SELECT paused_by, paused_reason, paused_since FROM queue WHERE id = ?1 AND paused_since IS NOT NULL";
    view.maybe(sql, [queue.0], |row| {
        Ok(Paused {
            by: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
            reason: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
            since: number(row.get(2)?),
        })
    })
}
