//! Which workers are listed, over a file: one whose process is gone is not, whatever is left of its registration.

use std::time::Duration;

use taskq_core::broker::sqlite::SqliteBroker;
use taskq_core::broker::{Broker, Inspect};
use taskq_core::event::{EventPosition, Fact, WorkerEventKind};

use super::child::{LONG, Process};
use super::gone::lifelines;
use super::{Place, card, consume_for, eventually};

use WorkerEventKind::{Offline, Online};

/// A worker in a process of its own. Its registration lasts for longer than this test waits.
async fn registered(place: &Place) -> (SqliteBroker, Process) {
    let broker = SqliteBroker::open(place.database()).unwrap();
    let process = Process::start("register", &place.database(), place.path("said"));
    eventually("it is listed", async || listed(&broker).await == ["killed"]).await;
    (broker, process)
}

async fn listed(broker: &SqliteBroker) -> Vec<String> {
    let cards = broker.workers().await.unwrap();
    cards.into_iter().map(|card| card.id).collect()
}

/// What is told of workers, from the beginning: each time what has come since is told as well.
async fn told(broker: &SqliteBroker) -> Vec<WorkerEventKind> {
    let (mut told, mut after) = (Vec::new(), EventPosition::oldest());
    loop {
        let page = broker.events(&after, Duration::ZERO).await.unwrap();
        if page.events.is_empty() {
            return told;
        }
        let of_workers = page.events.iter().filter_map(|event| match &event.fact {
            Fact::Worker(worker) => Some(worker.kind),
            Fact::Task(_) => None,
        });
        told.extend(of_workers);
        after = page.next;
    }
}

/// The registrations there are, those that are not listed as well.
fn registrations(place: &Place) -> i64 {
    let connection = rusqlite::Connection::open(place.database()).unwrap();
    let sql = "SELECT count(*) FROM worker";
    connection.query_row(sql, (), |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_killed_worker_is_listed_no_more_and_told_offline_by_who_watches() {
    let place = Place::new();
    let (broker, mut process) = registered(&place).await;
    assert_eq!(told(&broker).await, [Online]);
    process.kill();
    eventually("it is not listed", async || {
        listed(&broker).await.is_empty()
    })
    .await;
    eventually("it is told", async || {
        told(&broker).await == [Online, Offline]
    })
    .await;
    assert_eq!(registrations(&place), 0);
    // Once.
    let (_ours, next) = consume_for(&place.database(), LONG).await;
    next.sweep().await.unwrap();
    assert_eq!(told(&broker).await, [Online, Offline]);
}

#[tokio::test]
async fn a_killed_worker_is_withdrawn_by_the_next_sweep() {
    let place = Place::new();
    let (_ours, other) = consume_for(&place.database(), LONG).await;
    let (_broker, mut process) = registered(&place).await;
    other.sweep().await.unwrap();
    assert_eq!(registrations(&place), 1);
    process.kill();
    eventually("it is withdrawn", async || {
        other.sweep().await.unwrap();
        registrations(&place) == 0
    })
    .await;
    eventually("its lifeline is gone", async || {
        other.sweep().await.unwrap();
        lifelines(&place).len() == 1
    })
    .await;
}

/// Those who watch a name see the end of the old one before the beginning of the new one.
#[tokio::test]
async fn one_of_the_same_name_is_told_online_behind_the_end_of_the_killed_one() {
    let place = Place::new();
    let (broker, mut process) = registered(&place).await;
    process.kill();
    broker.register(&card("next"), &[], LONG).await.unwrap();
    assert_eq!(listed(&broker).await, ["next"]);
    assert_eq!(told(&broker).await, [Online, Offline, Online]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stopped_worker_is_listed_until_it_is_killed() {
    let place = Place::new();
    let (_ours, other) = consume_for(&place.database(), LONG).await;
    let (broker, mut process) = registered(&place).await;
    process.stop(&place.database()).await;
    for _ in 0..3 {
        other.sweep().await.unwrap();
        assert_eq!(listed(&broker).await, ["killed"]);
    }
    assert_eq!(told(&broker).await, [Online]);
    process.kill();
    eventually("it is not listed", async || {
        listed(&broker).await.is_empty()
    })
    .await;
}

/// Its lifeline is not there any more, so nothing is known: it is left to its time.
#[tokio::test]
async fn a_worker_of_which_nothing_is_known_is_listed_until_it_lapses() {
    let place = Place::new();
    let (_ours, other) = consume_for(&place.database(), LONG).await;
    let before = lifelines(&place);
    let (broker, mut process) = registered(&place).await;
    let its_own = |path: &&std::path::PathBuf| !before.contains(path);
    for line in lifelines(&place).iter().filter(its_own) {
        std::fs::remove_file(line).unwrap();
    }
    process.kill();
    // Nor of one that has no sessions.
    let none = SqliteBroker::open(place.database()).unwrap();
    none.register(&card("none"), &[], LONG).await.unwrap();
    drop(none);
    for _ in 0..3 {
        other.sweep().await.unwrap();
        assert_eq!(listed(&broker).await, ["killed", "none"]);
    }
    assert_eq!(told(&broker).await, [Online, Online]);
}
