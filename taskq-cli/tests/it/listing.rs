//! `taskq list` and `taskq queues`.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use serde_json::Value;
use taskq_cli::Exit;
use taskq_core::OnCrash;
use taskq_core::fleet::{PublishedParam, PublishedTask};

use crate::stage::Stage;

pub(crate) fn task(
    name: &str,
    queue: &str,
    doc: &str,
    params: &[(&str, &str, bool)],
) -> PublishedTask {
    let params = params.iter().map(|(name, kind, required)| PublishedParam {
        name: (*name).into(),
        kind: (*kind).into(),
        required: *required,
    });
    PublishedTask {
        name: name.into(),
        doc: doc.into(),
        params: params.collect(),
        queue: queue.parse().unwrap(),
        max_retries: 3,
        ignore_result: false,
        track_started: false,
        expires_ms: None,
        max_crashes: None,
        on_crash: OnCrash::Requeue,
        soft_time_limit_ms: None,
        time_limit_ms: None,
        priority: 0,
        seen: 0,
        live: false,
    }
}

#[tokio::test]
async fn tasks_are_listed_with_what_they_take_and_whether_a_worker_offers_them() {
    let stage = Stage::new();
    let long = "Checks the stock of one product or of all, and tells what does not add up.\nOver several lines.";
    let check = [("sku", "string", false)];
    stage
        .publish(&[task("stock.check", "geo", long, &check)], false)
        .await;
    let add = [("a", "integer", true), ("b", "integer", true)];
    stage
        .publish(&[task("math.add", "celery", "", &add)], true)
        .await;
    assert_snapshot!(stage.run(&["list"]).await, @r#"
    exit 0
    --- stdout
    TASK         QUEUE   PARAMETERS              LIVE  DESCRIPTION
    math.add     celery  a: integer, b: integer  yes
    stock.check  geo     sku?: string            no    Checks the stock of one product or of all, and tells what does not add up.
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["list", "--json"]).await, @r#"
    exit 0
    --- stdout
    [{"name":"math.add","queue":"celery","params":[{"name":"a","type":"integer","required":true},{"name":"b","type":"integer","required":true}],"live":true,"max_retries":3,"ignore_result":false,"doc":""},{"name":"stock.check","queue":"geo","params":[{"name":"sku","type":"string","required":false}],"live":false,"max_retries":3,"ignore_result":false,"doc":"Checks the stock of one product or of all, and tells what does not add up.\nOver several lines."}]
    --- stderr
    "#);
}

#[tokio::test]
async fn nothing_published_is_an_empty_list() {
    let stage = Stage::new();
    assert_snapshot!(stage.run(&["-b", "memory://", "list"]).await, @r#"
    exit 0
    --- stdout
    --- stderr
    taskq: no worker has published a task at memory://
    "#);
    assert_snapshot!(stage.run(&["-b", "memory://", "list", "--json"]).await, @r#"
    exit 0
    --- stdout
    []
    --- stderr
    taskq: no worker has published a task at memory://
    "#);
}

#[tokio::test]
async fn queues_are_listed_with_what_lies_in_them_and_who_takes_from_them() {
    let stage = Stage::new();
    for line in [
        &["call", "t", "--queue", "geo", "--countdown", "1h"][..],
        &["call", "t", "--queue", "geo", "--countdown", "2h"],
        &["call", "t"],
    ] {
        assert_eq!(stage.run(line).await.exit, Exit::Done);
    }
    let _held = stage.claim("celery").await;
    for node in ["w1@bar", "w2@bar"] {
        stage.answering(node, &["geo", "idle"], |_| None).await;
    }
    assert_snapshot!(stage.run(&["queues"]).await, @r#"
    exit 0
    --- stdout
    QUEUE   WAITING  DELAYED  IN FLIGHT  DEAD  OLDEST  PAUSED  WORKERS
    celery  0        0        1          0     -       no      0
    geo     0        2        0          0     -       no      2
    idle    0        0        0          0     -       no      2
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["queues", "--json"]).await, @r#"
    exit 0
    --- stdout
    {"celery":{"waiting":0,"delayed":0,"in_flight":1,"dead":0,"oldest_ms":null,"paused":false,"workers":0},"geo":{"waiting":0,"delayed":2,"in_flight":0,"dead":0,"oldest_ms":null,"paused":false,"workers":2},"idle":{"waiting":0,"delayed":0,"in_flight":0,"dead":0,"oldest_ms":null,"paused":false,"workers":2}}
    --- stderr
    "#);
}

#[tokio::test]
async fn no_queues_is_an_empty_object() {
    let stage = Stage::new();
    assert_snapshot!(stage.run(&["-b", "memory://", "queues"]).await, @r#"
    exit 0
    --- stdout
    --- stderr
    taskq: there is no queue at memory://: nobody has sent to one or listened at one
    "#);
    assert_snapshot!(stage.run(&["-b", "memory://", "queues", "--json"]).await, @r#"
    exit 0
    --- stdout
    {}
    --- stderr
    taskq: there is no queue at memory://: nobody has sent to one or listened at one
    "#);
}

#[tokio::test]
async fn more_queues_than_are_read_at_a_time_are_all_listed() {
    let stage = Stage::new();
    let nodes: Vec<String> = (0..150).map(|n| format!("q{n:03}")).collect();
    let names: Vec<&str> = nodes.iter().map(String::as_str).collect();
    stage.answering("w1@bar", &names, |_| None).await;
    let said = stage.run(&["queues", "--json"]).await;
    let queues: BTreeMap<String, Value> = serde_json::from_str(&said.out).unwrap();
    assert!(queues.keys().eq(&nodes), "{said}");
}
