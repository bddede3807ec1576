//! What can not run goes to the dead set, with a reason that a person can act on.

use serde_json::json;
use taskq_worker::broker::Inspect;
use taskq_worker::task::{Param, Running, TaskDef};
use taskq_worker::{Message, Outcome, State, clock};

use crate::bench::{Bench, celery, error_of, json, until};

const ONE: &[Param] = &[Param {
    name: "n",
    kind: "integer",
    required: true,
}];

static DOUBLE: TaskDef = TaskDef::new("double", ONE, |_, arguments| {
    let n: i64 = arguments.bind(ONE)?.get(0)?;
    Ok(Running::Async(Box::pin(async move {
        Outcome::Done(json(json!(2 * n)))
    })))
});

fn double(n: serde_json::Value) -> Message {
    let mut message = Message::new("double");
    message.args = Some(json(json!([n])));
    message
}

#[tokio::test]
async fn an_unknown_task_is_dead_and_the_reason_names_those_on_offer() {
    let bench = Bench::start(&[&DOUBLE]);
    let record = bench.end_of(bench.send(Message::new("triple")).await).await;
    assert_eq!((record.state, record.attempts), (State::Dead, 0));
    assert_eq!(record.started, None);
    let reason = "unknown task `triple`; this worker offers double";
    assert_eq!(error_of(&record), format!("UnknownTask: {reason}"));
    assert_eq!(
        bench.broker.dead(&celery(), 0, 1).await.unwrap()[0].reason,
        reason
    );
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_dead_and_the_parameter_is_named() {
    let bench = Bench::start(&[&DOUBLE]);
    let wrong_type = double(json!("two"));
    let missing = Message::new("double");
    for (message, reason) in [
        (wrong_type, "BadSignature: the argument `n` (integer)"),
        (missing, "BadSignature: the argument `n` is missing"),
    ] {
        let record = bench.end_of(bench.send(message).await).await;
        assert_eq!((record.state, record.attempts), (State::Dead, 0));
        let error = error_of(&record);
        assert!(error.starts_with(reason), "{error}");
    }
}

#[tokio::test]
async fn what_can_not_be_read_is_dead_and_stops_nothing() {
    let mut bench = Bench::start(&[&DOUBLE]);
    let named = r#"{"id":"0198c0de-0000-7000-8000-000000000002","task":"double","priority":12}"#;
    for body in ["not json", "[]", "\u{0}\u{1}", "", named] {
        bench.broker.push_raw(&celery(), 0, body).unwrap();
    }
    bench
        .broker
        .push_raw(&celery(), 0, vec![0xff, 0xfe])
        .unwrap();
    until(async || (bench.broker.depth(&celery()).await.unwrap().dead == 6).then_some(())).await;
    // The id could be read: who asks for it gets the reason.
    let id = "0198c0de-0000-7000-8000-000000000002".parse().unwrap();
    let record = bench.end_of(id).await;
    assert_eq!((record.state, &*record.task), (State::Dead, "double"));
    assert!(error_of(&record).starts_with("Undecodable: the message can not be read: `priority`"));

    let record = bench.end_of(bench.send(double(json!(4))).await).await;
    assert_eq!(record.result.unwrap().get(), "8");
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_message_pushed_before_its_time_waits() {
    let bench = Bench::start(&[&DOUBLE]);
    let mut message = double(json!(4));
    message.eta = Some(clock::now_ms() + 3_600_000);
    let id = bench.send(message).await;
    let record = bench.record_when(id, |r| r.state == State::Scheduled).await;
    assert_eq!((record.attempts, record.started), (0, None));
    assert_eq!(bench.broker.depth(&celery()).await.unwrap().delayed, 1);

    let mut message = double(json!(4));
    message.eta = Some(clock::now_ms() - 1);
    let record = bench.end_of(bench.send(message).await).await;
    assert_eq!(record.state, State::Success);
}

#[tokio::test]
async fn a_message_that_grows_past_the_limit_by_its_retry_is_dead() {
    static FAILS: TaskDef = TaskDef::new("fails", ONE, |_, _| {
        Ok(Running::Async(Box::pin(async {
            Outcome::Retry {
                after: None,
                error: taskq_worker::Failure::new("Flop", "once"),
            }
        })))
    });
    let bench = Bench::start(&[&FAILS]);
    let mut message = Message::new("fails");
    let spare = taskq_worker::message::MAX_BYTES - message.encode().unwrap().len();
    message.args = Some(json(json!(["x".repeat(spare - r#","args":[""]"#.len())])));
    assert_eq!(
        message.encode().unwrap().len(),
        taskq_worker::message::MAX_BYTES
    );
    let record = bench.end_of(bench.send(message).await).await;
    assert_eq!(record.state, State::Dead);
    assert!(error_of(&record).starts_with("MessageTooLarge: it can not be retried"));
}
