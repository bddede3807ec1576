//! What is revoked at a queue: one row each, and what claims answer of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::params;

use super::place::QueueId;
use super::tx::{View, number};
use crate::error::Error;
use crate::revocation::{Revocation, Revocations};

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
    use super::*;
    use crate::id::TaskId;

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
        assert_eq!(named("xsomething"), None);
        assert_eq!(named(""), None);
    }
}
