//! Sessions as they lie in the file: opened, renewed, given up.
//!
//! A session is named by its number and its owner, a random one. A row without its owner is nobody's any more; one with
//! fewer claims or finishes than its consumer has made is of an older copy of the file. Both are lost.

use rusqlite::params;

use super::place::{MAX_SESSIONS, QueueId, held_by};
use super::tx::{Tx, View, column, number};
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};

/// The longest lease, ms: a year.
const LONGEST_LEASE: u64 = 365 * 24 * 3_600_000;

/// How a consumer names its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: i64,
    pub(super) owner: TaskId,
}

/// A session that was opened, and the lease in force at its queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    pub(super) key: Key,
    pub(super) lease_ms: u64,
}

/// Opens a session of a process with this `lifeline`. The lease in force at a queue is that of the living sessions there; with none, the one asked for.
pub(super) fn open(
    tx: &mut Tx<'_>,
    name: &QueueName,
    node: &str,
    lease_ms: u64,
    lifeline: Option<&str>,
) -> Result<Opened, Error> {
    let queue = tx.queue(name)?;
    let sql =
        "SELECT lease_ms FROM session WHERE queue = ?1 AND deadline >= ?2 AND owner <> x'' LIMIT 1";
    let lives = params![queue.0, tx.now_column()];
    let in_force: Option<i64> = tx.maybe(sql, lives, |row| row.get(0))?;
    let lease_ms = in_force.map_or(lease_ms.min(LONGEST_LEASE), number);
    let owner = TaskId::random();
    let (now, lease) = (tx.now_column(), column(lease_ms));
    let id = unused(tx)?;
    let sql = "INSERT INTO session (id, queue, owner, node, lease_ms, deadline, since, lifeline) \
               VALUES (?6, ?1, ?2, ?3, ?4, ?5 + ?4, ?5, ?7)";
    let row = params![queue.0, owner.as_bytes(), node, lease, now, id, lifeline];
    tx.run(sql, row)?;
    let key = Key { id, owner };
    Ok(Opened { key, lease_ms })
}

/// A number that no session has, and under which nothing is held: behind all others, or the lowest.
fn unused(view: &View<'_>) -> Result<i64, Error> {
    let sql = "SELECT max(id) FROM session";
    let newest: Option<i64> = view.one(sql, (), |row| row.get(0))?;
    let mut id = newest.unwrap_or(0) + 1;
    if id <= MAX_SESSIONS && !holds(view, id)? {
        return Ok(id);
    }
    id = 1;
    while id <= MAX_SESSIONS {
        let there = view.maybe("SELECT 1 FROM session WHERE id = ?1", [id], |_| Ok(()))?;
        if there.is_none() && !holds(view, id)? {
            return Ok(id);
        }
        id += 1;
    }
    let text = format!(
        "{MAX_SESSIONS} sessions are open, which is all the file can tell apart: end workers that are not needed"
    );
    Err(Error::new(ErrorKind::Refused, text))
}

/// Renews the lease. A beat that comes late breaks the contact: this session knows nothing of the others' beats. So does
/// a clock that was set back behind its beginning. False: it is lost.
pub(super) fn beat(tx: &Tx<'_>, key: Key, claims: i64, finishes: i64) -> Result<bool, Error> {
    let sql = "UPDATE session SET since = CASE WHEN deadline < ?5 + lease_ms / 2 OR since > ?5 THEN ?5 ELSE since END, \
               deadline = ?5 + lease_ms WHERE id = ?1 AND owner = ?2 AND claims >= ?3 AND finishes >= ?4";
    let Key { id, owner } = key;
    let row = params![id, owner.as_bytes(), claims, finishes, tx.now_column()];
    Ok(tx.run(sql, row)? > 0)
}

/// From here on no crash is charged, whatever happens to its process.
pub(super) fn retire(tx: &Tx<'_>, key: Key) -> Result<(), Error> {
    let sql = "UPDATE session SET retired = 1 WHERE id = ?1 AND owner = ?2";
    tx.run(sql, params![key.id, key.owner.as_bytes()]).map(drop)
}

/// Gives a session up: what it holds is given back by the next sweep, uncharged.
pub(super) fn resign(tx: &Tx<'_>, key: Key) -> Result<(), Error> {
    let sql =
        "UPDATE session SET retired = 1, owner = x'', deadline = 0 WHERE id = ?1 AND owner = ?2";
    tx.run(sql, params![key.id, key.owner.as_bytes()]).map(drop)
}

/// No lease runs longer than it is long: where the clock was set back, one would outlive its worker by as much.
pub(super) fn shorten(tx: &Tx<'_>, queue: QueueId) -> Result<(), Error> {
    let sql =
        "UPDATE session SET deadline = ?2 + lease_ms WHERE queue = ?1 AND deadline > ?2 + lease_ms";
    tx.run(sql, params![queue.0, tx.now_column()]).map(drop)
}

/// Takes a session from its owner, for good: its lease was past.
pub(super) fn disown(tx: &Tx<'_>, id: i64) -> Result<(), Error> {
    let sql = "UPDATE session SET owner = x'' WHERE id = ?1";
    tx.run(sql, [id]).map(drop)
}

/// Ends a session that holds nothing.
pub(super) fn end(tx: &Tx<'_>, id: i64) -> Result<(), Error> {
    tx.run("DELETE FROM session WHERE id = ?1", [id]).map(drop)
}

/// The queue of a session; `None`: it is not its owner's any more.
pub(super) fn queue(view: &View<'_>, key: Key) -> Result<Option<QueueId>, Error> {
    let sql = "SELECT queue FROM session WHERE id = ?1 AND owner = ?2";
    let row = params![key.id, key.owner.as_bytes()];
    view.maybe(sql, row, |row| row.get(0).map(QueueId))
}

/// Its queue, if it may judge others there: after an outage the first one back would rob the living.
pub(super) fn may_sweep(view: &View<'_>, key: Key) -> Result<Option<QueueId>, Error> {
    let sql = "SELECT queue FROM session \
               WHERE id = ?1 AND owner = ?2 AND deadline >= ?3 AND since + lease_ms <= ?3";
    let row = params![key.id, key.owner.as_bytes(), view.now_column()];
    view.maybe(sql, row, |row| row.get(0).map(QueueId))
}

/// Whether it holds any delivery.
pub(super) fn holds(view: &View<'_>, id: i64) -> Result<bool, Error> {
    let all = held_by(id);
    let sql = "SELECT 1 FROM held WHERE tag BETWEEN ?1 AND ?2 LIMIT 1";
    let any = view.maybe(sql, [all.start(), all.end()], |_| Ok(()))?;
    Ok(any.is_some())
}

/// Whether it holds a suspect.
pub(super) fn holds_suspect(view: &View<'_>, id: i64) -> Result<bool, Error> {
    let all = held_by(id);
    let sql = "SELECT 1 FROM held WHERE suspect = 1 AND tag BETWEEN ?1 AND ?2 LIMIT 1";
    let any = view.maybe(sql, [all.start(), all.end()], |_| Ok(()))?;
    Ok(any.is_some())
}
