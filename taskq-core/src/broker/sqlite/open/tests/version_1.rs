//! Files as version 1 left them, with something of each kind in them.

use rusqlite::params;
use serde_json::json;

use super::super::super::counted::Only;
use super::super::super::place::{Lane, QueueId, held};
use super::super::super::schema::{MIGRATIONS, VERSION, migrate};
use super::versions::version;
use super::*;
use crate::broker::conformance::{Bench, done, ids};
use crate::broker::{Control, Inspect, Results, Swept};
use crate::clock::now_ms;
use crate::event::Told;
use crate::event::compact::Compact;
use crate::fleet::WorkerCard;
use crate::id::TaskId;
use crate::message::Message;
use crate::record::Record;
use crate::state::State;

const QUEUE: i64 = 1;

/// The lease of who left it.
const LEASE_MS: i64 = 60_000;

/// What a build between the versions called version 1 as well.
const IN_BETWEEN: &str = "ALTER TABLE session ADD COLUMN lifeline TEXT; \
    CREATE INDEX session_by_lifeline ON session (lifeline, queue); \
    UPDATE session SET lifeline = '0123-4567 1 2 3'";

/// What lies in it.
struct Left {
    waiting: Vec<TaskId>,
    held: Vec<TaskId>,
    delayed: TaskId,
    dead: TaskId,
    ended: TaskId,
}

fn message(number: usize) -> (TaskId, Vec<u8>) {
    let message = Bench::message(number).unwrap();
    (message.id, message.encode().unwrap())
}

/// Makes a file of version 1 by its own statements. A worker is at work in it.
fn version_1(path: &Path, queue: &QueueName) -> Left {
    let mut connection = Connection::open(path).unwrap();
    migrate(&mut connection, path, &MIGRATIONS[..1]).unwrap();
    let run = |sql: &str, row: &[&dyn rusqlite::ToSql]| {
        assert_eq!(connection.execute(sql, row).unwrap(), 1, "{sql}");
    };
    let now = now_ms() as i64;
    run(
        "INSERT INTO queue (id, name, waiting, delayed, held, dead, dead_bytes, events, event_bytes, total_sent, \
         total_succeeded, total_dead) VALUES (?1, ?2, 2, 1, 2, 1, 0, 1, 0, 7, 1, 1)",
        params![QUEUE, queue.as_str()],
    );
    let first = Lane::of(QueueId(QUEUE), 0).middle();
    let waiting = [0, 1].map(|at| {
        let (id, body) = message(at);
        let sql = "INSERT INTO ready (place, priority, crashes, body) VALUES (?1, 0, 0, ?2)";
        run(sql, params![first + at as i64, body]);
        id
    });
    run(
        "INSERT INTO session (id, queue, owner, node, lease_ms, deadline, since, claims, last_tag) \
         VALUES (1, ?1, ?2, 'old@host', ?3, ?4 + ?3, ?4, 1, 2)",
        params![QUEUE, [7_u8; 16], LEASE_MS, now],
    );
    let holds = [2, 3].map(|at| {
        let (id, body) = message(at);
        let sql =
            "INSERT INTO held (tag, priority, crashes, suspect, body) VALUES (?1, 0, 0, 0, ?2)";
        run(sql, params![held(1, at as i64 - 1), body]);
        id
    });
    let (delayed, body) = message(4);
    run(
        "INSERT INTO delayed (queue, due, priority, crashes, body) VALUES (?1, ?2, 0, 0, ?3)",
        params![QUEUE, now + 3_600_000, body],
    );
    let (dead, body) = message(5);
    run(
        "INSERT INTO dead (queue, at, state, reason, body) VALUES (?1, ?2, 'DEAD', 'no task of that name', ?3)",
        params![QUEUE, now, body],
    );
    run(
        "UPDATE queue SET dead_bytes = ?2 WHERE id = ?1",
        params![QUEUE, (body.len() + "no task of that name".len()) as i64],
    );
    let ended = TaskId::random();
    let record = Record::new(ended, "conformance.task", queue, State::Success);
    run(
        "INSERT INTO record (id, queue, final, until, body) VALUES (?1, ?2, 1, ?3, ?4)",
        params![
            ended.as_bytes(),
            QUEUE,
            now + 86_400_000,
            serde_json::to_vec(&record).unwrap()
        ],
    );
    let told = [Told::sent(&Message::new("conformance.task"))];
    let entry = Compact::encode(&told, None, now as u64).joined();
    run(
        "INSERT INTO event (queue, at, entry) VALUES (?1, ?2, ?3)",
        params![QUEUE, now, entry],
    );
    run(
        "UPDATE queue SET event_bytes = ?2 WHERE id = ?1",
        params![QUEUE, entry.len() as i64],
    );
    let card = json!(WorkerCard::double("old@host")).to_string();
    run(
        "INSERT INTO worker (id, node, until, card) VALUES ('old', 'old@host', ?1, ?2)",
        params![now + LEASE_MS, card],
    );
    Left {
        waiting: waiting.into(),
        held: holds.into(),
        delayed,
        dead,
        ended,
    }
}

/// Everything of a file of version 1 is there and goes on; what was held is nobody's crash.
async fn all_goes_on(also: &str) -> Result<(), Error> {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    let left = version_1(&path, &QueueName::new("conformance")?);
    Connection::open(&path)
        .unwrap()
        .execute_batch(also)
        .unwrap();
    assert_eq!(version(&path), 1);
    let broker = opened(&path)?;
    let bench = Bench::new(Only(broker.clone())).await?;
    assert_eq!(version(&path), VERSION);
    let depth = bench.depth().await?;
    let counts = (depth.waiting, depth.delayed, depth.in_flight, depth.dead);
    assert_eq!(counts, (2, 1, 2, 1));
    assert_eq!(bench.state(left.ended).await?, Some(State::Success));
    assert_eq!(bench.told_of_tasks().await?.len(), 1);
    assert_eq!(broker.workers().await?[0].node, "old@host");
    // What waits, at once: a worker of the old version may still run what it holds.
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    assert_eq!(ids(&got), left.waiting);
    bench
        .settle(&consumer, got.iter().map(done).collect())
        .await?;
    bench.nothing_for(&consumer).await?;
    // What was held, after the lease it was held under.
    bench
        .pass(Duration::from_millis(LEASE_MS as u64 + 1), &[&consumer])
        .await?;
    let (returned, dead) = (2, 0);
    assert_eq!(consumer.sweep().await?, Swept { returned, dead });
    let got = bench.deliver(&consumer, 2).await?;
    assert_eq!(ids(&got), left.held);
    assert!(got.iter().all(|delivery| delivery.crashes == 0));
    bench
        .settle(&consumer, got.iter().map(done).collect())
        .await?;
    assert!(broker.workers().await?.is_empty());
    // What is dead is replayed, and what is delayed comes in its time.
    let listed = broker.dead(&bench.queue, 0, 10).await?;
    let listed: Vec<_> = listed.into_iter().map(|dead| dead.handle).collect();
    assert_eq!(broker.replay(&bench.queue, &listed).await?, 1);
    let got = bench.deliver(&consumer, 1).await?;
    assert_eq!(ids(&got), [left.dead]);
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    bench.advance(Duration::from_secs(3_600)).await?;
    consumer.beat().await?;
    let got = bench.deliver(&consumer, 1).await?;
    assert_eq!(ids(&got), [left.delayed]);
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    let totals = broker.totals(&bench.queue).await?;
    // What is replayed is sent once more.
    assert_eq!((totals.sent, totals.succeeded, totals.crashed), (8, 7, 0));
    Ok(())
}

#[tokio::test]
async fn all_that_a_file_of_version_1_holds_goes_on() -> Result<(), Error> {
    all_goes_on("").await
}

#[tokio::test]
async fn a_file_that_was_between_the_versions_goes_on_as_well() -> Result<(), Error> {
    all_goes_on(IN_BETWEEN).await
}

/// Whoever looks first brings it to this version: one that only reads waits for no writer.
#[tokio::test]
async fn a_file_of_version_1_that_is_put_in_the_place_of_another_goes_on() -> Result<(), Error> {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    let broker = opened(&path)?;
    let queue = QueueName::new("conformance")?;
    let older = folder.path().join("older.db");
    let left = version_1(&older, &queue);
    fs::rename(&older, &path).unwrap();
    let record = broker.record(left.ended, Some(&queue)).await?;
    assert_eq!(record.map(|record| record.state), Some(State::Success));
    assert_eq!(version(&path), VERSION);
    let consumer = Bench::new(Only(broker)).await?.consumer().await?;
    assert_eq!(ids(&consumer.claim(2, Duration::ZERO).await?), left.waiting);
    Ok(())
}
