//! What the broker is told of runs: by their verdicts, and of those under way before that.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{End, Inspect, Verdict};
use taskq_worker::event::{Attempt, MAX_CHARS};
use taskq_worker::task::{Running, TaskDef, TaskResult};
use taskq_worker::{Failure, Message, Outcome, State, TaskId};

use crate::bench::{Bench, celery, json, until};
use crate::flaky::{Faults, Flaky};
use crate::gate::{Gate, HELD};

fn later(outcome: TaskResult) -> Running {
    Running::Async(Box::pin(async { outcome }))
}

static GIVES: TaskDef = TaskDef::new("gives", &[], |context, _| {
    let given = context.state::<Given>().unwrap();
    Ok(later(given.0.clone()))
});

/// What [`GIVES`] gives.
struct Given(TaskResult);

/// A worker at a broker that nobody can tell of runs under way: however slow the machine is, the verdicts tell it all.
fn bench(given: TaskResult) -> (Bench, Arc<Faults>) {
    let flaky = Flaky::new(MemoryBroker::new());
    let faults = Arc::clone(&flaky.faults);
    faults.loses_starts.store(usize::MAX, Ordering::SeqCst);
    let bench = Bench::at(flaky.inner.clone(), Arc::new(flaky), &[&GIVES], |b| {
        b.state(Given(given))
    });
    (bench, faults)
}

/// A worker with one held task, at a broker that says yes to all that it is told of runs.
fn held(faults: impl FnOnce(&Faults)) -> (Bench, Arc<Faults>, Gate) {
    let flaky = Flaky::new(MemoryBroker::new());
    let kept = Arc::clone(&flaky.faults);
    kept.deaf_to_starts.store(true, Ordering::SeqCst);
    faults(&kept);
    let gate = Gate::default();
    let bench = Bench::at(flaky.inner.clone(), Arc::new(flaky), &[&HELD], |b| {
        b.state(gate.clone())
    });
    (bench, kept, gate)
}

async fn verdict_of(faults: &Faults, id: TaskId) -> (Verdict, Attempt) {
    until(async || {
        let verdicts = faults.verdicts().into_iter();
        verdicts
            .filter_map(|v| Some((v.clone(), v.event?)))
            .find(|(_, event)| event.message.id == id)
    })
    .await
}

/// The verdict on one call of a function that gives `outcome`.
async fn told_of(outcome: TaskResult) -> (Verdict, Attempt) {
    let (mut bench, faults) = bench(outcome);
    let id = bench.send(Message::new("gives")).await;
    let told = verdict_of(&faults, id).await;
    bench.stop().await.unwrap();
    told
}

#[tokio::test]
async fn a_verdict_tells_the_result_and_when_it_was_received_and_started() {
    let (verdict, event) = told_of(Outcome::Done(json(json!({"kilos": 3})))).await;
    assert!(matches!(verdict.end, End::Done));
    assert_eq!(event.said.as_deref(), Some(r#"{"kilos":3}"#));
    assert_eq!(event.traceback, None);
    let record = verdict.record.unwrap();
    let (received, started) = (event.received.unwrap(), event.started.unwrap());
    assert_eq!(record.started, Some(started));
    assert!(received <= started && started <= record.finished.unwrap());
    assert!(event.runtime.is_some());
}

#[tokio::test]
async fn a_long_result_is_told_cut_and_kept_whole() {
    let long = "ñ".repeat(5_000);
    let (verdict, event) = told_of(Outcome::Done(json(json!(long)))).await;
    let said = event.said.unwrap();
    assert_eq!(said.chars().count(), MAX_CHARS);
    assert!(said.starts_with("\"ñ") && said.ends_with('…'), "{said}");
    let kept = verdict.record.unwrap().result.unwrap();
    assert_eq!(kept.get().chars().count(), 5_002);
}

#[tokio::test]
async fn a_verdict_tells_what_went_wrong_and_its_causes() {
    let mut error = Failure::new("Flop", "it fell");
    error.chain = vec!["the rope broke".into(), "rust".into()];
    let retry = Outcome::Retry {
        after: None,
        error: error.clone(),
    };
    for (outcome, retried) in [(Outcome::Failed(error), false), (retry, true)] {
        let (verdict, event) = told_of(outcome).await;
        assert_eq!(matches!(verdict.end, End::Retry { .. }), retried);
        assert_eq!(event.said.as_deref(), Some("Flop: it fell"));
        assert_eq!(event.traceback.as_deref(), Some("the rope broke\nrust"));
        assert!(event.started.is_some() && event.runtime.is_some());
    }
}

#[tokio::test]
async fn what_is_told_of_a_reject_is_the_reason_in_the_dead_set() {
    let (verdict, event) = told_of(Outcome::Reject("not for me".into())).await;
    assert!(matches!(verdict.end, End::Dead { reason, .. } if reason == "not for me"));
    assert_eq!(event.said, None);
}

#[tokio::test]
async fn what_never_ran_is_told_as_received_alone() {
    let (bench, faults) = bench(Outcome::Reject(String::new()));
    let id = bench.send(Message::new("nobodys")).await;
    let (_, event) = verdict_of(&faults, id).await;
    assert!(event.received.is_some());
    assert_eq!((event.started, event.runtime), (None, None));
}

#[tokio::test]
async fn what_can_not_be_read_is_told_where_its_id_can() {
    let (bench, faults) = bench(Outcome::Reject(String::new()));
    let named = r#"{"id":"0198c0de-0000-7000-8000-000000000002","task":"gives","priority":12}"#;
    bench.broker.push_raw(&celery(), 0, "not json").unwrap();
    bench.broker.push_raw(&celery(), 0, named).unwrap();
    let id = "0198c0de-0000-7000-8000-000000000002".parse().unwrap();
    let (_, event) = verdict_of(&faults, id).await;
    assert_eq!(event.message.task, "gives");
    assert_eq!((event.received, event.started), (None, None));
    until(async || (faults.verdicts().len() == 2).then_some(())).await;
    let told = faults
        .verdicts()
        .iter()
        .filter(|v| v.event.is_some())
        .count();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn a_long_run_is_told_of_once_while_it_lasts() {
    let (mut bench, faults, gate) = held(|_| {});
    let id = bench.send(Message::new("held")).await;
    let start = until(async || faults.starts().first().cloned()).await;
    assert!(start.record.is_none(), "nobody asked for STARTED");
    assert_eq!(start.event.message.id, id);
    assert!(start.event.received.is_some() && start.event.started.is_some());
    assert_eq!(start.event.runtime, None);
    gate.runs(1).await;
    gate.let_go(1);
    let (verdict, event) = verdict_of(&faults, id).await;
    assert_eq!((event.received, event.started), (None, None));
    assert!(event.runtime.is_some());
    assert_eq!(verdict.record.unwrap().started, start.event.started);
    bench.stop().await.unwrap();
    assert_eq!(faults.starts().len(), 1);
}

#[tokio::test]
async fn what_the_broker_could_not_be_told_is_told_by_the_verdict() {
    let (bench, faults, gate) = held(|f| f.loses_starts.store(1, Ordering::SeqCst));
    let id = bench.send(Message::new("held")).await;
    let lost = until(async || faults.starts().first().cloned()).await;
    gate.let_go(1);
    let (_, event) = verdict_of(&faults, id).await;
    assert_eq!(
        (event.received, event.started),
        (lost.event.received, lost.event.started)
    );
    assert_eq!(faults.starts().len(), 1, "what is lost is not told again");
}

#[tokio::test]
async fn a_call_that_hangs_holds_no_verdict_for_good() {
    let (bench, faults, gate) = held(|f| f.hold_starts.store(true, Ordering::SeqCst));
    let id = bench.send(Message::new("held")).await;
    until(async || faults.starts().first().cloned()).await;
    gate.let_go(1);
    let (_, event) = verdict_of(&faults, id).await;
    assert!(event.received.is_some() && event.started.is_some());
}

#[tokio::test]
async fn a_task_that_tracks_its_start_has_a_record_that_says_so() {
    let (bench, faults, gate) = held(|_| {});
    let mut message = Message::new("held");
    message.track_started = true;
    message.retries = 2;
    let id = bench.send(message).await;
    let start = until(async || faults.starts().first().cloned()).await;
    let record = start.record.unwrap();
    assert_eq!((record.id, record.state), (id, State::Started));
    assert_eq!((record.attempts, record.finished), (3, None));
    assert_eq!(record.worker.as_deref(), Some("w1@test"));
    assert_eq!(record.started, start.event.started);
    gate.let_go(1);
    bench.end_of(id).await;
}

#[tokio::test]
async fn a_start_that_could_not_be_recorded_is_recorded_later_and_told_by_the_verdict() {
    let (bench, faults, gate) = held(|f| f.loses_starts.store(2, Ordering::SeqCst));
    let mut message = Message::new("held");
    message.track_started = true;
    let id = bench.send(message).await;
    let third = until(async || faults.starts().get(2).cloned()).await;
    assert_eq!(third.record.unwrap().state, State::Started);
    assert_eq!((third.event.received, third.event.started), (None, None));
    gate.let_go(1);
    let (_, event) = verdict_of(&faults, id).await;
    assert!(event.received.is_some() && event.started.is_some());
    assert_eq!(faults.starts().len(), 3);
}

#[tokio::test]
async fn no_start_is_recorded_where_results_are_off() {
    let (bench, faults, gate) = held(|_| {});
    let mut message = Message::new("held");
    (message.track_started, message.ignore_result) = (true, true);
    bench.send(message).await;
    let start = until(async || faults.starts().first().cloned()).await;
    assert!(start.record.is_none());
    gate.let_go(1);
}

#[tokio::test]
async fn the_card_tells_how_much_runs_and_how_much_was_run() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone())
            .lease(std::time::Duration::from_millis(300))
    });
    let load = async |active, processed| {
        until(async || {
            let cards = bench.broker.workers().await.unwrap();
            let loads = |c: &taskq_worker::fleet::WorkerCard| (c.active, c.processed);
            cards
                .iter()
                .any(|c| loads(c) == (active, processed))
                .then_some(())
        })
        .await;
    };
    load(0, 0).await;
    for _ in 0..3 {
        bench.send(Message::new("held")).await;
    }
    load(3, 0).await;
    gate.let_go(2);
    load(1, 2).await;
    gate.let_go(1);
    load(0, 3).await;
}

#[tokio::test]
async fn the_card_tells_when_it_was_renewed() {
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.lease(std::time::Duration::from_millis(300))
    });
    let renewed_after = async |before: u64| {
        until(async || {
            let cards = bench.broker.workers().await.unwrap();
            let card = cards.first()?;
            assert!(card.renewed >= card.started, "{card:?}");
            (card.renewed > before).then_some(card.renewed)
        })
        .await
    };
    let first = renewed_after(0).await;
    let second = renewed_after(first).await;
    assert!(second <= taskq_worker::clock::now_ms());
}
