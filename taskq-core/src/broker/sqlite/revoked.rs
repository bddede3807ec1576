//! What is revoked at a queue: one row each, and what claims answer of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::params;

use super::link::Link;
use super::place::QueueId;
use super::tx::{Tx, View, column, number};
use super::{records, stream};
use crate::broker::{MAX_REVOKED, RevokeCause};
use crate::error::{Error, ErrorKind};
use crate::event::Told;
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::revocation::{Revocation, Revocations};
use crate::state::State;

/// Each is kept for 7 days; what is due later, until then and 7 days.
const KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// One call takes this many at most.
const MOST: usize = 999;

/// So many queues' sets are remembered by one connection.
const MAX_KNOWN: usize = 1_000;

/// What one connection has read: it is read again only where the serial of the queue, or the time, has moved on.
#[derive(Debug, Default)]
pub(super) struct Known(RefCell<HashMap<QueueId, Set>>);

#[derive(Debug, Clone)]
struct Set {
    serial: i64,
    all: Arc<Revocations>,
    /// When the first of it leaves; `None`: never, it is empty.
    first_end: Option<u64>,
}

/// What is revoked now, for who lists it.
pub(super) async fn list(link: &Link, queue: &QueueName) -> Result<Arc<Revocations>, Error> {
    let name = queue.clone();
    let look = move |view: &View<'_>| match view.known(&name)? {
        Some(queue) => read(view, queue),
        None => Ok(Arc::default()),
    };
    link.read(look).await
}

/// What is revoked now. Cheap where nothing has changed since the last time.
pub(super) fn read(view: &View<'_>, queue: QueueId) -> Result<Arc<Revocations>, Error> {
    let sql = "SELECT revoked_serial FROM queue WHERE id = ?1";
    let serial: Option<i64> = view.maybe(sql, [queue.0], |row| row.get(0))?;
    // Nothing was ever revoked there.
    let Some(serial) = serial.filter(|serial| *serial != 0) else {
        return Ok(Arc::default());
    };
    let mut known = view.known_revoked().0.borrow_mut();
    if let Some(set) = known.get(&queue)
        && set.serial == serial
        && set.first_end.is_none_or(|end| end > view.now())
    {
        return Ok(set.all.clone());
    }
    let set = read_set(view, queue, serial)?;
    let all = set.all.clone();
    if known.len() >= MAX_KNOWN {
        known.clear();
    }
    known.insert(queue, set);
    Ok(all)
}

fn read_set(view: &View<'_>, queue: QueueId, serial: i64) -> Result<Set, Error> {
    let sql = "SELECT what, at, until, told FROM revoked WHERE queue = ?1 AND until > ?2";
    let rows = view.all(sql, params![queue.0, view.now_column()], |row| {
        let (at, until) = (number(row.get(1)?), number(row.get(2)?));
        Ok((row.get::<_, String>(0)?, at, until, row.get::<_, bool>(3)?))
    })?;
    let (mut all, mut first_end) = (Revocations::default(), None);
    for (what, at, until, told) in rows {
        // What can not be read was written by another version, and revokes nothing here.
        let Some(one) = named(&what) else {
            continue;
        };
        first_end = Some(first_end.map_or(until, |first: u64| first.min(until)));
        if let (Revocation::Id(id), true) = (&one, told) {
            all.add_told(*id);
        }
        all.add(one, at);
    }
    Ok(Set {
        serial,
        all: Arc::new(all),
        first_end,
    })
}

/// Notes that these shall not run, all or nothing.
pub(super) async fn revoke(
    link: &Link,
    queue: &QueueName,
    what: &[Revocation],
) -> Result<(), Error> {
    check(what.len())?;
    what.iter().try_for_each(Revocation::check)?;
    let (queue, what) = (queue.clone(), what.to_vec());
    let step = move |tx: &mut Tx<'_>| {
        let queue = tx.queue(&queue)?;
        add(tx, queue, &what)
    };
    link.write(step).await
}

fn add(tx: &mut Tx<'_>, queue: QueueId, what: &[Revocation]) -> Result<(), Error> {
    // What is past its time leaves at least as fast as others come.
    expire(tx, queue)?;
    let (key, now) = (queue.0, tx.now_column());
    let sql = "SELECT count(*) FROM revoked WHERE queue = ?1 AND until > ?2";
    let kept = tx.one(sql, [key, now], |row| row.get(0))?;
    let kept = usize::try_from(number(kept)).unwrap_or(usize::MAX);
    let mut fresh = 0;
    for one in what {
        let due = match one {
            Revocation::Id(id) => records::written(tx, queue, *id)?.and_then(|(r, _)| r.due),
            Revocation::Task(_) | Revocation::Header { .. } => None,
        };
        let until = tx.now().max(due.unwrap_or(0)).saturating_add(KEPT_MS);
        let name = name(one);
        let sql = "SELECT 1 FROM revoked WHERE queue = ?1 AND what = ?2 AND until > ?3";
        let there = tx.maybe(sql, params![key, name, now], |_| Ok(()))?;
        fresh += usize::from(there.is_none());
        let sql = "INSERT INTO revoked (queue, what, at, until) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET at = ?3, until = max(until, ?4), told = told AND until > ?3";
        tx.run(sql, params![key, name, now, column(until)])?;
    }
    if kept + fresh > MAX_REVOKED {
        return Err(full(kept));
    }
    changed(tx, queue)
}

/// Drops what is past its time at one queue, at most two calls' worth.
fn expire(tx: &Tx<'_>, queue: QueueId) -> Result<(), Error> {
    let sql = "DELETE FROM revoked WHERE (queue, what) IN \
               (SELECT queue, what FROM revoked WHERE queue = ?1 AND until <= ?2 LIMIT ?3)";
    let most = column(2 * MOST as u64);
    tx.run(sql, [queue.0, tx.now_column(), most]).map(drop)
}

/// What is replayed shall run.
pub(super) fn forget(tx: &Tx<'_>, queue: QueueId, id: TaskId) -> Result<(), Error> {
    let sql = "DELETE FROM revoked WHERE queue = ?1 AND what = ?2";
    let name = name(&Revocation::Id(id));
    match tx.run(sql, params![queue.0, name])? {
        0 => Ok(()),
        _ => changed(tx, queue),
    }
}

/// What was read of it before holds no more.
fn changed(tx: &Tx<'_>, queue: QueueId) -> Result<(), Error> {
    let sql = "UPDATE queue SET revoked_serial = random() | 1 WHERE id = ?1";
    tx.run(sql, [queue.0]).map(drop)
}

/// Writes and tells REVOKED of those that have a record which is not final; which.
pub(super) async fn mark(
    link: &Link,
    queue: &QueueName,
    ids: &[TaskId],
) -> Result<Vec<TaskId>, Error> {
    check(ids.len())?;
    let (name, ids) = (queue.clone(), ids.to_vec());
    let step = move |tx: &mut Tx<'_>| {
        let Some(queue) = tx.known(&name)? else {
            return Ok(Vec::new());
        };
        let (mut marked, mut told) = (Vec::new(), Vec::new());
        for id in ids {
            if let Some(one) = mark_one(tx, queue, id)? {
                marked.push(id);
                told.push(one);
            }
        }
        if !marked.is_empty() {
            changed(tx, queue)?;
        }
        stream::tell(tx, queue, None, &told)?;
        Ok(marked)
    };
    link.write(step).await
}

/// What is told of it; `None`: it runs, or it is over.
fn mark_one(tx: &mut Tx<'_>, queue: QueueId, id: TaskId) -> Result<Option<Told>, Error> {
    // One that is not revoked any more was put back by a replay meanwhile: it runs.
    let sql = "SELECT 1 FROM revoked WHERE queue = ?1 AND what = ?2 AND until > ?3";
    let (what, now) = (name(&Revocation::Id(id)), tx.now_column());
    let revoked = tx.maybe(sql, params![queue.0, what, now], |_| Ok(()))?;
    let stands = match revoked {
        Some(()) => records::written(tx, queue, id)?,
        None => None,
    };
    let Some((stands, until)) = stands.filter(|(record, _)| !record.state.is_final()) else {
        return Ok(None);
    };
    let told = Told::revoked(id, &stands.task, stands.attempts);
    let record = Record {
        state: State::Revoked,
        error: RevokeCause::Requested.failure(),
        finished: Some(tx.now()),
        due: None,
        ..stands
    };
    records::write(tx, queue, &record, records::due(until))?;
    let sql = "UPDATE revoked SET told = 1 WHERE queue = ?1 AND what = ?2";
    tx.run(sql, params![queue.0, what])?;
    Ok(Some(told))
}

fn check(n: usize) -> Result<(), Error> {
    if n <= MOST {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{n} are too many for one call: revoke at most {MOST} at once"
    )))
}

fn full(kept: usize) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!(
            "{kept} revocations are kept and there is room for {MAX_REVOKED}: revoke by task or header, or wait until \
             the oldest leave"
        ),
    )
}

/// As it stands in a row.
fn name(one: &Revocation) -> String {
    match one {
        Revocation::Id(id) => format!("i{id}"),
        Revocation::Task(task) => format!("t{task}"),
        Revocation::Header { name, value } => format!("h{}", serde_json::json!([name, value])),
    }
}

fn named(what: &str) -> Option<Revocation> {
    match what.split_at_checked(1)? {
        ("i", id) => id.parse().ok().map(Revocation::Id),
        ("t", task) => Some(Revocation::Task(task.to_owned())),
        ("h", json) => {
            let (name, value) = serde_json::from_str(json).ok()?;
            Some(Revocation::Header { name, value })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::SqliteBroker;
    use super::super::open::Location;
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3_600);

    #[test]
    fn names_round_trip() {
        for one in [
            Revocation::Id(TaskId::random()),
            Revocation::Task("reports.daily".into()),
            Revocation::Header {
                name: "a\"b".into(),
                value: "é".into(),
            },
        ] {
            assert_eq!(named(&name(&one)), Some(one));
        }
        for odd in ["xsomething", "é", ""] {
            assert_eq!(named(odd), None);
        }
    }

    fn queue() -> QueueName {
        QueueName::default()
    }

    fn ids(n: usize) -> Vec<Revocation> {
        (0..n).map(|_| Revocation::Id(TaskId::random())).collect()
    }

    async fn read_all(broker: &SqliteBroker) -> Arc<Revocations> {
        list(&broker.link, &queue()).await.unwrap()
    }

    /// A claim does not read the set again that has not changed.
    #[tokio::test]
    async fn what_has_not_changed_is_not_read_again() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let what = ids(2);
        revoke(&broker.link, &queue(), &what[..1]).await.unwrap();
        let first = read_all(&broker).await;
        assert!(Arc::ptr_eq(&first, &read_all(&broker).await));
        broker.advance(DAY).await.unwrap();
        assert!(Arc::ptr_eq(&first, &read_all(&broker).await));
        revoke(&broker.link, &queue(), &what[1..]).await.unwrap();
        assert_eq!(read_all(&broker).await.iter().count(), 2);
        // By time alone, one after the other.
        broker.advance(DAY * 6).await.unwrap();
        assert_eq!(read_all(&broker).await.iter().count(), 1);
        broker.advance(DAY).await.unwrap();
        assert!(read_all(&broker).await.is_empty());
    }

    /// What a step read that was undone is not taken for what is there.
    #[tokio::test]
    async fn what_was_undone_is_not_remembered() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        revoke(&broker.link, &queue(), &ids(1)).await.unwrap();
        let before = read_all(&broker).await;
        let undone = broker.link.write(|tx| {
            let queue = tx.queue(&queue())?;
            add(tx, queue, &ids(3))?;
            assert_eq!(read(tx, queue)?.iter().count(), 4);
            Err::<(), _>(Error::invalid("undone"))
        });
        assert!(undone.await.is_err());
        assert_eq!(read_all(&broker).await, before);
        // Nor when as many changes stand as that one had seen.
        revoke(&broker.link, &queue(), &ids(1)).await.unwrap();
        assert_eq!(read_all(&broker).await.iter().count(), 2);
    }

    /// Without anybody who sweeps, what is past its time makes room all the same.
    #[tokio::test]
    async fn what_is_past_its_time_leaves_with_the_next_calls() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        for _ in 0..10 {
            revoke(&broker.link, &queue(), &ids(999)).await.unwrap();
        }
        broker.advance(DAY * 8).await.unwrap();
        let again = ids(999);
        for _ in 0..6 {
            revoke(&broker.link, &queue(), &again).await.unwrap();
        }
        let sql = "SELECT count(*) FROM revoked";
        let look = broker.link.read(|view| view.one(sql, (), |row| row.get(0)));
        assert_eq!(look.await.map(number).unwrap(), 999);
    }

    /// That one was told ends with its time: revoked anew, it is told anew.
    #[tokio::test]
    async fn what_was_told_is_told_until_its_time_is_over() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let id = TaskId::random();
        let step = broker.link.write(move |tx| {
            let queue = tx.queue(&queue())?;
            let what = [Revocation::Id(id)];
            add(tx, queue, &what)?;
            tx.run("UPDATE revoked SET told = 1", ())?;
            // More than one call drops lie before it.
            let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
                       INSERT INTO revoked (queue, what, at, until) SELECT ?1, 'a' || i, 0, 1 FROM n";
            tx.run(sql, [queue.0])?;
            add(tx, queue, &what)
        });
        step.await.unwrap();
        assert!(read_all(&broker).await.was_told(id));
        broker.advance(DAY * 8).await.unwrap();
        let more = broker.link.write(move |tx| {
            let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
                       INSERT INTO revoked (queue, what, at, until) SELECT 1, 'b' || i, 0, 1 FROM n";
            tx.run(sql, ())
        });
        more.await.unwrap();
        let again = [Revocation::Id(id)];
        revoke(&broker.link, &queue(), &again).await.unwrap();
        let all = read_all(&broker).await;
        assert!(!all.was_told(id) && !all.is_empty());
    }
}
