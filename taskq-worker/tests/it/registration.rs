//! Who goes by a node name.

use std::time::Duration;

use taskq_worker::RunError;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{Backend, Broker, Inspect};
use taskq_worker::event::{EventPosition, Fact, WorkerEventKind};
use taskq_worker::fleet::WorkerCard;

use crate::bench::{Bench, until};
use crate::gate::HELD;
use crate::process::{Process, signal};

/// A pid beyond what Linux gives out.
const NO_PID: u32 = 1 << 30;

async fn only(broker: &MemoryBroker, is: impl Fn(&WorkerCard) -> bool) -> WorkerCard {
    until(async || broker.workers().await.unwrap().into_iter().find(&is)).await
}

#[tokio::test]
async fn the_card_tells_who_runs() {
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.queues(["a", "b", "a"]).node("w1@%h").concurrency(5)
    });
    let card = only(&bench.broker, |_| true).await;
    assert_eq!(card.node, format!("w1@{}", card.host));
    assert_eq!(card.pid, std::process::id());
    let queues: Vec<_> = card.queues.iter().map(|q| q.as_str()).collect();
    assert_eq!((queues, card.slots), (vec!["a", "b"], 5));
    assert_eq!(card.tasks, ["held"]);
}

#[tokio::test]
async fn the_place_of_a_process_that_is_dead_on_this_machine_is_taken_at_once() {
    let mut first = Bench::start(&[&HELD]);
    let mut dead = only(&first.broker, |_| true).await;
    first.stop().await.unwrap();
    (dead.id, dead.pid) = ("dead".into(), NO_PID);
    let broker = first.broker.clone();
    let hour = Duration::from_secs(3600);
    broker.register(&dead, &[], hour).await.unwrap();
    let _next = Bench::with(broker.clone(), &[&HELD], |b| b.lease(hour));
    only(&broker, |w| w.id != "dead").await;
    assert_eq!(broker.workers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_on_another_machine_is_waited_for_until_it_lapses() {
    let mut first = Bench::start(&[&HELD]);
    let mut far = only(&first.broker, |_| true).await;
    first.stop().await.unwrap();
    (far.id, far.host, far.pid) = ("far".into(), "elsewhere".into(), NO_PID);
    let broker = first.broker.clone();
    broker
        .register(&far, &[], Duration::from_millis(400))
        .await
        .unwrap();
    let _next = Bench::with(broker.clone(), &[&HELD], |b| {
        b.lease(Duration::from_secs(5))
    });
    let card = only(&broker, |w| w.id != "far").await;
    assert_eq!(card.node, "w1@test");
    let others = broker.workers().await.unwrap();
    assert!(others.iter().all(|w| w.id != "far"), "it had lapsed");
}

#[tokio::test]
async fn a_dead_workers_longer_lease_is_waited_for_as_well() {
    let mut first = Bench::start(&[&HELD]);
    let mut far = only(&first.broker, |_| true).await;
    first.stop().await.unwrap();
    // More than our own lease and the slack.
    let lease = Duration::from_millis(3_000);
    (far.id, far.host, far.lease_ms) = ("far".into(), "elsewhere".into(), 3_000);
    let broker = first.broker.clone();
    broker.register(&far, &[], lease).await.unwrap();
    let mut next = Bench::with(broker.clone(), &[&HELD], |b| {
        b.lease(Duration::from_millis(100))
    });
    only(&broker, |w| w.id != "far").await;
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_name_that_is_renewed_meanwhile_is_a_start_gone_wrong() {
    let first = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.lease(Duration::from_millis(200))
    });
    only(&first.broker, |_| true).await;
    let mut second = Bench::with(first.broker.clone(), &[&HELD], |b| b);
    let end = second.end().await.unwrap_err();
    assert!(end.is_usage() && matches!(end, RunError::NameTaken { .. }));
    let text = end.to_string();
    assert!(
        text.contains("w1@test") && text.contains("-n/--hostname"),
        "{text}"
    );
    assert_eq!(first.broker.workers().await.unwrap().len(), 1);
}

/// Nobody has waited for the killed one, so its process number is still given. Its registration lasts for an hour; that of
/// a living one would be waited for.
#[tokio::test]
async fn the_name_of_a_killed_worker_is_free_at_once_over_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("taskq.db").display());
    let args = ["-b", &url, "-n", "w1@%h", "--lease", "1h"];
    let mut killed = Process::start(&args);
    killed.logs("is ready");
    let broker = taskq_worker::broker::connect(&url).await.unwrap();
    // The first renewal tells which sessions are its own.
    until(async || {
        told(&*broker)
            .await
            .contains(&WorkerEventKind::Heartbeat)
            .then_some(())
    })
    .await;
    killed.signal("KILL");
    let mut next = Process::start(&args);
    let pid = next.child.id();
    let waits = tokio::task::spawn_blocking(move || {
        next.logs("is ready");
        next
    });
    let Ok(next) = tokio::time::timeout(Duration::from_secs(60), waits).await else {
        // So that its log ends, and with it the thread that reads it.
        signal(pid, "KILL");
        panic!("it waits for a registration to lapse");
    };
    let next = next.unwrap();
    assert_eq!(broker.workers().await.unwrap().len(), 1);
    next.signal("TERM");
    assert_eq!(next.end().0, Some(0));
}

/// What was told of workers.
async fn told(broker: &dyn Backend) -> Vec<WorkerEventKind> {
    let page = broker
        .events(&EventPosition::oldest(), Duration::ZERO)
        .await;
    let facts = page.unwrap().events.into_iter().map(|event| event.fact);
    let kinds = facts.filter_map(|fact| match fact {
        Fact::Worker(worker) => Some(worker.kind),
        Fact::Task(_) => None,
    });
    kinds.collect()
}
