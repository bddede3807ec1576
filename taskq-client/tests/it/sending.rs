//! What arrives of what is sent.

use std::time::Duration;

use serde_json::json;
use taskq_client::{Client, ErrorKind, OnCrash, SendOptions, Signature, State, TaskId};
use taskq_core::broker::Inspect;
use taskq_core::clock::now_ms;

use crate::stage::{LONG, Stage};

#[tokio::test]
async fn a_call_by_name_arrives_with_its_arguments_and_options() {
    let (stage, client) = Stage::new();
    let id = TaskId::random();
    let later = now_ms() + 60_000;
    let options = SendOptions::default()
        .queue("geo")
        .id(id)
        .header("tenant", "acme")
        .ignore_result(false)
        .track_started(true)
        .expires_at(later)
        .max_crashes(2)
        .on_crash(OnCrash::Dead)
        .time_limit(Duration::from_secs(30))
        .soft_time_limit(Duration::from_secs(20))
        .priority(5);
    let handle = client
        .send_by_name(
            "geo.distance",
            ("Bogotá", 9_007_199_254_740_993_i64),
            json!({"unit": "km"}),
            options,
        )
        .await
        .unwrap();
    assert_eq!((handle.id(), handle.queue().unwrap().as_str()), (id, "geo"));
    let (_, _, message) = stage.claim("geo").await;
    assert_eq!((message.id, message.task.as_str()), (id, "geo.distance"));
    assert_eq!(
        message.args.unwrap().get(),
        r#"["Bogotá",9007199254740993]"#
    );
    assert_eq!(message.kwargs.unwrap().get(), r#"{"unit":"km"}"#);
    assert_eq!(message.headers["tenant"], "acme");
    assert!(message.track_started);
    assert_eq!(
        (message.expires, message.max_crashes, message.on_crash),
        (Some(later), Some(2), OnCrash::Dead)
    );
    assert_eq!(
        (
            message.time_limit,
            message.soft_time_limit,
            message.priority
        ),
        (Some(30_000), Some(20_000), 5)
    );
}

#[tokio::test]
async fn what_serializes_to_null_stands_for_no_arguments() {
    let (stage, client) = Stage::new();
    client
        .send_by_name("t", (), None::<()>, SendOptions::default())
        .await
        .unwrap();
    let (_, _, message) = stage.claim("celery").await;
    assert!(message.args.is_none() && message.kwargs.is_none());
}

#[tokio::test]
async fn a_call_for_later_is_scheduled() {
    let (_, client) = Stage::new();
    let options = SendOptions::default().countdown(Duration::from_secs(60));
    let handle = client.send_by_name("t", (), (), options).await.unwrap();
    assert_eq!(handle.state().await.unwrap(), Some(State::Scheduled));
}

#[tokio::test]
async fn what_can_not_be_sent_is_refused_with_its_reason() {
    let (_, client) = Stage::new();
    let both = SendOptions::default()
        .countdown(Duration::from_secs(1))
        .eta(1);
    let twice = SendOptions::default()
        .expires(Duration::from_secs(1))
        .expires_at(1);
    for (args, options, word) in [
        (json!(7), SendOptions::default(), "array"),
        (
            json!([]),
            SendOptions::default().queue("no spaces"),
            "no spaces",
        ),
        (json!([]), both, "exclude each other"),
        (json!([]), twice, "exclude each other"),
        (
            json!([]),
            SendOptions::default().expires(Duration::ZERO),
            "never run",
        ),
    ] {
        let error = client
            .send_by_name("t", args, (), options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn many_calls_are_answered_one_by_one() {
    let (_, client) = Stage::new();
    let good = Signature::<i64>::by_name("t").args(&[1]);
    let huge = Signature::<i64>::by_name("t").args(&["x".repeat(1 << 20)]);
    let id = good.task_id();
    let answers = client.send_many(vec![huge, good]).await;
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(answers[1].as_ref().unwrap().id(), id);
}

#[tokio::test]
async fn an_address_that_is_none_is_refused() {
    let error = Client::connect("nonsense").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_key_that_is_held_gives_the_handle_of_the_call_that_holds_it() {
    let (stage, client) = Stage::new();
    let hour = Duration::from_secs(3_600);
    let call = |key: &str| {
        let options = SendOptions::default().queue("q").idempotency_key(key, hour);
        client.send_by_name("t", (), (), options)
    };
    let first = call("order-1").await.unwrap();
    let again = call("order-1").await.unwrap();
    let other = call("order-2").await.unwrap();
    assert_eq!(again.id(), first.id());
    assert_ne!(other.id(), first.id());
    // The same key in another queue is another key.
    let elsewhere = Signature::<serde_json::Value>::by_name("t")
        .queue("elsewhere")
        .idempotency_key("order-1", hour);
    let own = elsewhere.task_id();
    assert_eq!(client.send(elsewhere).await.unwrap().id(), own);

    stage.end_next("q", State::Success, "1").await;
    assert_eq!(again.wait(LONG).await.unwrap(), json!(1));
    // Over or not, the key is held for its time, and of two sends together one is put in.
    assert_eq!(call("order-1").await.unwrap().id(), first.id());
    let twins = (0..2).map(|_| {
        Signature::<()>::by_name("t")
            .queue("q")
            .idempotency_key("order-3", hour)
    });
    let twins = client.send_many(twins.collect()).await;
    assert_eq!(
        twins[0].as_ref().unwrap().id(),
        twins[1].as_ref().unwrap().id()
    );
    let depth = stage.depth(&"q".parse().unwrap()).await.unwrap();
    assert_eq!(depth.waiting, 2, "order-2 and one order-3");

    stage.memory.advance(hour);
    assert_ne!(call("order-1").await.unwrap().id(), first.id());
}

#[tokio::test]
async fn a_key_out_of_bounds_is_refused_by_name_too() {
    let (_, client) = Stage::new();
    let options = SendOptions::default().idempotency_key("", Duration::from_secs(60));
    let error = client.send_by_name("t", (), (), options).await.unwrap_err();
    assert!(error.to_string().contains("1 to 256"), "{error}");
}
