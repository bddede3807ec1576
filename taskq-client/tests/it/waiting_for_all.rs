//! Waits for many calls together.

use std::sync::atomic::Ordering;
use std::time::Duration;

use taskq_client::{Client, ErrorKind, Signature, State, TaskHandle, TaskId, WaitError};

use crate::stage::{LONG, Stage};

const SHORT: Duration = Duration::from_millis(30);

async fn send(client: &Client, queues: &[&str]) -> Vec<TaskHandle<i64>> {
    let calls = queues
        .iter()
        .map(|queue| Signature::by_name("t").queue(queue));
    let sent = client.send_many(calls.collect()).await;
    sent.into_iter().collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn results_come_in_the_order_asked_whatever_the_order_of_the_ends() {
    let (stage, client) = Stage::new();
    let handles = send(&client, &["a", "b", "a", "c"]).await;
    let ids: Vec<TaskId> = handles.iter().map(TaskHandle::id).collect();
    let waiting = tokio::spawn({
        let (client, handles) = (client.clone(), handles.clone());
        async move { client.wait_all(handles, LONG).await }
    });
    for (queue, result) in [("c", "4"), ("b", "2"), ("a", "1"), ("a", "3")] {
        stage.end_next(queue, State::Success, result).await;
    }
    let results: Vec<Result<i64, WaitError>> = waiting.await.unwrap();
    let results: Vec<i64> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(results, [1, 2, 3, 4]);
    // By bare ids as well, backwards, and one of them twice.
    let asked = [ids[3], ids[0], ids[3], ids[1]];
    let results: Vec<Result<i64, WaitError>> = client.wait_all(asked, LONG).await;
    let results: Vec<i64> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(results, [4, 1, 4, 2]);
    assert_eq!(stage.watching.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn each_is_answered_for_itself() {
    let (stage, client) = Stage::new();
    let handles = send(&client, &["good", "bad", "text", "open"]).await;
    let quiet = Signature::<i64>::by_name("t").ignore_result(true);
    let quiet = client.send(quiet).await.unwrap();
    stage.end_next("good", State::Success, "7").await;
    stage.end_next("bad", State::Failure, "no such city").await;
    stage.end_next("text", State::Success, "\"x\"").await;
    let unknown = client.handle::<i64>(TaskId::random());
    let asked = handles.iter().chain([&quiet, &unknown]);
    let ends: Vec<Result<i64, _>> = client.wait_all(asked.clone(), SHORT).await;
    let [good, bad, text, open, quiet_end, unknown_end] = ends.try_into().unwrap();
    assert_eq!(good.unwrap(), 7);
    assert!(matches!(bad, Err(WaitError::Failed { .. })), "{bad:?}");
    assert!(matches!(text, Err(WaitError::BadResult { .. })), "{text:?}");
    assert!(
        matches!(open, Err(WaitError::TimedOut { id, after, last: Some(State::Queued) })
            if id == handles[3].id() && after == SHORT),
        "{open:?}"
    );
    assert!(
        matches!(quiet_end, Err(WaitError::ResultsDisabled { id }) if id == quiet.id()),
        "{quiet_end:?}"
    );
    assert!(
        matches!(unknown_end, Err(WaitError::TimedOut { last: None, .. })),
        "{unknown_end:?}"
    );
    let records = client.wait_all_records(asked, SHORT).await;
    let states: Vec<_> = records.iter().flatten().map(|r| r.state).collect();
    assert_eq!(states, [State::Success, State::Failure, State::Success]);
}

#[tokio::test]
async fn nothing_to_wait_for_asks_nobody() {
    let (stage, client) = Stage::new();
    let none: [TaskId; 0] = [];
    assert!(client.wait_all::<i64, _>(none, LONG).await.is_empty());
    assert!(stage.watches.lock().unwrap().is_empty());
}

#[tokio::test]
async fn more_than_one_watch_can_carry_are_waited_for_in_parts() {
    let (stage, client) = Stage::new();
    let first = send(&client, &["q"]).await;
    stage.end_next("q", State::Success, "1").await;
    let unknown = (0..10_001).map(|_| TaskId::random());
    let asked: Vec<TaskId> = unknown.chain([first[0].id()]).collect();
    let ends: Vec<Result<i64, _>> = client.wait_all(&asked, SHORT).await;
    assert_eq!(ends.len(), 10_002);
    assert_eq!(*ends[10_001].as_ref().unwrap(), 1);
    assert!(matches!(ends[0], Err(WaitError::TimedOut { .. })));
    assert_eq!(*stage.watches.lock().unwrap(), [10_000, 2]);
}

#[tokio::test]
async fn a_watch_that_breaks_is_begun_again_for_what_is_open() {
    let (stage, client) = Stage::new();
    let handles = send(&client, &["a", "b"]).await;
    stage.end_next("a", State::Success, "1").await;
    let waiting = tokio::spawn({
        let (client, handles) = (client.clone(), handles.clone());
        async move { client.wait_all::<i64, _>(handles, LONG).await }
    });
    while stage.answered.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // The answer about b is lost, and so is the first attempt to ask again.
    stage.failing.store(2, Ordering::SeqCst);
    stage.end_next("b", State::Success, "2").await;
    let ends = waiting.await.unwrap();
    assert_eq!(*ends[0].as_ref().unwrap(), 1);
    assert_eq!(*ends[1].as_ref().unwrap(), 2);
    assert_eq!(*stage.watches.lock().unwrap(), [2, 1]);
}

#[tokio::test]
async fn trouble_at_the_end_is_told_for_what_is_open() {
    let (stage, client) = Stage::new();
    let handles = send(&client, &["a", "b"]).await;
    stage.failing.store(usize::MAX, Ordering::SeqCst);
    for end in client.wait_all::<i64, _>(&handles, SHORT).await {
        let error = end.unwrap_err();
        assert!(
            matches!(&error, WaitError::Broker(e) if e.kind() == ErrorKind::Unreachable),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_wait_that_is_dropped_leaves_nothing_behind() {
    let (stage, client) = Stage::new();
    let handles = send(&client, &["a", "b"]).await;
    let one = tokio::spawn({
        let handle = handles[0].clone();
        async move { handle.wait(LONG).await }
    });
    let all = tokio::spawn({
        let (client, handles) = (client.clone(), handles.clone());
        async move { client.wait_all::<i64, _>(handles, LONG).await }
    });
    while stage.watching.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    one.abort();
    all.abort();
    assert!(one.await.unwrap_err().is_cancelled());
    assert!(all.await.unwrap_err().is_cancelled());
    assert_eq!(stage.watching.load(Ordering::SeqCst), 0);
}
