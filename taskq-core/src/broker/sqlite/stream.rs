//! What steps told: one entry a step, in the order of the commits.

use rusqlite::params;

use super::bell::Topic;
use super::place::QueueId;
use super::tx::Tx;
use crate::error::Error;
use crate::event::Told;
use crate::event::compact::Compact;

/// Tells what one step came to at one queue; `node` is the worker that tells it.
pub(super) fn tell(
    tx: &mut Tx<'_>,
    queue: QueueId,
    node: Option<&str>,
    told: &[Told],
) -> Result<(), Error> {
    if told.is_empty() {
        return Ok(());
    }
    let entry = Compact::encode(told, node, tx.now()).joined();
    let sql = "INSERT INTO event (queue, at, entry) VALUES (?1, ?2, ?3)";
    tx.run(sql, params![queue.0, tx.now_column(), entry])?;
    let counts = tx.counts(queue);
    counts.events += 1;
    counts.event_bytes += entry.len();
    tx.ring(Topic::News);
    Ok(())
}
