//! What a running task knows and can do.

use serde_json::json;
use taskq_worker::task::{Running, TaskDef};
use taskq_worker::{Failure, Message, Outcome, Signature, State};

use crate::bench::{Bench, error_of, json};

struct Greeting(&'static str);

static TELL: TaskDef = TaskDef::new("tell", &[], |context, _| {
    Ok(Running::Async(Box::pin(async move {
        let greeting = context.state::<Greeting>().map(|g| g.0);
        Outcome::Done(json(json!({
            "id": context.id().to_string(),
            "attempt": context.attempt(),
            "crashes": context.crashes(),
            "queue": context.queue(),
            "worker": context.worker(),
            "tenant": context.headers().get("tenant"),
            "state": greeting.unwrap_or("none"),
            "cancelled": context.cancellation().is_cancelled(),
        })))
    })))
});

static MISSES: TaskDef = TaskDef::new("misses", &[], |context, _| {
    Ok(Running::Async(Box::pin(async move {
        match context.state::<String>() {
            Ok(_) => Outcome::Done(json(json!(null))),
            Err(e) => Outcome::Failed(Failure::new("Missing", e.to_string())),
        }
    })))
});

static SENDS: TaskDef = TaskDef::new("sends", &[], |context, _| {
    Ok(Running::Async(Box::pin(async move {
        match context
            .send(Signature::<()>::by_name("tell").queue("celery"))
            .await
        {
            Ok(id) => Outcome::Done(json(json!(id))),
            Err(e) => Outcome::Failed(Failure::new("Send", e.to_string())),
        }
    })))
});

#[tokio::test]
async fn a_task_learns_about_its_call() {
    let bench = Bench::with(Default::default(), &[&TELL], |b| {
        b.state(Greeting("hola")).node("w7@test")
    });
    let mut message = Message::new("tell");
    message.headers.insert("tenant".into(), "acme".into());
    message.retries = 2;
    let id = bench.send(message).await;
    let record = bench.end_of(id).await;
    let told: serde_json::Value = serde_json::from_str(record.result.unwrap().get()).unwrap();
    let known = json!({
        "id": id.to_string(), "attempt": 3, "crashes": 0, "queue": "celery", "worker": "w7@test",
        "tenant": "acme", "state": "hola", "cancelled": false,
    });
    assert_eq!(told, known);
}

#[tokio::test]
async fn a_shared_value_that_is_missing_is_an_error_with_its_remedy() {
    let bench = Bench::start(&[&MISSES]);
    let record = bench.end_of(bench.send(Message::new("misses")).await).await;
    assert!(error_of(&record).contains("Worker::builder().state(…)"));
}

#[tokio::test]
async fn a_task_sends_another() {
    let bench = Bench::start(&[&SENDS, &TELL]);
    let record = bench.end_of(bench.send(Message::new("sends")).await).await;
    assert_eq!(record.state, State::Success, "{:?}", record.error);
    let id: String = serde_json::from_str(record.result.unwrap().get()).unwrap();
    let record = bench.end_of(id.parse().unwrap()).await;
    assert_eq!((record.state, &*record.task), (State::Success, "tell"));
}
