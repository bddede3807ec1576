//! Records: one row per task and queue, kept for a day after the last write (failures for a week).

use rusqlite::{Row, params};

use super::bell::Topic;
use super::place::QueueId;
use super::tx::{Tx, View, column};
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::state::State;

const DAY_MS: u64 = 24 * 3_600_000;

/// Writes a record; over one that is there only if that is past its time, or as final as ?8 says.
const PUT: &str = "INSERT INTO record (id, queue, final, expires, until, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
    ON CONFLICT DO UPDATE SET final = excluded.final, expires = excluded.expires, until = excluded.until, \
    body = excluded.body WHERE until <= ?7 OR final = ?8";

/// The first record of a message on its way in: written only where there is none.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    queue: QueueId,
    record: &Record,
    due: u64,
) -> Result<(), Error> {
    put(tx, None, queue, record, due)
}

/// What a verdict, a start or a sweep writes: a final record stands.
pub(super) fn write(
    tx: &mut Tx<'_>,
    queue: QueueId,
    record: &Record,
    due: u64,
) -> Result<(), Error> {
    put(tx, Some(false), queue, record, due)
}

/// The first record of a message that is replayed: over FAILURE and DEAD, and where there is none.
pub(super) fn revive(tx: &mut Tx<'_>, queue: QueueId, record: &Record) -> Result<(), Error> {
    let stands = written(tx, queue, record.id)?;
    let state = stands.map(|(before, _)| before.state);
    if !state.is_none_or(|state| matches!(state, State::Failure | State::Dead)) {
        return Ok(());
    }
    let now = tx.now();
    put(tx, Some(true), queue, record, now)
}

/// When a task is due, as far as the retention of its record tells.
pub(super) fn due(until: u64) -> u64 {
    until.saturating_sub(DAY_MS)
}

/// The record of `id` as it was written, and until when it is kept. One that can not be read is none: what asks for it
/// goes on without.
pub(super) fn written(
    view: &View<'_>,
    queue: QueueId,
    id: TaskId,
) -> Result<Option<(Record, u64)>, Error> {
    let sql = "SELECT body, until FROM record WHERE id = ?1 AND queue = ?2 AND until > ?3";
    let row = view.maybe(
        sql,
        params![id.as_bytes(), queue.0, view.now_column()],
        |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)),
    )?;
    Ok(row.and_then(|(body, until)| Some((decode(id, &body).ok()?, super::tx::number(until)))))
}

/// The record of `id` as it reads now: of this queue, or of the first that has one.
pub(super) fn read(
    view: &View<'_>,
    id: TaskId,
    queue: Option<&QueueName>,
) -> Result<Option<Record>, Error> {
    let (now, id_column) = (view.now_column(), id.as_bytes());
    let body = |row: &Row<'_>| row.get::<_, Vec<u8>>(0);
    let found = match queue {
        Some(name) => {
            let Some(queue) = view.known(name)? else {
                return Ok(None);
            };
            let sql = "SELECT body FROM record WHERE id = ?1 AND queue = ?2 AND until > ?3";
            view.maybe(sql, params![id_column, queue.0, now], body)?
        }
        None => {
            let sql = "SELECT body FROM record WHERE id = ?1 AND until > ?2 ORDER BY queue LIMIT 1";
            view.maybe(sql, params![id_column, now], body)?
        }
    };
    let record = found.map(|body| decode(id, &body)).transpose()?;
    Ok(record.map(|record| record.read_at(view.now())))
}

/// The record of `id` if it reads as final now; of one queue, or of the first where it does.
pub(super) fn read_final(
    view: &View<'_>,
    id: TaskId,
    queue: Option<QueueId>,
) -> Result<Option<Record>, Error> {
    let (now, id_column) = (view.now_column(), id.as_bytes());
    let body = |row: &Row<'_>| row.get::<_, Vec<u8>>(0);
    let found = match queue {
        Some(queue) => {
            let sql = "SELECT body FROM record WHERE id = ?1 AND queue = ?2 AND until > ?3 \
                       AND (final = 1 OR expires < ?3)";
            view.maybe(sql, params![id_column, queue.0, now], body)?
        }
        None => {
            let sql = "SELECT body FROM record WHERE id = ?1 AND until > ?2 \
                       AND (final = 1 OR expires < ?2) ORDER BY queue LIMIT 1";
            view.maybe(sql, params![id_column, now], body)?
        }
    };
    // What can not be read is waited for: a replay may still replace it.
    let record = found.and_then(|body| decode(id, &body).ok());
    Ok(record.map(|record| record.read_at(view.now())))
}

/// Writes over what is final, over what is not, or over nothing. Retention counts from `due`, where that lies in the future:
/// a record outlives its task's wait.
fn put(
    tx: &mut Tx<'_>,
    over_final: Option<bool>,
    queue: QueueId,
    record: &Record,
    due: u64,
) -> Result<(), Error> {
    let days = match record.state {
        State::Failure | State::Dead => 7,
        _ => 1,
    };
    let until = tx.now().max(due).saturating_add(days * DAY_MS);
    let is_final = record.state.is_final();
    let body = serde_json::to_vec(record).map_err(|e| {
        let text = format!("the record of {} does not encode", record.id);
        Error::new(ErrorKind::Protocol, text).because(e)
    })?;
    let id = record.id.as_bytes();
    let (expires, until) = (record.expires.map(column), column(until));
    let now = tx.now_column();
    tx.run(
        PUT,
        params![id, queue.0, is_final, expires, until, body, now, over_final],
    )?;
    if is_final {
        tx.ring(Topic::News);
    }
    Ok(())
}

pub(super) fn decode(id: TaskId, json: &[u8]) -> Result<Record, Error> {
    let mut record: Record = serde_json::from_slice(json).map_err(|e| {
        let text = format!("the record of {id} can not be read");
        Error::new(ErrorKind::Protocol, text).because(e)
    })?;
    record.id = id;
    Ok(record)
}
