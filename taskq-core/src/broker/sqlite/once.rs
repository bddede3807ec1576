//! Idempotency keys: each held by the first message that carried it, until its time is over.

use rusqlite::params;
use uuid::Uuid;

use super::place::QueueId;
use super::tx::{Tx, column};
use crate::broker::{Once, Outgoing};
use crate::clock::ceil_ms;
use crate::error::Error;
use crate::id::TaskId;

const MAX_KEY_BYTES: usize = 256;

/// A key is held this long at most: 100 years.
const LONGEST_HOLD_MS: u64 = 100 * 365 * 24 * 3_600_000;

/// Refuses keys that can not be held.
pub(super) fn check(batch: &[Outgoing]) -> Result<(), Error> {
    let mut keys = batch.iter().filter_map(|out| out.once.as_ref());
    match keys.find(|once| !(1..=MAX_KEY_BYTES).contains(&once.key.len())) {
        None => Ok(()),
        Some(once) => Err(Error::invalid(format!(
            "an idempotency key has {} bytes: use 1 to {MAX_KEY_BYTES}",
            once.key.len()
        ))),
    }
}

/// Takes the key for `id`, or answers who holds it.
pub(super) fn take(
    tx: &Tx<'_>,
    queue: QueueId,
    once: &Once,
    id: TaskId,
) -> Result<Option<TaskId>, Error> {
    let held_for = ceil_ms(once.held_for).min(LONGEST_HOLD_MS);
    let until = column(tx.now().saturating_add(held_for));
    let sql = "INSERT INTO once (queue, key, holder, until) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE until <= ?5";
    let row = params![queue.0, once.key, id.as_bytes(), until, tx.now_column()];
    if tx.run(sql, row)? > 0 {
        return Ok(None);
    }
    let sql = "SELECT holder FROM once WHERE queue = ?1 AND key = ?2";
    let holder: [u8; 16] = tx.one(sql, params![queue.0, once.key], |row| row.get(0))?;
    Ok(Some(TaskId::from(Uuid::from_bytes(holder))))
}
