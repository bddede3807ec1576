//! What a monitor hears of a worker and its tasks, in Celery's words.

use std::time::Duration;

use serde_json::{Value, json};
use taskq_worker::broker::Inspect;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::event::EventPosition;
use taskq_worker::retry::Fixed;
use taskq_worker::task::{Running, TaskDef, TaskResult};
use taskq_worker::{Failure, Message, Outcome, State, TaskId};

use crate::bench::{Bench, json, until};
use crate::gate::{Gate, HELD};

fn later(outcome: TaskResult) -> Running {
    Running::Async(Box::pin(async { outcome }))
}

fn flop() -> Failure {
    let mut error = Failure::new("Flop", "it fell");
    error.chain = vec!["the rope broke".into(), "rust".into()];
    error
}

static WORKS: TaskDef = TaskDef::new("works", &[], |_, _| {
    Ok(later(Outcome::Done(json(json!({"kilos": 3})))))
});
static FAILS: TaskDef = TaskDef::new("fails", &[], |_, _| Ok(later(Outcome::Failed(flop()))));
static SECOND_TIME: TaskDef = TaskDef::new("second_time", &[], |context, _| {
    Ok(later(match context.attempt() {
        1 => Outcome::Retry {
            after: None,
            error: flop(),
        },
        _ => Outcome::Done(json(json!("at last"))),
    }))
})
.retry(&Fixed(Duration::from_millis(5)));
static REJECTS: TaskDef = TaskDef::new("rejects", &[], |_, _| {
    Ok(later(Outcome::Reject("not for me".into())))
});

/// All that was told so far, as Celery would.
async fn told(broker: &MemoryBroker) -> Vec<Value> {
    let (mut events, mut position) = (Vec::new(), EventPosition::oldest());
    loop {
        let page = broker.events(&position, Duration::ZERO).await.unwrap();
        assert!(!page.missed);
        if page.events.is_empty() {
            return events;
        }
        events.extend(page.events.iter().map(taskq_worker::event::Event::to_json));
        position = page.next;
    }
}

/// What was told of `id`, by attempt and in the order of a life, without what each run has of its own.
async fn told_of(broker: &MemoryBroker, id: TaskId) -> Vec<Value> {
    const LIFE: [&str; 7] = [
        "task-received",
        "task-started",
        "task-retried",
        "task-succeeded",
        "task-failed",
        "task-rejected",
        "task-revoked",
    ];
    let mut events = told(broker).await;
    events.retain(|e| e["uuid"] == json!(id.to_string()));
    for event in &mut events {
        assert!(event["timestamp"].as_f64().unwrap() > 1.7e9, "{event}");
        event["timestamp"] = json!("…");
        if let Some(runtime) = event.get_mut("runtime") {
            assert!(runtime.as_f64().unwrap() < 60.0);
            *runtime = json!("…");
        }
    }
    let place = |e: &Value| LIFE.iter().position(|kind| e["type"] == **kind);
    events.sort_by_key(|e| (e["retries"].as_u64(), place(e)));
    events
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|e| e["type"].as_str()).collect()
}

#[tokio::test]
async fn the_life_of_each_task_is_told_in_celerys_words() {
    let bench = Bench::start(&[&WORKS, &FAILS, &SECOND_TIME, &REJECTS]);
    let mut lives = Vec::new();
    for (n, (task, end)) in [
        ("works", State::Success),
        ("fails", State::Failure),
        ("second_time", State::Success),
        ("rejects", State::Dead),
        ("nobodys", State::Dead),
        ("expired", State::Revoked),
    ]
    .into_iter()
    .enumerate()
    {
        let mut message = Message::new(task);
        message.id = format!("0198c0de-0000-7000-8000-00000000000{n}")
            .parse()
            .unwrap();
        message.args = Some(json(json!([n])));
        if task == "expired" {
            message.expires = Some(1_755_582_432_000);
        }
        let id = bench.send(message).await;
        assert_eq!(bench.end_of(id).await.state, end, "{task}");
        lives.push(told_of(&bench.broker, id).await);
    }
    assert_eq!(
        kinds(&lives[2]),
        [
            "task-received",
            "task-started",
            "task-retried",
            "task-received",
            "task-started",
            "task-succeeded"
        ]
    );
    insta::assert_json_snapshot!(lives);
}

#[tokio::test]
async fn a_run_that_is_cut_off_is_told_as_put_back_and_begins_anew() {
    let gate = Gate::default();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).grace(Duration::from_millis(20))
    });
    let id = bench.send(Message::new("held")).await;
    gate.runs(1).await;
    bench.stop().await.unwrap();
    gate.let_go(1);
    let next = Bench::with(bench.broker.clone(), &[&HELD], |b| b.state(gate.clone()));
    next.end_of(id).await;
    let told = told_of(&bench.broker, id).await;
    assert_eq!(
        kinds(&told),
        [
            "task-received",
            "task-received",
            "task-started",
            "task-started",
            "task-succeeded",
            "task-rejected"
        ]
    );
    let rejected = told.last().unwrap();
    assert_eq!(
        (&rejected["requeue"], &rejected["crashed"]),
        (&json!(true), &json!(false))
    );
}

#[tokio::test]
async fn a_run_that_lasts_is_seen_before_it_ends_and_told_once() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.state(gate.clone()));
    let id = bench.send(Message::new("held")).await;
    let early = until(async || {
        let told = told_of(&bench.broker, id).await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    assert_eq!(kinds(&early), ["task-received", "task-started"]);
    assert_eq!(gate.running(), 1);
    gate.let_go(1);
    bench.end_of(id).await;
    let whole = told_of(&bench.broker, id).await;
    assert_eq!(whole[..2], early);
    assert_eq!(kinds(&whole[2..]), ["task-succeeded"]);
}

#[tokio::test]
async fn a_tracked_task_reads_started_while_it_runs_and_stays_ended() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.state(gate.clone()));
    let mut message = Message::new("held");
    message.track_started = true;
    let id = bench.send(message).await;
    let record = bench.record_when(id, |r| r.state == State::Started).await;
    assert_eq!((record.attempts, record.finished), (1, None));
    gate.let_go(1);
    let end = bench.end_of(id).await;
    assert_eq!((end.state, end.started), (State::Success, record.started));
}

#[tokio::test]
async fn a_worker_is_told_as_online_by_its_heartbeats_and_as_offline() {
    let gate = Gate::default();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).lease(Duration::from_millis(300))
    });
    bench.send(Message::new("held")).await;
    let of_workers = async || {
        let mut events = told(&bench.broker).await;
        events.retain(|e| e["type"].as_str().unwrap().starts_with("worker-"));
        events
    };
    let beat = async |active: usize, processed: usize| {
        until(async || {
            let events = of_workers().await;
            events.into_iter().find(|e| {
                (&e["type"], &e["active"], &e["processed"])
                    == (
                        &json!("worker-heartbeat"),
                        &json!(active),
                        &json!(processed),
                    )
            })
        })
        .await
    };
    let first = beat(1, 0).await;
    assert_eq!(first["hostname"], json!("w1@test"));
    assert_eq!(first["pid"], json!(std::process::id()));
    gate.let_go(1);
    beat(0, 1).await;
    bench.stop().await.unwrap();
    let mut events = told(&bench.broker).await;
    events.retain(|e| e["type"].as_str().unwrap().starts_with("worker-"));
    let (first, last) = (events.first().unwrap(), events.last().unwrap());
    assert_eq!(first["type"], json!("worker-online"));
    assert_eq!(last["type"], json!("worker-offline"));
}
