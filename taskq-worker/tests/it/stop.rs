//! The warm stop.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use taskq_worker::broker::Inspect;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::{Message, RunError, State};

use crate::bench::{Bench, celery, until};
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD, HELD_BLOCKING};

#[tokio::test]
async fn what_runs_may_finish_and_what_waits_stays() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    let gate = Gate::default();
    let mut bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()).concurrency(2));
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.send(Message::new("held")).await);
    }
    gate.runs(2).await;
    bench.stop.cancel();
    // The stop is announced before anything ends.
    until(async || (faults.retired.load(Ordering::SeqCst) == 1).then_some(())).await;
    assert_eq!(gate.running(), 2);
    gate.let_go(2);
    bench.end().await.unwrap();
    for id in &ids[..2] {
        assert_eq!(bench.end_of(*id).await.state, State::Success);
    }
    let depth = bench.broker.depth(&celery()).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight), (1, 0));
    assert_eq!(gate.dropped(), 0);
    assert!(bench.broker.workers().await.unwrap().is_empty());
}

/// Its registration is renewed every 24 minutes: what is told sooner is told because the stop begins.
#[tokio::test]
async fn a_worker_that_stops_says_so_at_once() {
    let gate = Gate::default();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).lease(Duration::from_secs(3_600))
    });
    bench.send(Message::new("held")).await;
    gate.runs(1).await;
    let card = async || bench.broker.workers().await.unwrap().pop();
    let runs = until(&card).await;
    assert!(!runs.stopping && runs.takes_from(&celery()));
    bench.stop.cancel();
    let stops = until(async || card().await.filter(|card| card.stopping)).await;
    assert_eq!((&stops.node, stops.active), (&runs.node, 1));
    assert!(
        !stops.takes_from(&celery()),
        "it is there, and takes nothing"
    );
    gate.let_go(1);
    bench.end().await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_dropped_and_goes_back_uncharged() {
    let gate = Gate::default();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).grace(Duration::from_millis(20))
    });
    let id = bench.send(Message::new("held")).await;
    gate.runs(1).await;
    bench.stop().await.unwrap();
    assert_eq!((gate.running(), gate.dropped()), (0, 1));
    assert_eq!(bench.broker.depth(&celery()).await.unwrap().waiting, 1);
    // The next worker runs it, as its first attempt.
    gate.let_go(1);
    let next = Bench::with(bench.broker.clone(), &[&HELD], |b| b.state(gate.clone()));
    let record = next.end_of(id).await;
    assert_eq!(
        (record.state, record.attempts, record.crashes),
        (State::Success, 1, 0)
    );
}

#[tokio::test]
async fn a_blocking_function_that_does_not_end_goes_back_as_well() {
    // By its verdict: the close of the sessions, which would do it too, fails.
    let flaky = Flaky::default();
    flaky.faults.never_closes.store(true, Ordering::SeqCst);
    let gate = Gate::default();
    let mut bench = Bench::at(&flaky, &[&HELD_BLOCKING], |b| {
        b.state(gate.clone()).grace(Duration::ZERO)
    });
    bench.send(Message::new("held_blocking")).await;
    gate.runs(1).await;
    bench.stop().await.unwrap();
    assert_eq!(bench.broker.depth(&celery()).await.unwrap().waiting, 1);
    gate.let_go(1); // its late end counts nowhere
    gate.runs(0).await;
    assert_eq!(bench.broker.depth(&celery()).await.unwrap().waiting, 1);
}

#[tokio::test]
async fn an_idle_worker_and_one_without_a_broker_stop_at_once() {
    let mut bench = Bench::start(&[&HELD]);
    until(async || (bench.broker.workers().await.unwrap().len() == 1).then_some(())).await;
    bench.stop().await.unwrap();

    let flaky = Flaky::default();
    flaky.faults.down.store(true, Ordering::SeqCst);
    let mut bench = Bench::at(&flaky, &[&HELD], |b| b);
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_that_can_not_tell_the_broker_says_so() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    let gate = Gate::default();
    let mut bench = Bench::at(&flaky, &[&HELD], |b| {
        b.state(gate.clone()).grace(Duration::ZERO)
    });
    bench.send(Message::new("held")).await;
    gate.runs(1).await;
    faults.down.store(true, Ordering::SeqCst);
    let end = bench.stop().await;
    assert!(matches!(end, Err(RunError::Unsettled(1))), "{end:?}");
}

#[tokio::test]
async fn a_worker_that_is_dropped_lets_its_lease_lapse_and_drops_its_runs() {
    let gate = Gate::default();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).lease(Duration::from_millis(300))
    });
    let id = bench.send(Message::new("held")).await;
    gate.runs(1).await;
    bench.kill().await;
    until(async || (gate.dropped() == 1).then_some(())).await;
    gate.let_go(1);
    let next = Bench::with(bench.broker.clone(), &[&HELD], |b| {
        b.state(gate.clone()).node("w2@test")
    });
    let record = next.end_of(id).await;
    assert_eq!((record.state, record.crashes), (State::Success, 1));
}
