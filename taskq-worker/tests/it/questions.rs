//! What a worker answers about what it holds and how it is set up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{Broker, Control, Due, Outgoing};
use taskq_worker::control::{Command, Reply, Request};
use taskq_worker::revocation::Revocation;
use taskq_worker::{Builder, Message, TaskId};

use crate::bench::{Bench, PATIENCE, json, until};
use crate::control::ask;
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD};

/// The answer, once the worker listens.
async fn answer(bench: &Bench, command: Command) -> Value {
    until(async || ask(&bench.broker, command.clone(), &[]).await).await
}

#[tokio::test]
async fn what_is_claimed_and_not_started_is_reserved() {
    // Of those that are on their last life one runs at a time.
    let flaky = Flaky::default();
    flaky.faults.crashes.store(2, Ordering::SeqCst);
    let gate = Gate::default();
    let bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()));
    assert_eq!(answer(&bench, Command::Reserved).await, json!([]));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut message = Message::new("held");
        message.args = Some(json(json!([1])));
        ids.push(bench.send(message).await);
    }
    let reserved = until(async || {
        let said = answer(&bench, Command::Reserved).await;
        (gate.running() == 1 && said.as_array().unwrap().len() == 1).then_some(said)
    })
    .await;
    let task = &reserved[0];
    let id = task["id"].as_str().unwrap();
    assert!(ids.iter().any(|i| i.to_string() == id), "{reserved}");
    assert_eq!(
        (&task["name"], &task["queue"], &task["priority"]),
        (&json!("held"), &json!("celery"), &json!(0))
    );
    assert!(task["time_claimed"].as_f64().unwrap() > 1e9);

    // Each of them is found where it is; one that is not held here is not in the answer.
    let stranger = TaskId::random();
    let asked = [ids[0], ids[1], stranger].to_vec();
    let found = answer(&bench, Command::QueryTask { ids: asked }).await;
    let found = found.as_object().unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[id][0], "reserved");
    assert_eq!(found[id][1]["name"], "held");
    let other = ids.iter().find(|i| i.to_string() != id).unwrap();
    assert_eq!(found[&other.to_string()][0], "active");
    assert_eq!(found[&other.to_string()][1]["args"], json!([1]));

    gate.let_go(2);
    until(async || (answer(&bench, Command::Reserved).await == json!([])).then_some(())).await;
    let found = answer(&bench, Command::QueryTask { ids: ids.clone() }).await;
    assert_eq!(found.get(id), None);
}

#[tokio::test]
async fn queues_are_told_with_their_pauses() {
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b: Builder| {
        b.queues(["geo", "celery"])
    });
    let geo = "geo".parse().unwrap();
    bench
        .broker
        .pause(&geo, "ana", "maintenance")
        .await
        .unwrap();
    assert_eq!(
        answer(&bench, Command::ActiveQueues).await,
        json!([
            {"name": "geo", "weight": 1, "paused": true},
            {"name": "celery", "weight": 1, "paused": false}
        ])
    );
    bench.broker.resume(&geo).await.unwrap();
    let queues = answer(&bench, Command::ActiveQueues).await;
    assert_eq!(queues[0]["paused"], json!(false));
}

#[tokio::test]
async fn settings_are_told_by_the_names_of_their_flags() {
    let limit = Duration::from_millis(1_500);
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.time_limit(limit));
    assert_eq!(
        answer(&bench, Command::Conf).await,
        json!({
            "broker": "given by the program",
            "concurrency": 8,
            "grace": 25.0,
            "health-addr": null,
            "hostname": "w1@test",
            "lease": 10.0,
            "max-memory": null,
            "max-tasks": null,
            "queues": ["celery"],
            "soft-time-limit": null,
            "strict": false,
            "time-limit": 1.5,
        })
    );
}

#[tokio::test]
async fn a_report_says_what_a_bug_report_needs() {
    let bench = Bench::start(&[&HELD]);
    let said = answer(&bench, Command::Report).await;
    let text = said["ok"].as_str().unwrap();
    for part in [
        concat!(
            "taskq ",
            env!("CARGO_PKG_VERSION"),
            ", worker w1@test, pid "
        ),
        "system: linux",
        "processors usable",
        "broker: ",
        "  concurrency = 8",
        "tasks: held",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn a_question_that_the_broker_does_not_answer_holds_up_no_other_and_ends_in_time() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    faults.hold_depths.store(true, Ordering::SeqCst);
    // So many are asked at a time, and each is given up after a while; the last one is asked too late for an answer.
    let queues = ["a", "b", "c", "d", "e", "f", "g", "h", "late"];
    let bench = Bench::at(&flaky, &[&HELD], |b| b.queues(queues));
    answer(&bench, Command::Ping).await;
    let request = Request {
        id: "slow".into(),
        reply_to: String::new(),
        destination: Vec::new(),
        command: Command::ActiveQueues,
    };
    let mut slow = bench.broker.ask(request).await.unwrap();
    until(async || (faults.depths_held.load(Ordering::SeqCst) == 8).then_some(())).await;
    assert_eq!(answer(&bench, Command::Ping).await, json!({"ok": "pong"}));
    assert!(
        slow.next().now_or_never().is_none(),
        "it was answered first"
    );
    let said = slow.next().await.unwrap();
    let sentence = said.body["error"].as_str().unwrap();
    assert!(sentence.contains("longer than 7 s"), "{sentence}");
}

/// The whole answer, once the worker listens. Many answers take a busy machine its time: they are asked for once.
async fn reply(bench: &Bench, command: Command) -> Reply {
    answer(bench, Command::Ping).await;
    let request = Request {
        id: TaskId::random().to_string(),
        reply_to: String::new(),
        destination: Vec::new(),
        command,
    };
    let mut replies = bench.broker.ask(request).await.unwrap();
    let reply = tokio::time::timeout(PATIENCE, replies.next()).await;
    reply.expect("an answer").unwrap()
}

#[tokio::test]
async fn a_queue_that_can_not_be_read_hides_no_other() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    let bench = Bench::at(&flaky, &[&HELD], |b| b.queues(["geo", "celery"]));
    let (geo, celery) = ("geo".parse().unwrap(), "celery".parse().unwrap());
    let what = Revocation::Task("other".into());
    bench.broker.revoke(&celery, &[what]).await.unwrap();
    let message = Message::new("held");
    let due = Outgoing {
        id: message.id,
        body: message.encode().unwrap().into(),
        priority: 0,
        due: Due::In(Duration::from_secs(3_600)),
        record: None,
        once: None,
        event: None,
    };
    let at_once = Duration::ZERO;
    bench
        .broker
        .enqueue(&celery, &[due], at_once)
        .await
        .unwrap();
    *faults.unreadable.lock().unwrap() = Some(geo);

    let said = reply(&bench, Command::ActiveQueues).await;
    assert_eq!(
        said.body,
        json!([
            {"name": "geo", "weight": 1, "paused": false},
            {"name": "celery", "weight": 1, "paused": false}
        ])
    );
    let notice = "the queue geo can not be read, the answer is without it: a string, not a list";
    assert_eq!(said.notices, [notice]);
    let said = reply(&bench, Command::Revoked).await;
    assert_eq!(
        (&said.body, &*said.notices[0]),
        (&json!(["task:other"]), notice)
    );
    let said = reply(&bench, Command::Scheduled).await;
    assert_eq!(said.body[0]["request"]["id"], json!(message.id));
    assert_eq!(said.notices, [notice]);

    // Without any there is no answer.
    *faults.unreadable.lock().unwrap() = Some(celery);
    let cancelled = Command::CancelConsumer {
        queue: "geo".parse().unwrap(),
    };
    reply(&bench, cancelled).await;
    let said = reply(&bench, Command::Revoked).await;
    assert_eq!(said.body, json!({"error": "a string, not a list"}));
    assert!(said.notices.is_empty());
}

#[tokio::test]
async fn of_more_than_an_answer_can_take_the_longest_are_told() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).concurrency(1_001)
    });
    let mut ids = Vec::new();
    for _ in 0..1_001 {
        ids.push(bench.send(Message::new("held")).await);
    }
    gate.runs(1_001).await;
    let said = reply(&bench, Command::Active).await;
    assert_eq!(said.body.as_array().unwrap().len(), 1_000);
    let notice = "1001 tasks run: told are the 1000 that run longest";
    assert_eq!(said.notices, [notice]);
    let said = reply(&bench, Command::QueryTask { ids }).await;
    assert_eq!(said.body.as_object().unwrap().len(), 1_000);
    let notice = "1001 of them run: told are the 1000 that run longest";
    assert_eq!(said.notices, [notice]);
    gate.let_go(1_001);
    gate.runs(0).await;
}
