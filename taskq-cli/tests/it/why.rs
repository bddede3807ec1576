//! `taskq why` over a broker: the facts that its answers are made of.

use insta::assert_snapshot;
use serde_json::{Value, json};
use taskq_cli::Exit;
use taskq_core::State;
use taskq_core::broker::Control;
use taskq_core::control::Command;

use crate::stage::{Said, Stage, timeless};

const ID: &str = "0198c0de-0000-7000-8000-000000000000";

async fn sent(options: &[&str]) -> Stage {
    let stage = Stage::new();
    let line = [
        &["call", "geo.distance", "--queue", "geo", "--id", ID],
        options,
    ]
    .concat();
    assert_eq!(stage.run(&line).await.exit, Exit::Done);
    stage
}

async fn why(stage: &Stage) -> Said {
    stage.run(&["why", ID]).await
}

#[tokio::test]
async fn nobody_knows_it() {
    let stage = Stage::new();
    assert_snapshot!(why(&stage).await, @r#"
    exit 1
    --- stdout
    0198c0de-0000-7000-8000-000000000000 is unknown to memory://, or has expired: there is no queue to look in
    --- stderr
    "#);
    stage.run(&["call", "t", "--queue", "geo"]).await;
    assert_snapshot!(why(&stage).await, @r#"
    exit 1
    --- stdout
    0198c0de-0000-7000-8000-000000000000 is unknown to memory://, or has expired: no record, and no message of this id in geo
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["why", ID, "--json", "--queue", "mail"]).await, @r#"
    exit 1
    --- stdout
    {"ahead":null,"answer":"unknown","due":null,"id":"0198c0de-0000-7000-8000-000000000000","queue":null,"state":null,"task":null,"why":["0198c0de-0000-7000-8000-000000000000 is unknown to memory://, or has expired: no record, and no message of this id in mail"]}
    --- stderr
    "#);
    assert_eq!(stage.run(&["why", "7"]).await.exit, Exit::Usage);
}

#[tokio::test]
async fn no_worker_takes_it() {
    let stage = sent(&[]).await;
    assert_snapshot!(why(&stage).await, @r#"
    exit 0
    --- stdout
    no worker listens to the queue geo of memory://: no worker runs there at all
    it is the next to be claimed from the queue geo
    --- stderr
    "#);
    stage.answering("w1@bar", &["mail"], |_| None).await;
    assert_snapshot!(why(&stage).await, @r#"
    exit 0
    --- stdout
    no worker listens to the queue geo of memory://; these live: w1@bar at mail
    it is the next to be claimed from the queue geo
    --- stderr
    "#);
    stage.answering("w2@bar", &["geo"], |_| None).await;
    assert_snapshot!(why(&stage).await, @r#"
    exit 0
    --- stdout
    no live worker at the queue geo of memory:// offers the task geo.distance (no worker has published it within 7 days): w2@bar will end it as DEAD (unknown task)
    it is the next to be claimed from the queue geo
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["why", ID, "--json"]).await, @r#"
    exit 0
    --- stdout
    {"ahead":0,"answer":"no_task","due":null,"id":"0198c0de-0000-7000-8000-000000000000","queue":"geo","state":"QUEUED","task":"geo.distance","why":["no live worker at the queue geo of memory:// offers the task geo.distance (no worker has published it within 7 days): w2@bar will end it as DEAD (unknown task)","it is the next to be claimed from the queue geo"]}
    --- stderr
    "#);
}

#[tokio::test]
async fn its_queue_is_paused() {
    let stage = sent(&[]).await;
    let geo = "geo".parse().unwrap();
    stage
        .0
        .pause(&geo, "ana@bar", "stock taking")
        .await
        .unwrap();
    let said = timeless(&why(&stage).await);
    assert!(
        said.contains("the queue geo was paused by ana@bar") && said.contains("stock taking"),
        "{said}"
    );
}

#[tokio::test]
async fn it_is_not_due() {
    let stage = sent(&["--countdown", "1h"]).await;
    let said = stage.run(&["why", ID, "--json"]).await;
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (said.exit, &answer["answer"]),
        (Exit::Done, &json!("delayed"))
    );
    assert!(answer["due"].is_string(), "{said}");
}

#[tokio::test]
async fn others_are_ahead_of_it_and_a_foreign_message_is_found() {
    let stage = Stage::new();
    let geo = "geo".parse().unwrap();
    for _ in 0..3 {
        stage.run(&["call", "t", "--queue", "geo"]).await;
    }
    let wire = format!(r#"{{"id":"{ID}","task":"geo.distance"}}"#);
    stage.0.push_raw(&geo, 0, wire).unwrap();
    let said = stage.run(&["why", ID, "--json"]).await;
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&answer["ahead"], &answer["queue"]),
        (&json!(3), &json!("geo")),
        "{said}"
    );
    assert_eq!(answer["state"], Value::Null);
}

#[tokio::test]
async fn a_worker_has_it() {
    let stage = sent(&[]).await;
    let _held = stage.claim("geo").await;
    let run = json!({"id": ID, "name": "geo.distance", "args": [], "kwargs": {}, "queue": "geo", "attempt": 2,
        "time_start": 0.0, "runtime_s": 3.04});
    stage
        .answering("w1@bar", &["geo"], move |command| match command {
            Command::QueryTask { ids } => Some(json!({ids[0].to_string(): ["active", run]})),
            _ => None,
        })
        .await;
    stage
        .answering("w2@bar", &["geo"], |_| Some(json!({})))
        .await;
    assert_snapshot!(why(&stage).await, @r#"
    exit 0
    --- stdout
    running on w1@bar for 3.0s, attempt 2
    --- stderr
    "#);
}

#[tokio::test]
async fn the_worker_that_has_it_is_silent() {
    let stage = sent(&[]).await;
    let _held = stage.claim("geo").await;
    stage.answering("mute@bar", &["geo"], |_| None).await;
    assert_snapshot!(why(&stage).await, @r#"
    exit 0
    --- stdout
    claimed from the queue geo; no answer from mute@bar: if it was lost, the message comes back when its lease is over
    --- stderr
    "#);
}

#[tokio::test]
async fn it_is_dead_or_over() {
    let stage = sent(&[]).await;
    stage
        .bury_next("geo", State::Failure, "the bank is away")
        .await;
    let said = timeless(&why(&stage).await);
    assert!(
        said.contains("failed for good") && said.contains("because: the bank is away"),
        "{said}"
    );
    assert!(
        said.contains(&format!("`taskq dead replay {ID}`")),
        "{said}"
    );
    assert_eq!(stage.run(&["dead", "drop", ID]).await.exit, Exit::Done);
    let said = timeless(&why(&stage).await);
    assert!(
        said.contains("it is over: it failed for good") && said.contains("not in the dead set"),
        "{said}"
    );

    let stage = sent(&[]).await;
    stage.end_next("geo", |_| {}).await;
    let said = stage.run(&["why", ID, "--json"]).await;
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&answer["answer"], &answer["state"]),
        (&json!("succeeded"), &json!("SUCCESS"))
    );
}

#[tokio::test]
async fn a_line_that_stands_still_is_told_with_what_workers_say_now() {
    let stage = Stage::new();
    for _ in 0..2 {
        stage.run(&["call", "t", "--queue", "geo"]).await;
    }
    stage
        .run(&["call", "t", "--queue", "geo", "--id", ID])
        .await;
    let stats = json!({
        "total": {}, "processed": 0, "succeeded": 0, "failed": 0, "retried": 0, "revoked": 0, "lost": 0, "pid": 7,
        "uptime": 1, "queues": ["geo"], "prefetch_count": 2,
        "pool": {"max-concurrency": 2, "running": 2, "processes": [7]},
        "broker": {"transport": null, "hostname": null, "port": null, "virtual_host": null},
    });
    // Its card, older than that, says that it runs nothing.
    let answer = move |command| matches!(command, Command::Stats).then(|| stats.clone());
    stage.answering("w1@bar", &["geo"], answer).await;
    let said = why(&stage).await;
    assert!(
        said.out.contains("2 are ahead of it") && said.out.contains("(2 of 2 slots are busy)"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_revoked_is_not_said_to_be_sent_twice() {
    let stage = sent(&[]).await;
    stage.run(&["control", "revoke", ID]).await;
    let said = timeless(&why(&stage).await);
    assert!(
        said.contains("its message still waits in the queue geo: it does not run"),
        "{said}"
    );
}
