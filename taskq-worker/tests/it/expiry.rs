//! Messages whose time is over, and such as must not begin twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{End, Inspect, RevokeCause};
use taskq_worker::message::OnCrash;
use taskq_worker::{Message, State, clock};

use crate::bench::{Bench, celery, error_of, until};
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD, HELD_BLOCKING};

const HOUR_MS: u64 = 3_600_000;

fn held(gate: &Gate) -> (Bench, Arc<crate::flaky::Faults>) {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    faults.deaf_to_starts.store(true, Ordering::SeqCst);
    let bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()));
    (bench, faults)
}

#[tokio::test]
async fn a_message_whose_time_is_over_is_revoked_and_does_not_run() {
    let gate = Gate::default();
    let (mut bench, faults) = held(&gate);
    let mut message = Message::new("held");
    message.expires = Some(clock::now_ms() - 1);
    message.retries = 1;
    let id = bench.send(message).await;
    let record = bench.end_of(id).await;
    assert_eq!((record.state, record.attempts), (State::Revoked, 1));
    assert!(record.finished.is_some() && record.started.is_none() && record.error.is_none());
    let verdict = until(async || faults.verdicts().first().cloned()).await;
    assert!(matches!(verdict.end, End::Revoked(RevokeCause::Expired)));
    let event = verdict.event.unwrap();
    assert!(event.received.is_some() && event.started.is_none());
    let depth = bench.broker.depth(&celery()).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight, depth.dead), (0, 0, 0));
    assert_eq!(gate.begun(), 0);
    bench.stop().await.unwrap();
}

/// Its record must not read as REVOKED while it runs on past that time.
#[tokio::test]
async fn a_message_in_time_runs_and_its_record_says_so_without_an_end() {
    let gate = Gate::default();
    let (bench, faults) = held(&gate);
    let mut message = Message::new("held");
    message.expires = Some(clock::now_ms() + HOUR_MS);
    let id = bench.send(message).await;
    let start = until(async || faults.starts().first().cloned()).await;
    let record = start.record.unwrap();
    assert_eq!((record.state, record.expires), (State::Started, None));
    gate.let_go(1);
    assert_eq!(bench.end_of(id).await.state, State::Success);
}

#[tokio::test]
async fn what_waits_to_run_again_still_expires() {
    let gate = Gate::default();
    let (bench, _) = held(&gate);
    let (eta, expires) = (clock::now_ms() + HOUR_MS, clock::now_ms() + 2 * HOUR_MS);
    let mut message = Message::new("held");
    (message.eta, message.expires) = (Some(eta), Some(expires));
    let id = bench.send(message).await;
    let record = bench.record_when(id, |r| r.state == State::Scheduled).await;
    assert_eq!(record.expires, Some(expires));
}

fn at_most_once(task: &str) -> Message {
    let mut message = Message::new(task);
    message.on_crash = OnCrash::Dead;
    message
}

#[tokio::test]
async fn an_at_most_once_run_that_the_stop_cuts_off_is_dead() {
    for task in [&HELD, &HELD_BLOCKING] {
        // By its verdict: the close of the sessions fails.
        let flaky = Flaky::default();
        flaky.faults.never_closes.store(true, Ordering::SeqCst);
        let gate = Gate::default();
        let mut bench = Bench::at(&flaky, &[task], |b| {
            b.state(gate.clone()).grace(Duration::from_millis(20))
        });
        let id = bench.send(at_most_once(task.name)).await;
        gate.runs(1).await;
        bench.stop().await.unwrap();
        let record = bench.end_of(id).await;
        assert_eq!((record.state, record.crashes), (State::Dead, 0));
        assert!(error_of(&record).starts_with("WorkerStopped: its worker stopped while it ran"));
        let depth = bench.broker.depth(&celery()).await.unwrap();
        assert_eq!((depth.waiting, depth.in_flight, depth.dead), (0, 0, 1));
        gate.let_go(1);
        gate.runs(0).await;
    }
}

#[tokio::test]
async fn an_at_most_once_message_that_never_began_goes_back() {
    // As if they had crashed before, they run one at a time.
    let flaky = Flaky::default();
    flaky.faults.crashes.store(1, Ordering::SeqCst);
    let gate = Gate::default();
    let mut bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()));
    bench.send(at_most_once("held")).await;
    let second = bench.send(at_most_once("held")).await;
    until(async || {
        let held = bench.broker.depth(&celery()).await.unwrap().in_flight;
        (held == 2 && gate.running() == 1).then_some(())
    })
    .await;
    bench.stop.cancel();
    until(async || (bench.broker.depth(&celery()).await.unwrap().waiting == 1).then_some(())).await;
    gate.let_go(1);
    bench.end().await.unwrap();
    assert_eq!(bench.broker.depth(&celery()).await.unwrap().dead, 0);
    let next = Bench::with(bench.broker.clone(), &[&HELD], |b| b.state(gate.clone()));
    gate.let_go(1);
    assert_eq!(next.end_of(second).await.state, State::Success);
}

#[tokio::test]
async fn a_start_that_was_recorded_is_taken_back_with_the_message() {
    let gate = Gate::default();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).grace(Duration::from_millis(20))
    });
    let mut message = Message::new("held");
    message.track_started = true;
    let id = bench.send(message).await;
    gate.runs(1).await;
    bench.stop().await.unwrap();
    let record = bench.record_when(id, |_| true).await;
    assert_eq!((record.state, record.attempts), (State::Queued, 0));
    assert_eq!(record.started, None);
    assert_eq!(bench.broker.depth(&celery()).await.unwrap().waiting, 1);
}
