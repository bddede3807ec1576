//! What becomes of the progress that tasks tell.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::control::Command;
use taskq_worker::event::{EventPosition, Fact, TaskEventKind};
use taskq_worker::task::{Running, TaskDef};
use taskq_worker::{Failure, Message, Outcome, Record, State, TaskId};

use crate::bench::{Bench, json, until};
use crate::control::ask;
use crate::flaky::Flaky;
use crate::gate::Gate;
use crate::kit::Kit;

/// Tells that it is at each of three steps, and takes the next one when it is let go.
static CLIMBS: TaskDef = TaskDef::new("climbs", &[], |context, _| {
    let gate = context.state::<Gate>().unwrap();
    Ok(Running::Async(Box::pin(async move {
        for step in 1..=3 {
            context.progress(step, 3, "climbing");
            gate.pass().await;
        }
        Outcome::Done(json(json!("up")))
    })))
});

/// Tells much in one go.
static RUSHES: TaskDef = TaskDef::new("rushes", &[], |context, _| {
    let gate = context.state::<Gate>().unwrap();
    Ok(Running::Async(Box::pin(async move {
        for step in 1..=10_000 {
            context.progress(step, 0, "");
            tokio::task::yield_now().await;
        }
        gate.pass().await;
        Outcome::Done(json(json!(null)))
    })))
});

/// Fails when it has told of its first attempt; the second succeeds and tells nothing.
static SLIPS: TaskDef = TaskDef::new("slips", &[], |context, _| {
    let gate = context.state::<Gate>().unwrap();
    Ok(Running::Async(Box::pin(async move {
        if context.attempt() > 1 {
            gate.pass().await;
            return Outcome::Done(json(json!(null)));
        }
        context.progress(7, 9, "slipping");
        Outcome::Retry {
            after: Some(Duration::ZERO),
            error: Failure::new("Slipped", "on ice"),
        }
    })))
});

/// Fails for good behind its progress.
static FALLS: TaskDef = TaskDef::new("falls", &[], |context, _| {
    context.progress(1, 2, "");
    Ok(Running::Async(Box::pin(async move {
        Outcome::Failed(Failure::new("Fell", "off"))
    })))
});

fn told(record: &Record) -> Option<(u64, u64)> {
    record.progress.as_ref().map(|p| (p.done, p.total))
}

const TASKS: &[&TaskDef] = &[&CLIMBS, &RUSHES, &SLIPS, &FALLS];

fn scene() -> (Bench, Gate) {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), TASKS, |b| b.state(gate.clone()));
    (bench, gate)
}

fn kit() -> (Kit, Gate) {
    let gate = Gate::default();
    let state = gate.clone();
    (Kit::with(TASKS, |b| b.state(state)), gate)
}

#[tokio::test(start_paused = true)]
async fn progress_is_seen_while_it_grows_and_stays_in_the_final_record() {
    let (kit, gate) = kit();
    let id = kit.send(Message::new("climbs")).await;
    let drain = kit.drains();
    for step in 1..=3 {
        let record = kit.record_when(id, |r| told(r) == Some((step, 3))).await;
        assert_eq!((record.state, record.attempts), (State::Started, 1));
        assert_eq!(record.worker.as_deref(), Some("w1@test"));
        let progress = record.progress.unwrap();
        assert_eq!(progress.note.as_deref(), Some("climbing"));
        assert!(progress.at >= record.started.unwrap());
        gate.let_go(1);
    }
    assert_eq!(drain.await.unwrap().done, 1);
    let end = kit.broker.record(id).await.unwrap();
    assert_eq!((end.state, told(&end)), (State::Success, Some((3, 3))));
}

#[tokio::test(start_paused = true)]
async fn the_start_is_told_once_however_much_progress_follows() {
    let (kit, gate) = kit();
    let id = kit.send(Message::new("climbs")).await;
    let drain = kit.drains();
    for step in 1..=3 {
        kit.record_when(id, |r| told(r) == Some((step, 3))).await;
        gate.let_go(1);
    }
    assert_eq!(drain.await.unwrap().done, 1);
    kit.broker.stop().await;
    let backend = kit.broker.backend();
    let mut position = EventPosition::oldest();
    let mut kinds = Vec::new();
    loop {
        let page = backend.events(&position, Duration::ZERO).await.unwrap();
        if page.events.is_empty() {
            break;
        }
        kinds.extend(page.events.into_iter().filter_map(|e| match e.fact {
            Fact::Task(task) => Some(task.kind),
            Fact::Worker(_) => None,
        }));
        position = page.next;
    }
    kinds.sort_unstable();
    use TaskEventKind::{Received, Started, Succeeded};
    assert_eq!(kinds, [Received, Started, Succeeded]);
}

#[tokio::test]
async fn much_progress_is_stored_seldom_and_its_last_value_always() {
    let flaky = Flaky::default();
    let faults = std::sync::Arc::clone(&flaky.faults);
    faults.deaf_to_starts.store(true, Ordering::SeqCst);
    let gate = Gate::default();
    let began = Instant::now();
    let bench = Bench::at(&flaky, &[&RUSHES], |b| b.state(gate.clone()));
    bench.send(Message::new("rushes")).await;
    let last = |starts: &[taskq_worker::broker::Start]| {
        let last = starts.last()?.record.clone()?;
        last.progress.map(|p| p.done)
    };
    until(async || (last(&faults.starts()) == Some(10_000)).then_some(())).await;
    let most = began.elapsed().as_millis() / 500 + 2;
    let stored = faults.starts().len();
    assert!(
        stored as u128 <= most,
        "{stored} within {:?}",
        began.elapsed()
    );
    gate.let_go(1);
    let end = until(async || faults.verdicts().first().cloned()).await;
    assert_eq!(told(&end.record.unwrap()), Some((10_000, 0)));
}

#[tokio::test]
async fn what_a_failed_attempt_told_stays_until_the_next_one_ends() {
    let (bench, gate) = scene();
    let id = bench.send(Message::new("slips")).await;
    let retry = bench.record_when(id, |r| r.state == State::Retry).await;
    assert_eq!(told(&retry), Some((7, 9)));
    gate.let_go(1);
    let end = bench.end_of(id).await;
    assert_eq!(
        (end.state, end.attempts, told(&end)),
        (State::Success, 2, None)
    );
    let id = bench.send(Message::new("falls")).await;
    let end = bench.end_of(id).await;
    assert_eq!((end.state, told(&end)), (State::Failure, Some((1, 2))));
}

#[tokio::test]
async fn without_a_record_the_worker_alone_tells_how_far_it_is() {
    let (bench, gate) = scene();
    let mut message = Message::new("climbs");
    message.ignore_result = true;
    let id = bench.send(message).await;
    gate.let_go(1);
    until(async || {
        let active = ask(&bench.broker, Command::Active, &[]).await?;
        let progress = &active[0]["progress"];
        (progress["done"] == json!(2) && progress["note"] == json!("climbing")).then_some(())
    })
    .await;
    assert!(record(&bench, id).await.is_none());
    gate.let_go(2);
}

async fn record(bench: &Bench, id: TaskId) -> Option<Record> {
    use taskq_worker::broker::Results;
    bench.broker.record(id, None).await.unwrap()
}

#[tokio::test]
async fn what_goes_back_at_the_stop_has_no_progress() {
    let gate = Gate::default();
    let mut bench = Bench::with(MemoryBroker::new(), &[&CLIMBS], |b| {
        b.state(gate.clone()).grace(Duration::ZERO)
    });
    let id = bench.send(Message::new("climbs")).await;
    bench.record_when(id, |r| told(r) == Some((1, 3))).await;
    bench.stop().await.unwrap();
    let record = record(&bench, id).await.unwrap();
    assert_eq!((record.state, told(&record)), (State::Queued, None));
}
