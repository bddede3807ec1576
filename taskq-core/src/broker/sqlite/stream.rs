//! What was told: one entry a step, numbered over all queues in the order of the commits. Bounded per queue by age, count
//! and bytes, oldest out first, a part at a time.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::bell::Topic;
use super::place::QueueId;
use super::tx::{Tx, View, column};
use crate::error::{Error, ErrorKind};
use crate::event::compact::{self, Compact};
use crate::event::{Event, Fact, Told, WorkerEvent, WorkerEventKind};
use crate::fleet::WorkerCard;
use crate::id::QueueName;

/// What is told of workers lies under this; no queue has the number.
pub(super) const FLEET: QueueId = QueueId(0);

/// An entry is kept for a day at most; …
const KEPT_MS: u64 = 24 * 3_600_000;

/// … of one queue so many; …
const MAX_ENTRIES: i64 = 10_000;

/// … and so many bytes of them: 8 MiB.
const MAX_BYTES: i64 = 8 << 20;

/// Who makes room makes it for some: so many entries …
const ROOM_ENTRIES: i64 = 128;

/// … and so many bytes, so that not each step has to.
const ROOM_BYTES: i64 = 256 << 10;

/// What is told of a worker, as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: Box<str>,
    node: Box<str>,
    pid: u32,
    active: usize,
    processed: u64,
    version: Box<str>,
}

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
    append(tx, queue, &entry)
}

/// Tells of a worker.
pub(super) fn tell_worker(
    tx: &mut Tx<'_>,
    kind: WorkerEventKind,
    card: &WorkerCard,
) -> Result<(), Error> {
    let stored = Stored {
        kind: kind.as_str().into(),
        node: card.node.as_str().into(),
        pid: card.pid,
        active: card.active,
        processed: card.processed,
        version: card.version.as_str().into(),
    };
    let entry = serde_json::to_vec(&stored).map_err(|e| {
        let text = format!("what is told of {} does not encode", card.node);
        Error::new(ErrorKind::Protocol, text).because(e)
    })?;
    append(tx, FLEET, &entry)
}

/// The events that an entry stands for; `queue` is `None` for what lies under the fleet. What this version can not read is none.
pub(super) fn expand(at: u64, queue: Option<&QueueName>, entry: &[u8]) -> Vec<Event> {
    let Some(queue) = queue else {
        let worker = worker(entry).map(|worker| Event {
            at,
            queue: None,
            fact: Fact::Worker(Box::new(worker)),
        });
        return worker.into_iter().collect();
    };
    let Some((node, told)) = compact::decode(entry) else {
        return Vec::new();
    };
    let events = told.into_iter();
    events
        .flat_map(|told| told.expand(at, queue, node.as_ref()))
        .collect()
}

/// The number of the last entry that was ever told, 0 before the first.
pub(super) fn last(view: &View<'_>) -> Result<i64, Error> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'event'";
    Ok(view.maybe(sql, (), |row| row.get(0))?.unwrap_or(0))
}

/// Drops what is past its time of all queues, at most `n` entries; how many.
pub(super) fn expire(tx: &mut Tx<'_>, n: usize) -> Result<usize, Error> {
    let limit = column(tx.now().saturating_sub(KEPT_MS));
    let sql = "SELECT id, at, queue, length(entry) FROM event WHERE id > 0 ORDER BY id LIMIT ?1";
    type Row = (i64, i64, i64, i64);
    let oldest: Vec<Row> = tx.all(sql, [column(n as u64)], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let past = oldest.into_iter().take_while(|(_, at, ..)| *at <= limit);
    let mut dropped = (0, 0);
    for (id, _, queue, size) in past {
        dropped = (id, dropped.1 + 1);
        count_out(tx, QueueId(queue), size);
    }
    if dropped.1 > 0 {
        tx.run("DELETE FROM event WHERE id <= ?1", [dropped.0])?;
        note_dropped(tx, dropped.0)?;
    }
    Ok(dropped.1)
}

fn append(tx: &mut Tx<'_>, queue: QueueId, entry: &[u8]) -> Result<(), Error> {
    let sql = "INSERT INTO event (queue, at, entry) VALUES (?1, ?2, ?3)";
    tx.run(sql, params![queue.0, tx.now_column(), entry])?;
    let counts = tx.counts(queue);
    counts.events += 1;
    counts.event_bytes += entry.len();
    tx.ring(Topic::News);
    make_room(tx, queue)
}

/// Once there are too many the oldest leave, some more than there must: at most twice [`ROOM_ENTRIES`].
fn make_room(tx: &mut Tx<'_>, queue: QueueId) -> Result<(), Error> {
    let sql = "SELECT events, event_bytes FROM queue WHERE id = ?1";
    let (before, size): (i64, i64) =
        tx.one(sql, [queue.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let change = tx.counts(queue);
    let mut entries = before + change.events.by();
    let mut bytes = size + change.event_bytes.by();
    if entries <= MAX_ENTRIES && bytes <= MAX_BYTES {
        return Ok(());
    }
    let sql = "SELECT id, length(entry) FROM event WHERE queue = ?1 ORDER BY id LIMIT ?2";
    let oldest: Vec<(i64, i64)> = tx.all(sql, [queue.0, 2 * ROOM_ENTRIES], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let mut dropped = 0;
    for (id, size) in oldest {
        if entries <= MAX_ENTRIES - ROOM_ENTRIES && bytes <= MAX_BYTES - ROOM_BYTES {
            break;
        }
        dropped = id;
        entries -= 1;
        bytes -= size;
        count_out(tx, queue, size);
    }
    let sql = "DELETE FROM event WHERE queue = ?1 AND id <= ?2";
    tx.run(sql, [queue.0, dropped])?;
    note_dropped(tx, dropped)
}

fn count_out(tx: &mut Tx<'_>, queue: QueueId, size: i64) {
    let counts = tx.counts(queue);
    counts.events -= 1;
    counts.event_bytes -= usize::try_from(size).unwrap_or(0);
}

fn note_dropped(tx: &Tx<'_>, number: i64) -> Result<(), Error> {
    let sql = "UPDATE store SET events_dropped = ?1 WHERE one = 1 AND events_dropped < ?1";
    tx.run(sql, [number]).map(drop)
}

fn worker(entry: &[u8]) -> Option<WorkerEvent> {
    let stored: Stored = serde_json::from_slice(entry).ok()?;
    let mut kinds = WorkerEventKind::ALL.into_iter();
    Some(WorkerEvent {
        kind: kinds.find(|kind| kind.as_str() == &*stored.kind)?,
        node: stored.node,
        pid: stored.pid,
        active: stored.active,
        processed: stored.processed,
        version: stored.version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sqlite::SqliteBroker;
    use crate::broker::sqlite::open::Location;
    use crate::message::Message;
    use std::time::Duration;

    fn broker() -> SqliteBroker {
        SqliteBroker::at(&Location::Memory).unwrap()
    }

    /// Tells `n` steps of `size` bytes each at the queue `name`.
    async fn tell_steps(broker: &SqliteBroker, name: &str, n: usize, size: usize) {
        let name = QueueName::new(name).unwrap();
        let step = move |tx: &mut Tx<'_>| {
            let queue = tx.queue(&name)?;
            (0..n).try_for_each(|_| append(tx, queue, &vec![0; size]))
        };
        broker.link.write(step).await.unwrap();
    }

    /// What is counted and what is there, of entries and bytes; and the highest number that was dropped.
    async fn kept(broker: &SqliteBroker, name: &str) -> ([i64; 4], i64) {
        let name = name.to_owned();
        let look = move |view: &View<'_>| {
            let sql = "SELECT events, event_bytes, \
                       (SELECT count(*) FROM event WHERE queue = q.id), \
                       (SELECT ifnull(sum(length(entry)), 0) FROM event WHERE queue = q.id), \
                       (SELECT events_dropped FROM store) FROM queue q WHERE name = ?1";
            view.one(sql, [name], |row| {
                let counts = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
                Ok((counts, row.get(4)?))
            })
        };
        broker.link.read(look).await.unwrap()
    }

    #[tokio::test]
    async fn the_oldest_leave_when_there_are_too_many() {
        let broker = broker();
        for _ in 0..11 {
            tell_steps(&broker, "q", 1_000, 10).await;
        }
        let ([entries, bytes, there, size], dropped) = kept(&broker, "q").await;
        assert_eq!((entries, bytes), (there, size));
        assert!(entries <= MAX_ENTRIES && entries > MAX_ENTRIES - ROOM_ENTRIES);
        assert_eq!(dropped, 11_000 - entries);
    }

    #[tokio::test]
    async fn the_oldest_leave_when_they_weigh_too_much() {
        let broker = broker();
        tell_steps(&broker, "q", 200, 60_000).await;
        tell_steps(&broker, "quiet", 1, 10).await;
        let ([entries, bytes, there, size], _) = kept(&broker, "q").await;
        assert_eq!((entries, bytes), (there, size));
        assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES - ROOM_BYTES - 60_000);
        // A queue pays for itself alone.
        assert_eq!(kept(&broker, "quiet").await.0, [1, 10, 1, 10]);
    }

    #[tokio::test]
    async fn they_leave_after_a_day() {
        let broker = broker();
        tell_steps(&broker, "q", 3, 10).await;
        tell_steps(&broker, "other", 3, 10).await;
        broker
            .advance(Duration::from_millis(KEPT_MS - 60_000))
            .await
            .unwrap();
        tell_steps(&broker, "q", 1, 10).await;
        let expire = |n| broker.link.write(move |tx| expire(tx, n));
        assert_eq!(expire(500).await.unwrap(), 0);
        broker.advance(Duration::from_secs(61)).await.unwrap();
        assert_eq!(expire(4).await.unwrap(), 4);
        assert_eq!(expire(500).await.unwrap(), 2);
        assert_eq!(expire(500).await.unwrap(), 0);
        assert_eq!(kept(&broker, "q").await, ([1, 10, 1, 10], 6));
        assert_eq!(kept(&broker, "other").await.0, [0; 4]);
    }

    #[test]
    fn what_a_later_version_told_is_nothing() {
        let queue = QueueName::default();
        assert!(expand(1, Some(&queue), &[9, 9, 9]).is_empty());
        assert!(expand(1, None, b"{\"kind\":\"worker-dances\"}").is_empty());
        let entry = Compact::encode([&Told::sent(&Message::new("t"))], None, 1).joined();
        assert_eq!(expand(1, Some(&queue), &entry).len(), 1);
    }
}
