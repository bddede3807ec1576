//! What a worker answers.

use std::time::Duration;

use serde_json::{Value, json};
use taskq_worker::broker::Control;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::control::{BrokerAddress, Command, Request, Stats};
use taskq_worker::{Builder, Message, TaskId};

use crate::bench::{Bench, PATIENCE, json, until};
use crate::gate::{Gate, HELD};
use crate::outcomes::THIRD_TIME;

/// What the worker answers. A ping is not waited for: the worker may not listen yet, or not be meant. Whatever else it is
/// told is told once, when it listens.
pub(crate) async fn ask(
    broker: &MemoryBroker,
    command: Command,
    destination: &[&str],
) -> Option<Value> {
    let soon = Duration::from_millis(200);
    if command == Command::Ping {
        return ask_for(broker, command, destination, soon).await;
    }
    until(async || ask_for(broker, Command::Ping, &[], soon).await).await;
    ask_for(broker, command, destination, PATIENCE).await
}

async fn ask_for(
    broker: &MemoryBroker,
    command: Command,
    destination: &[&str],
    patience: Duration,
) -> Option<Value> {
    let request = Request {
        id: TaskId::random().to_string(),
        reply_to: String::new(),
        destination: destination.iter().map(|d| (*d).to_owned()).collect(),
        command,
    };
    let mut replies = broker.ask(request).await.unwrap();
    let reply = tokio::time::timeout(patience, replies.next()).await.ok()?;
    let reply = reply.unwrap();
    assert_eq!(reply.node, "w1@test");
    Some(reply.body)
}

#[tokio::test]
async fn a_worker_answers_those_who_mean_it() {
    let bench = Bench::start(&[&HELD]);
    let pong = until(async || ask(&bench.broker, Command::Ping, &[]).await).await;
    assert_eq!(pong, json!({"ok": "pong"}));
    let both = ["w2@test", "w1@test"];
    let named = until(async || ask(&bench.broker, Command::Ping, &both).await).await;
    assert_eq!(named, json!({"ok": "pong"}));
    assert_eq!(ask(&bench.broker, Command::Ping, &["w2@test"]).await, None);
}

#[tokio::test]
async fn a_worker_tells_what_it_runs() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.state(gate.clone()));
    let mut message = Message::new("held");
    message.args = Some(json(json!([1, "dos"])));
    message.kwargs = Some(json(json!({"long": "x".repeat(2_000)})));
    message.retries = 1;
    let id = bench.send(message).await;
    gate.runs(1).await;
    let active = until(async || ask(&bench.broker, Command::Active, &[]).await).await;
    let task = &active[0];
    assert_eq!(active.as_array().map(Vec::len), Some(1));
    assert_eq!(task["id"], json!(id));
    assert_eq!(task["name"], json!("held"));
    assert_eq!(task["args"], json!([1, "dos"]));
    assert_eq!(task["kwargs"].as_str().unwrap().chars().count(), 1_025);
    assert_eq!(
        (&task["queue"], &task["attempt"]),
        (&json!("celery"), &json!(2))
    );
    assert!(task["time_start"].as_f64().unwrap() > 1e9);
    assert!(task["runtime_s"].as_f64().unwrap() >= 0.0);
    gate.let_go(1);
    bench.end_of(id).await;
    let active = ask(&bench.broker, Command::Active, &[]).await;
    assert_eq!(active, Some(json!([])));
}

#[tokio::test]
async fn a_worker_tells_its_tasks() {
    let bench = Bench::start(&[&HELD, &THIRD_TIME]);
    let names = until(async || ask(&bench.broker, Command::Registered, &[]).await).await;
    assert_eq!(names, json!(["held", "third_time"]));
}

#[tokio::test]
async fn a_worker_tells_how_it_is_doing() {
    let gate = Gate::default();
    let configure = |b: Builder| b.state(gate.clone()).queues(["celery", "geo"]);
    let bench = Bench::with(MemoryBroker::new(), &[&HELD, &THIRD_TIME], configure);
    let held = bench.send(Message::new("held")).await;
    gate.runs(1).await;
    let third_time = bench.send(Message::new("third_time")).await;
    let unknown = bench.send(Message::new("unknown")).await;
    bench.end_of(third_time).await;
    bench.end_of(unknown).await;
    let said = until(async || ask(&bench.broker, Command::Stats, &[]).await).await;
    let stats: Stats = serde_json::from_value(said.clone()).unwrap();
    assert_eq!(said["total"], json!({"held": 1, "third_time": 3}));
    let counts = [
        stats.succeeded,
        stats.failed,
        stats.retried,
        stats.processed,
    ];
    assert_eq!(counts, [1, 1, 2, 4]);
    assert_eq!((stats.pid, stats.lost), (std::process::id(), 0));
    assert_eq!(stats.queues, ["celery", "geo"]);
    assert_eq!(
        said["pool"],
        json!({"max-concurrency": 8, "running": 1, "processes": [std::process::id()]})
    );
    assert_eq!(stats.prefetch_count, 8);
    assert_eq!(stats.broker, BrokerAddress::default());
    let used = stats.rusage.unwrap();
    assert!(used.maxrss > 1_000, "{used:?}");
    gate.let_go(1);
    bench.end_of(held).await;
    let said = until(async || ask(&bench.broker, Command::Stats, &[]).await).await;
    assert_eq!(
        (&said["pool"]["running"], &said["succeeded"]),
        (&json!(0), &json!(2))
    );
}

#[tokio::test]
async fn a_command_that_is_not_known_is_answered_and_the_worker_listens_on() {
    let bench = Bench::start(&[&HELD]);
    until(async || ask(&bench.broker, Command::Ping, &[]).await).await;
    let unknown = || Command::Unknown("dance".into());
    let said = until(async || ask(&bench.broker, unknown(), &[]).await).await;
    let sentence = said["error"].as_str().unwrap();
    for part in ["`dance`", env!("CARGO_PKG_VERSION"), "update the worker"] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    let pong = until(async || ask(&bench.broker, Command::Ping, &[]).await).await;
    assert_eq!(pong, json!({"ok": "pong"}));
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_answers_first_and_then_ends_what_it_runs() {
    let gate = Gate::default();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.state(gate.clone()));
    let id = bench.send(Message::new("held")).await;
    gate.runs(1).await;
    let done = until(async || ask(&bench.broker, Command::Shutdown, &[]).await).await;
    let sentence = done["ok"].as_str().unwrap();
    assert!(sentence.contains("stops"), "{sentence}");
    gate.let_go(1);
    bench.end().await.unwrap();
    assert_eq!(bench.end_of(id).await.state, taskq_worker::State::Success);
}
