//! What happens when a lease is lost, and to those who run alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{
    Broker, Consumer, ConsumerOptions, Delivery, End, Inspect, Order, Verdict,
};
use taskq_worker::message::OnCrash;
use taskq_worker::{Message, Record, State};

use crate::bench::{Bench, celery, json, send, until};
use crate::flaky::{Faults, Flaky};
use crate::gate::{Gate, HELD, HELD_BLOCKING};

const LEASE: Duration = Duration::from_secs(10);

async fn rival(broker: &MemoryBroker) -> Arc<dyn Consumer> {
    let options = ConsumerOptions {
        queues: vec![celery().into()],
        order: Order::default(),
        lease: LEASE,
        node: "rival".into(),
    };
    broker.consume(options).await.unwrap()
}

/// Lets the lease of everybody but `rival` lapse and gives what they held to `rival`.
async fn rob(broker: &MemoryBroker, rival: &dyn Consumer) -> Delivery {
    for _ in 0..5 {
        broker.advance(LEASE / 3);
        rival.beat().await.unwrap();
    }
    assert_eq!(rival.sweep().await.unwrap().returned, 1);
    rival.claim(1, Duration::ZERO).await.unwrap().remove(0)
}

async fn finish(rival: &dyn Consumer, delivery: &Delivery, id: taskq_worker::TaskId) {
    let verdict = Verdict {
        receipt: delivery.receipt,
        end: End::Done,
        record: Some(Record {
            result: Some(json(json!("the rival's"))),
            ..Record::new(id, "held", &celery(), State::Success)
        }),
        event: None,
    };
    let finished = rival.finish(&celery(), vec![verdict]).await.unwrap();
    assert_eq!(finished.applied, 1);
}

fn deaf() -> (Flaky, Arc<Faults>) {
    let flaky = Flaky::new(MemoryBroker::with_still_clock());
    let faults = Arc::clone(&flaky.faults);
    (flaky, faults)
}

#[tokio::test]
async fn a_run_whose_lease_is_lost_is_dropped_and_its_verdict_with_it() {
    let (flaky, faults) = deaf();
    let gate = Gate::default();
    let mut bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()).concurrency(1));
    let id = bench.send(Message::new("held")).await;
    gate.runs(1).await;
    faults.deaf_to_beats.store(true, Ordering::SeqCst);
    let rival = rival(&bench.broker).await;
    // Its only slot is taken: the worker claims nothing meanwhile.
    let taken = rob(&bench.broker, &*rival).await;
    assert_eq!(taken.crashes, 1);
    finish(&*rival, &taken, id).await;
    // The worker's next beat finds out.
    faults.deaf_to_beats.store(false, Ordering::SeqCst);
    until(async || (gate.dropped() == 1).then_some(())).await;
    assert_eq!(
        bench.end_of(id).await.result.unwrap().get(),
        "\"the rival's\""
    );
    // And it goes on in a new session.
    gate.let_go(1);
    rival.close().await.unwrap();
    let next = bench.send(Message::new("held")).await;
    assert_eq!(bench.end_of(next).await.result.unwrap().get(), "\"let go\"");
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_blocking_run_can_not_be_dropped_but_its_verdict_is() {
    let (flaky, faults) = deaf();
    let gate = Gate::default();
    let mut bench = Bench::at(&flaky, &[&HELD_BLOCKING], |b| {
        b.state(gate.clone()).concurrency(1)
    });
    let id = bench.send(Message::new("held_blocking")).await;
    gate.runs(1).await;
    faults.deaf_to_beats.store(true, Ordering::SeqCst);
    let rival = rival(&bench.broker).await;
    // Its only slot is taken: the worker claims nothing meanwhile.
    let taken = rob(&bench.broker, &*rival).await;
    finish(&*rival, &taken, id).await;
    gate.let_go(1);
    gate.runs(0).await;
    faults.deaf_to_beats.store(false, Ordering::SeqCst);
    bench.stop().await.unwrap();
    assert_eq!(
        bench.end_of(id).await.result.unwrap().get(),
        "\"the rival's\""
    );
}

/// A session that is opened again, after a FLUSHALL, takes over the lease of whoever came first.
#[tokio::test]
async fn a_lease_that_changes_changes_the_pace_of_all_that_hangs_on_it() {
    const HOUR_MS: u64 = 3_600_000;
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    let mut bench = Bench::at(&flaky, &[&HELD], |b| {
        b.lease(Duration::from_millis(HOUR_MS))
    });
    let counts = || {
        let of = |n: &std::sync::atomic::AtomicUsize| n.load(Ordering::SeqCst);
        (of(&faults.beats), of(&faults.sweeps))
    };
    let stands = |ms| {
        let faults = &faults;
        async move { (faults.registered_ms.load(Ordering::SeqCst) == ms).then_some(()) }
    };
    until(async || (counts().0 > 0).then_some(())).await;
    until(|| stands(HOUR_MS)).await;
    let before = counts();
    faults.lease_ms.store(300, Ordering::SeqCst);
    until(async || (counts().0 >= before.0 + 5 && counts().1 >= before.1 + 2).then_some(())).await;
    until(|| stands(300)).await;
    faults.lease_ms.store(HOUR_MS, Ordering::SeqCst);
    until(|| stands(HOUR_MS)).await;
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn of_those_on_their_last_life_one_runs_at_a_time() {
    let broker = MemoryBroker::with_still_clock();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(send(&broker, Message::new("held")).await);
    }
    // Two processes die with them.
    let sweeper = rival(&broker).await;
    for _ in 0..2 {
        let mut taken = 0;
        while taken < 3 {
            let doomed = rival(&broker).await;
            taken += doomed.claim(3, Duration::ZERO).await.unwrap().len();
        }
        for _ in 0..5 {
            broker.advance(LEASE / 3);
            sweeper.beat().await.unwrap();
        }
        assert_eq!(sweeper.sweep().await.unwrap().returned, 3);
    }
    sweeper.close().await.unwrap();
    assert_eq!(broker.depth(&celery()).await.unwrap().suspects, 3);

    let gate = Gate::default();
    let mut bench = Bench::with(broker, &[&HELD], |b| b.state(gate.clone()));
    for n in 1..=3 {
        until(async || (gate.begun() == n).then_some(())).await;
        gate.let_go(1);
    }
    for id in ids {
        let record = bench.end_of(id).await;
        assert_eq!((record.state, record.crashes), (State::Success, 2));
    }
    assert_eq!(gate.most(), 1);
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn the_executor_too_lets_last_lifers_run_alone() {
    // The broker hands them out side by side, as ordinary messages that crashed twice of three times.
    let flaky = Flaky::default();
    flaky.faults.crashes.store(2, Ordering::SeqCst);
    let gate = Gate::default();
    let mut bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()));
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.send(Message::new("held")).await);
    }
    // One with more lives left runs beside them.
    let mut ordinary = Message::new("held");
    ordinary.max_crashes = Some(9);
    ids.push(bench.send(ordinary).await);
    until(async || {
        let held = bench.broker.depth(&celery()).await.unwrap().in_flight;
        (held == 4 && gate.running() == 2).then_some(())
    })
    .await;
    gate.let_go(4);
    for id in ids {
        bench.end_of(id).await;
    }
    assert_eq!(gate.most(), 2);
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn at_most_once_messages_that_never_crashed_run_side_by_side() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.state(gate.clone()));
    for _ in 0..3 {
        let mut message = Message::new("held");
        message.on_crash = OnCrash::Dead;
        bench.send(message).await;
    }
    gate.runs(3).await;
}
