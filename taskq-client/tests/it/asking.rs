//! Questions to workers.

use std::time::Duration;

use serde_json::json;
use taskq_client::Command;

use crate::stage::{LONG, Stage};

const SHORT: Duration = Duration::from_millis(30);

#[tokio::test]
async fn it_is_over_as_soon_as_all_live_workers_have_answered() {
    let (stage, client) = Stage::new();
    stage.worker("w1@bar", true).await;
    stage.worker("w2@bar", true).await;
    let answers = client.ask(Command::Ping, &[], LONG).await.unwrap();
    let nodes: Vec<_> = answers.replies.keys().map(String::as_str).collect();
    assert_eq!(nodes, ["w1@bar", "w2@bar"]);
    assert_eq!(answers.replies["w1@bar"], json!({"ok": "pong"}));
    assert!(answers.silent.is_empty());
}

#[tokio::test]
async fn only_the_named_are_asked_and_waited_for() {
    let (stage, client) = Stage::new();
    stage.worker("w1@bar", true).await;
    stage.worker("mute@bar", false).await;
    let answers = client
        .ask(Command::Ping, &["w1@bar".into()], LONG)
        .await
        .unwrap();
    assert_eq!(answers.replies.len(), 1);
    assert!(answers.silent.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_in_time_is_named() {
    let (stage, client) = Stage::new();
    stage.worker("w1@bar", true).await;
    stage.worker("mute@bar", false).await;
    let answers = client
        .ask(Command::Ping, &[], Duration::from_secs(1))
        .await
        .unwrap();
    assert!(answers.replies.contains_key("w1@bar"));
    assert_eq!(answers.silent, ["mute@bar"]);
    let answers = client
        .ask(Command::Ping, &["gone@bar".into()], SHORT)
        .await
        .unwrap();
    assert!(answers.replies.is_empty());
    assert_eq!(answers.silent, ["gone@bar"]);
}

#[tokio::test]
async fn with_no_worker_there_is_nothing_to_wait_for() {
    let (_, client) = Stage::new();
    let answers = client.ask(Command::Active, &[], LONG).await.unwrap();
    assert!(answers.replies.is_empty() && answers.silent.is_empty());
}
