//! Workers that are killed, over a file: the kernel says that they are gone, so nobody waits for their leases.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use taskq_core::broker::sqlite::SqliteBroker;
use taskq_core::broker::{Consumer, Delivery, Inspect, Swept};
use taskq_core::{QueueName, TaskId};

use super::child::{LONG, Process};
use super::{
    LEASE, Place, all_ended, consume_at, consume_for, eventually, finish, id, queue, send,
};

/// Some messages, and a process that holds them all. Its lease is longer than this test waits.
async fn held(place: &Place, role: &str) -> (SqliteBroker, Vec<TaskId>, Process) {
    let broker = SqliteBroker::open(place.database()).unwrap();
    let sent = send(&broker, 10).await.unwrap();
    let process = Process::start(role, &place.database(), place.path("held"));
    eventually("all is held", async || process.ids().len() == sent.len()).await;
    (broker, sent, process)
}

pub(super) fn lifelines(place: &Place) -> Vec<PathBuf> {
    let all = std::fs::read_dir(place.path("taskq.db").parent().unwrap()).unwrap();
    let paths = all.map(|entry| entry.unwrap().path());
    let of_it = |path: &PathBuf| path.to_string_lossy().contains("taskq.db-life-");
    paths.filter(of_it).collect()
}

/// Claims until all of these are there.
async fn all_of(consumer: &Arc<dyn Consumer>, sent: &[TaskId]) -> Vec<Delivery> {
    let mut got = Vec::new();
    eventually("they are given back", async || {
        let claimed = consumer.claim(100, Duration::from_millis(100)).await;
        got.extend(claimed.unwrap());
        got.len() == sent.len()
    })
    .await;
    got
}

async fn takes_them_all(broker: &SqliteBroker, consumer: Arc<dyn Consumer>, sent: Vec<TaskId>) {
    let got = all_of(&consumer, &sent).await;
    assert_eq!(got.iter().map(id).collect::<Vec<_>>(), sent);
    assert!(got.iter().all(|delivery| delivery.crashes == 1));
    assert_eq!(finish(&*consumer, &got).await.unwrap(), sent.len());
    let all: HashSet<_> = sent.into_iter().collect();
    all_ended(broker, &all).await;
}

#[tokio::test]
async fn what_a_killed_worker_held_is_taken_by_the_next_at_its_first_claim() {
    let place = Place::new();
    let (broker, sent, mut process) = held(&place, "hold").await;
    process.kill();
    let (_ours, next) = consume_for(&place.database(), LONG).await;
    // It needs no sweep, and no second look.
    let got = next.claim(100, Duration::ZERO).await.unwrap();
    assert_eq!(got.iter().map(id).collect::<Vec<_>>(), sent);
    assert!(got.iter().all(|delivery| delivery.crashes == 1));
    assert_eq!(broker.totals(&queue()).await.unwrap().crashed, 10);
    assert_eq!(finish(&*next, &got).await.unwrap(), 10);
    next.sweep().await.unwrap();
    assert_eq!(lifelines(&place).len(), 1, "that of the dead is gone");
    next.close().await.unwrap();
    assert!(lifelines(&place).is_empty());
}

#[tokio::test]
async fn what_a_killed_worker_held_is_taken_by_one_that_waits() {
    let place = Place::new();
    let (_ours, other) = consume_for(&place.database(), LONG).await;
    let (broker, sent, mut process) = held(&place, "hold").await;
    process.kill();
    takes_them_all(&broker, other, sent).await;
}

#[tokio::test]
async fn a_sweep_gives_back_what_a_killed_worker_held_though_it_has_just_come() {
    let place = Place::new();
    let (_ours, other) = consume_for(&place.database(), LONG).await;
    let (_broker, sent, mut process) = held(&place, "hold").await;
    process.kill();
    let swept = other.sweep().await.unwrap();
    assert_eq!((swept.returned, swept.dead), (sent.len(), 0));
}

/// Nobody else serves its queue: whoever sweeps anywhere gives back what it held, and takes its lifeline away.
#[tokio::test]
async fn what_a_killed_worker_held_at_a_queue_that_nobody_serves_is_given_back() {
    let place = Place::new();
    let elsewhere = QueueName::new("elsewhere").unwrap();
    let (_ours, other) = consume_at(&place.database(), elsewhere, LONG).await;
    let (broker, sent, mut process) = held(&place, "hold").await;
    assert_eq!(other.sweep().await.unwrap(), Swept::default());
    assert_eq!(lifelines(&place).len(), 2);
    process.kill();
    // A claim gives back at its own queues alone.
    assert!(other.claim(100, LEASE).await.unwrap().is_empty());
    assert_eq!(broker.depth(&queue()).await.unwrap().in_flight, 10);
    let (returned, dead) = (sent.len(), 0);
    assert_eq!(other.sweep().await.unwrap(), Swept { returned, dead });
    assert_eq!(lifelines(&place).len(), 1);
    assert_eq!(other.sweep().await.unwrap(), Swept::default());
    let (_late, late) = consume_for(&place.database(), LONG).await;
    takes_them_all(&broker, late, sent).await;
}

/// What it started itself lives on, and keeps no lock.
#[tokio::test]
async fn the_children_of_a_killed_worker_keep_nothing() {
    let place = Place::new();
    let (broker, sent, mut process) = held(&place, "hold-and-start").await;
    process.kill();
    let (_ours, next) = consume_for(&place.database(), LONG).await;
    takes_them_all(&broker, next, sent).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_worker_that_is_stopped_keeps_what_it_holds_until_it_is_killed() {
    let place = Place::new();
    let (_ours, other) = consume_for(&place.database(), LONG).await;
    let (broker, sent, mut process) = held(&place, "hold").await;
    process.stop(&place.database()).await;
    for _ in 0..4 {
        assert_eq!(other.sweep().await.unwrap(), Default::default());
        let wait = Duration::from_millis(300);
        assert!(other.claim(100, wait).await.unwrap().is_empty());
    }
    process.kill();
    takes_them_all(&broker, other, sent).await;
}

/// Two brokers of one process at one file: each tells of its own.
#[tokio::test]
async fn one_that_ends_well_beside_another_takes_nothing_of_it() {
    let place = Place::new();
    let (_first, a) = consume_for(&place.database(), LONG).await;
    let (second, b) = consume_for(&place.database(), LONG).await;
    let sent = send(&second, 10).await.unwrap();
    let held = a.claim(5, Duration::ZERO).await.unwrap();
    let other = b.claim(5, Duration::ZERO).await.unwrap();
    assert_eq!((held.len(), other.len()), (5, 5));
    assert_eq!(lifelines(&place).len(), 2);
    b.close().await.unwrap();
    drop((b, second));
    assert_eq!(lifelines(&place).len(), 1);
    let (_third, c) = consume_for(&place.database(), LONG).await;
    assert_eq!(c.sweep().await.unwrap(), Default::default());
    let given_back = c.claim(100, Duration::ZERO).await.unwrap();
    assert_eq!(given_back.len(), 5);
    assert!(given_back.iter().all(|delivery| delivery.crashes == 0));
    assert_eq!(finish(&*a, &held).await.unwrap(), 5);
    assert_eq!(finish(&*c, &given_back).await.unwrap(), 5);
    let broker = SqliteBroker::open(place.database()).unwrap();
    all_ended(&broker, &sent.into_iter().collect()).await;
}

/// An older copy names lifelines of its own time: of those that live, and of one that was killed and is cleared away.
#[tokio::test]
async fn an_older_copy_robs_nobody_who_lives() {
    let place = Place::new();
    let (_ours, other) = consume_for(&place.database(), LONG).await;
    let (_broker, sent, mut process) = held(&place, "hold").await;
    let copy = place.back_up();
    process.kill();
    let got = all_of(&other, &sent).await;
    assert_eq!(finish(&*other, &got).await.unwrap(), sent.len());
    other.sweep().await.unwrap();
    let survivor = lifelines(&place);
    assert_eq!(survivor.len(), 1);
    std::fs::rename(&copy, place.database()).unwrap();
    // What was held by the dead is held again, by a lifeline that is not there: it is left to its lease.
    let (ours, late) = consume_for(&place.database(), LONG).await;
    assert_eq!(late.sweep().await.unwrap(), Default::default());
    assert_eq!(ours.depth(&queue()).await.unwrap().in_flight, 10);
    // And the session of who lives, which stands in the copy as well, is still his or knows that it is not.
    other.beat().await.unwrap();
    other.close().await.unwrap();
    late.close().await.unwrap();
    assert!(lifelines(&place).is_empty());
}
