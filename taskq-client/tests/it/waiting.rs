//! How waits end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use taskq_client::{Client, Signature, State, TaskHandle, TaskId, WaitError};

use crate::stage::{LONG, Stage};

const SHORT: Duration = Duration::from_millis(30);

async fn send(client: &Client) -> TaskHandle<i64> {
    client
        .send(Signature::<i64>::by_name("t").queue("q"))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_wait_gives_the_result_once_it_is_there() {
    let (stage, client) = Stage::new();
    let handle = send(&client).await;
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.wait(LONG).await }
    });
    stage
        .end_next("q", State::Success, "9007199254740993")
        .await;
    assert_eq!(waiting.await.unwrap().unwrap(), 9_007_199_254_740_993);
    assert_eq!(handle.state().await.unwrap(), Some(State::Success));
}

#[tokio::test]
async fn each_sad_end_has_its_error() {
    let (stage, client) = Stage::new();
    for state in [State::Failure, State::Dead, State::Revoked] {
        let handle = send(&client).await;
        stage.end_next("q", state, "no such city").await;
        match (state, handle.wait(LONG).await.unwrap_err()) {
            (
                State::Failure,
                WaitError::Failed {
                    id,
                    task,
                    error,
                    attempts,
                },
            ) => {
                assert_eq!((id, task.as_str(), attempts), (handle.id(), "t", 4));
                assert_eq!(
                    (error.kind.as_str(), error.message.as_str()),
                    ("Oops", "no such city")
                );
            }
            (State::Dead, WaitError::Dead { error, .. }) => {
                assert_eq!(error.message, "no such city")
            }
            (State::Revoked, WaitError::Revoked { .. }) => {}
            (_, other) => panic!("{state} became {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_result_of_another_type_says_what_was_expected() {
    let (stage, client) = Stage::new();
    let handle = send(&client).await;
    stage.end_next("q", State::Success, "\"five\"").await;
    let error = handle.wait(LONG).await.unwrap_err();
    assert!(
        matches!(
            &error,
            WaitError::BadResult {
                expected: "i64",
                ..
            }
        ),
        "{error:?}"
    );
    // Who reads it as what it is gets it.
    assert_eq!(
        client
            .handle::<String>(handle.id())
            .wait(LONG)
            .await
            .unwrap(),
        "five"
    );
}

#[tokio::test]
async fn a_wait_that_is_over_says_where_the_task_stood() {
    let (_, client) = Stage::new();
    let error = send(&client).await.wait(SHORT).await.unwrap_err();
    assert!(
        matches!(
            error,
            WaitError::TimedOut {
                last: Some(State::Queued),
                ..
            }
        ),
        "{error:?}"
    );
    let error = client
        .handle::<i64>(TaskId::random())
        .wait(SHORT)
        .await
        .unwrap_err();
    assert!(
        matches!(error, WaitError::TimedOut { last: None, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("unknown or expired"), "{error}");
}

#[tokio::test]
async fn a_call_that_another_program_pushed_is_waited_for_before_it_has_a_record() {
    let (stage, client) = Stage::new();
    let id = TaskId::random();
    let handle = client.handle::<i64>(id);
    assert_eq!(handle.state().await.unwrap(), None);
    let waiting = tokio::spawn(async move { handle.wait(LONG).await });
    let queue = "q".parse().unwrap();
    stage
        .memory
        .push_raw(&queue, 0, format!(r#"{{"id":"{id}","task":"t"}}"#))
        .unwrap();
    stage.end_next("q", State::Success, "5").await;
    assert_eq!(waiting.await.unwrap().unwrap(), 5);
}

#[tokio::test]
async fn what_keeps_no_result_is_not_waited_for() {
    let (_, client) = Stage::new();
    let call = Signature::<Value>::by_name("t").ignore_result(true);
    let handle = client.send(call).await.unwrap();
    let error = handle.wait(LONG).await.unwrap_err();
    assert!(
        matches!(error, WaitError::ResultsDisabled { id } if id == handle.id()),
        "{error:?}"
    );
    assert!(handle.record().await.unwrap().is_none());
}

#[tokio::test]
async fn a_broker_in_trouble_does_not_end_a_wait_but_is_told_at_its_end() {
    let (stage, client) = Stage::new();
    let handle = send(&client).await;
    stage.end_next("q", State::Success, "5").await;
    stage.failing.store(3, Ordering::SeqCst);
    assert_eq!(handle.wait(LONG).await.unwrap(), 5);
    stage.failing.store(usize::MAX, Ordering::SeqCst);
    let error = handle.wait(SHORT).await.unwrap_err();
    assert!(
        matches!(&error, WaitError::Broker(e) if e.to_string().contains("dark")),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_expires_while_it_is_waited_for_ends_the_wait() {
    let (stage, client) = Stage::new();
    let call = Signature::<i64>::by_name("t").expires(Duration::from_secs(60));
    let handle = client.send(call).await.unwrap();
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.wait(LONG).await }
    });
    while stage.watching.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    stage.memory.advance(Duration::from_secs(120));
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, WaitError::Revoked { .. }), "{error:?}");
    assert_eq!(stage.watching.load(Ordering::SeqCst), 0);
}
