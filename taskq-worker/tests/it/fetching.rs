//! What is claimed, and when.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use taskq_worker::broker::Inspect;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::{Message, State};

use crate::bench::{Bench, celery, send, until};
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD, HELD_BLOCKING};

#[tokio::test]
async fn no_more_run_or_are_claimed_than_there_are_slots() {
    for task in [&HELD, &HELD_BLOCKING] {
        let gate = Gate::default();
        let bench = Bench::with(MemoryBroker::new(), &[task], |b| {
            b.state(gate.clone()).concurrency(3)
        });
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(bench.send(Message::new(task.name)).await);
        }
        gate.runs(3).await;
        let depth = bench.broker.depth(&celery()).await.unwrap();
        assert_eq!(
            (depth.in_flight, depth.waiting),
            (3, 7),
            "nothing is hoarded"
        );
        gate.let_go(10);
        for id in ids {
            assert_eq!(bench.end_of(id).await.state, State::Success);
        }
        assert_eq!(gate.most(), 3);
        assert_eq!(gate.begun(), 10);
    }
}

#[tokio::test]
async fn from_64_slots_up_a_claim_takes_at_most_half_of_them() {
    for (slots, most) in [(63, 63), (64, 32), (5_000, 999)] {
        let flaky = Flaky::default();
        let faults = Arc::clone(&flaky.faults);
        let gate = Gate::default();
        gate.let_go(100);
        let bench = Bench::at(&flaky, &[&HELD], |b| {
            b.state(gate.clone()).concurrency(slots)
        });
        let id = bench.send(Message::new("held")).await;
        bench.end_of(id).await;
        assert_eq!(
            faults.most_claimed.load(Ordering::SeqCst),
            most,
            "{slots} slots"
        );
    }
}

#[tokio::test]
async fn unacknowledged_verdicts_do_not_pile_up() {
    let flaky = Flaky::default();
    let (broker, faults) = (flaky.inner.clone(), Arc::clone(&flaky.faults));
    // Every claim works, no finish is acknowledged: as many as slots and 512 come in, and no more.
    let stuck = Arc::clone(&faults);
    let gate = Gate::default();
    gate.let_go(5_000);
    for _ in 0..1_000 {
        send(&broker, Message::new("held")).await;
    }
    faults.hold_verdicts.store(true, Ordering::SeqCst);
    let mut bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()).concurrency(4));
    let in_flight = async || bench.broker.depth(&celery()).await.unwrap().in_flight;
    until(async || (in_flight().await == 4 + 512).then_some(())).await;
    until(async || (gate.begun() == 4 + 512).then_some(())).await;
    assert_eq!(in_flight().await, 4 + 512);
    stuck.hold_verdicts.store(false, Ordering::SeqCst);
    until(async || (gate.begun() == 1_000).then_some(())).await;
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn the_registry_is_published_before_the_first_claim() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    let bench = Bench::at(&flaky, &[&HELD], |b| b);
    until(async || (faults.claims.load(Ordering::SeqCst) > 0).then_some(())).await;
    assert_eq!(faults.claims_before_published.load(Ordering::SeqCst), 0);
    let published = bench.broker.task("held").await.unwrap().unwrap();
    assert!(published.live);
    assert_eq!(published.queue, celery());
}

#[tokio::test]
async fn a_broker_that_was_away_is_found_again() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    faults.down.store(true, Ordering::SeqCst); // away at the start already
    let gate = Gate::default();
    gate.let_go(10);
    let mut bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()));
    let id = bench.send(Message::new("held")).await;
    faults.go_down().await;
    faults.come_back();
    assert_eq!(bench.end_of(id).await.state, State::Success);

    faults.go_down().await;
    let id = bench.send(Message::new("held")).await;
    faults.come_back();
    assert_eq!(bench.end_of(id).await.state, State::Success);
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_loop_that_panics_ends_the_worker_with_its_name_and_gives_all_back() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    let gate = Gate::default();
    let mut bench = Bench::at(&flaky, &[&HELD], |b| {
        b.state(gate.clone()).grace(std::time::Duration::ZERO)
    });
    bench.send(Message::new("held")).await;
    gate.runs(1).await;
    faults.panics.store(true, Ordering::SeqCst);
    let end = bench.end().await.unwrap_err().to_string();
    assert!(
        end.starts_with("the fetcher ended: the claim's bug"),
        "{end}"
    );
    let depth = bench.broker.depth(&celery()).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight), (1, 0));
}

#[tokio::test]
async fn verdicts_refused_for_good_end_the_worker_and_nothing_stays_held() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    faults.refuses_verdicts.store(true, Ordering::SeqCst);
    let gate = Gate::default();
    gate.let_go(1);
    let mut bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()));
    bench.send(Message::new("held")).await;
    let end = bench.end().await.unwrap_err().to_string();
    assert_eq!(end, "no such verdict");
    let depth = bench.broker.depth(&celery()).await.unwrap();
    assert_eq!(depth.in_flight, 0);
}
