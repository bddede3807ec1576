//! Revoking, with workers that say what they run.

use std::time::Duration;

use serde_json::json;
use taskq_client::{
    ErrorKind, QueueName, Revocation, RevokeOptions, SendOptions, State, TaskId, WaitError,
};
use taskq_core::Message;
use taskq_core::broker::{Control, Inspect};

use crate::stage::{LONG, Stage};

const SHORT: Duration = Duration::from_millis(30);

fn in_queue(queue: &str) -> SendOptions {
    SendOptions::default().queue(queue)
}

#[tokio::test]
async fn a_call_that_waits_reads_revoked_at_once_and_who_waits_is_told() {
    let (stage, client) = Stage::new();
    let handle = client.send_by_name("t", (), (), in_queue("a")).await;
    let handle = handle.unwrap();
    client
        .send_by_name("t", (), (), in_queue("b"))
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.wait(LONG).await }
    });
    let what = [Revocation::Id(handle.id())];
    let revoked = client
        .revoke(&what, RevokeOptions::default())
        .await
        .unwrap();
    assert_eq!(revoked.marked, [handle.id()]);
    // It lies in the one; nothing is kept at the other.
    assert_eq!(revoked.queues, [QueueName::new("a").unwrap()]);
    let ended = waiting.await.unwrap();
    assert!(matches!(ended, Err(WaitError::Revoked { .. })), "{ended:?}");
    let (.., delivery, message) = stage.claim("a").await;
    assert!(delivery.revoked.covers(&message));
}

#[tokio::test]
async fn an_id_without_a_record_is_revoked_wherever_it_may_lie() {
    let (stage, client) = Stage::new();
    for queue in ["a", "b"] {
        client
            .send_by_name("t", (), (), in_queue(queue))
            .await
            .unwrap();
    }
    let id = TaskId::random();
    let what = [Revocation::Id(id)];
    let revoked = client
        .revoke(&what, RevokeOptions::default())
        .await
        .unwrap();
    assert_eq!(revoked.queues.len(), 2);
    assert!(revoked.marked.is_empty());
    let mut foreign = Message::new("t");
    foreign.id = id;
    let b = QueueName::new("b").unwrap();
    stage
        .memory
        .push_raw(&b, 9, foreign.encode().unwrap())
        .unwrap();
    let (.., delivery, message) = stage.claim("b").await;
    assert!(delivery.revoked.covers(&message) && message.id == id);
}

#[tokio::test]
async fn what_runs_is_named_and_not_marked() {
    let (stage, client) = Stage::new();
    let mut sent = Vec::new();
    for _ in 0..3 {
        let handle = client.send_by_name("t", (), (), SendOptions::default());
        sent.push(handle.await.unwrap());
    }
    let ids: Vec<TaskId> = sent.iter().map(|h| h.id()).collect();
    let (runs, cut) = (ids[0].to_string(), ids[1].to_string());
    let says = json!({"ok": "done", "running": [runs], "terminated": [cut]});
    stage.worker_saying("w1@bar", Some(says)).await;
    let what: Vec<_> = ids.iter().copied().map(Revocation::Id).collect();
    let options = RevokeOptions {
        terminate: true,
        timeout: LONG,
        ..RevokeOptions::default()
    };
    let revoked = client.revoke(&what, options).await.unwrap();
    assert_eq!(revoked.running, ids[..1]);
    assert_eq!(revoked.terminated, ids[1..2]);
    assert_eq!(revoked.marked, ids[2..]);
    assert!(revoked.answers.replies.contains_key("w1@bar"));
    assert_eq!(sent[0].state().await.unwrap(), Some(State::Queued));
}

#[tokio::test]
async fn nothing_is_marked_while_a_worker_of_its_queue_may_run_it() {
    let (stage, client) = Stage::new();
    let here = client.send_by_name("t", (), (), SendOptions::default());
    let here = here.await.unwrap();
    let there = client.send_by_name("t", (), (), in_queue("other"));
    let there = there.await.unwrap();
    // It listens at the default queue.
    stage.worker("mute@bar", false).await;
    let what = [Revocation::Id(here.id()), Revocation::Id(there.id())];
    let options = RevokeOptions {
        timeout: SHORT,
        ..RevokeOptions::default()
    };
    let revoked = client.revoke(&what, options).await.unwrap();
    assert_eq!(revoked.answers.silent, ["mute@bar"]);
    assert_eq!(revoked.marked, [there.id()]);
    assert_eq!(here.state().await.unwrap(), Some(State::Queued));
    let (.., delivery, message) = stage.claim("celery").await;
    assert!(
        delivery.revoked.covers(&message),
        "it will not run all the same"
    );
}

#[tokio::test]
async fn what_has_ended_is_told_with_its_state() {
    let (_, client) = Stage::new();
    let handle = client.send_by_name("t", (), (), in_queue("q"));
    let handle = handle.await.unwrap();
    client.purge(handle.queue().unwrap()).await.unwrap();
    let what = [Revocation::Id(handle.id())];
    let revoked = client
        .revoke(&what, RevokeOptions::default())
        .await
        .unwrap();
    assert_eq!(revoked.over.get(&handle.id()), Some(&State::Revoked));
    assert!(revoked.marked.is_empty());
}

#[tokio::test]
async fn a_task_is_revoked_at_every_queue_or_at_the_one_that_is_named() {
    let (stage, client) = Stage::new();
    for queue in ["a", "b"] {
        client
            .send_by_name("t", (), (), in_queue(queue))
            .await
            .unwrap();
    }
    let what = [Revocation::Task("t".into())];
    let named = RevokeOptions {
        queue: Some(QueueName::new("a").unwrap()),
        ..RevokeOptions::default()
    };
    let revoked = client.revoke(&what, named).await.unwrap();
    assert_eq!(revoked.queues, [QueueName::new("a").unwrap()]);
    let b = QueueName::new("b").unwrap();
    assert!(stage.revoked(&b).await.unwrap().is_empty());
    let revoked = client
        .revoke(&what, RevokeOptions::default())
        .await
        .unwrap();
    assert_eq!(revoked.queues.len(), 2);
    assert!(!stage.revoked(&b).await.unwrap().is_empty());
}

#[tokio::test]
async fn with_no_queue_there_is_nothing_to_revoke() {
    let (_, client) = Stage::new();
    let what = [Revocation::Id(TaskId::random())];
    let refused = client.revoke(&what, RevokeOptions::default()).await;
    assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Invalid));
    let (stage, client) = Stage::new();
    let long = [Revocation::Task("x".repeat(257))];
    let refused = client.revoke(&long, RevokeOptions::default()).await;
    assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Invalid));
    drop(stage.listen().await);
}
