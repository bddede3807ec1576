//! `taskq inspect`.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::{Value, json};
use taskq_cli::Exit;

use crate::stage::Stage;

fn running() -> Value {
    json!([
        {
            "id": "0198c0de-0000-7000-8000-000000000001", "name": "logistica.procesar_entrega", "args": [],
            "kwargs": {"entrega_id": "E-1", "sku": "CAF-500"}, "queue": "logistica", "attempt": 2,
            "time_start": 1767225600.5, "runtime_s": 0.42
        },
        {
            "id": "0198c0de-0000-7000-8000-000000000002", "name": "math.add", "args": [2, "\u{1b}[31mred"],
            "kwargs": {}, "queue": "celery", "attempt": 1, "time_start": 1767225000.0, "runtime_s": 185.0
        }
    ])
}

#[tokio::test]
async fn active_is_a_table_for_people() {
    let stage = Stage::new();
    stage.worker("w1@bar", Some(running())).await;
    stage.worker("idle@bar", Some(json!([]))).await;
    assert_snapshot!(stage.run(&["inspect", "active"]).await, @r#"
    exit 0
    --- stdout
    WORKER  TASK                        ID                                    ARGS                                  QUEUE      ATTEMPT  FOR
    w1@bar  math.add                    0198c0de-0000-7000-8000-000000000002  [2,"\u001b[31mred"]                   celery     1        3m05s
    w1@bar  logistica.procesar_entrega  0198c0de-0000-7000-8000-000000000001  {"entrega_id":"E-1","sku":"CAF-500"}  logistica  2        0.4s
    --- stderr
    "#);
}

#[tokio::test]
async fn active_has_a_column_more_when_a_task_tells_its_progress() {
    let stage = Stage::new();
    let mut tasks = running();
    tasks[1]["progress"] =
        json!({"done": 3, "total": 10, "note": "day 4", "at": 1_767_225_600_000_u64});
    stage.worker("w1@bar", Some(tasks)).await;
    assert_snapshot!(stage.run(&["inspect", "active"]).await, @r#"
    exit 0
    --- stdout
    WORKER  TASK                        ID                                    ARGS                                  QUEUE      ATTEMPT  FOR    PROGRESS
    w1@bar  math.add                    0198c0de-0000-7000-8000-000000000002  [2,"\u001b[31mred"]                   celery     1        3m05s  3/10 (30 %), day 4
    w1@bar  logistica.procesar_entrega  0198c0de-0000-7000-8000-000000000001  {"entrega_id":"E-1","sku":"CAF-500"}  logistica  2        0.4s
    --- stderr
    "#);
}

#[tokio::test]
async fn active_json_has_every_live_node_as_a_key() {
    let stage = Stage::new();
    stage.worker("w1@bar", Some(running())).await;
    stage.worker("idle@bar", Some(json!([]))).await;
    let said = stage.run(&["inspect", "active", "--json"]).await;
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(answer, json!({"w1@bar": running(), "idle@bar": []}));
    assert_eq!(said.out.lines().count(), 1);
}

#[tokio::test]
async fn idle_workers_are_told_apart_from_no_workers() {
    let stage = Stage::new();
    stage.worker("w1@bar", Some(json!([]))).await;
    assert_snapshot!(stage.run(&["inspect", "active"]).await, @r#"
    exit 0
    --- stdout
    --- stderr
    taskq: nothing runs on w1@bar
    "#);
}

#[tokio::test]
async fn ping_names_who_answers() {
    let stage = Stage::new();
    stage.worker("w1@bar", Some(json!([]))).await;
    stage.worker("w2@bar", Some(json!([]))).await;
    assert_snapshot!(stage.run(&["inspect", "ping"]).await, @r#"
    exit 0
    --- stdout
    WORKER  ANSWER
    w1@bar  pong
    w2@bar  pong
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["inspect", "ping", "--json", "-d", "w2@bar"]).await, @r#"
    exit 0
    --- stdout
    {"w2@bar":{"ok":"pong"}}
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["--json", "inspect", "-d", "w2@bar,w1@bar", "ping"]).await, @r#"
    exit 0
    --- stdout
    {"w1@bar":{"ok":"pong"},"w2@bar":{"ok":"pong"}}
    --- stderr
    "#);
}

#[tokio::test]
async fn no_worker_is_an_empty_answer_and_69() {
    let stage = Stage::new();
    assert_snapshot!(stage.run(&["-b", "memory://", "inspect", "ping", "--json"]).await, @r#"
    exit 69
    --- stdout
    {}
    --- stderr
    taskq: no worker runs at memory://
    "#);
    assert_snapshot!(stage.run(&["inspect", "active", "-b", "memory://"]).await, @r#"
    exit 69
    --- stdout
    --- stderr
    taskq: no worker runs at memory://
    "#);
}

#[tokio::test]
async fn a_silent_node_is_69_only_when_it_was_named() {
    let stage = Stage::new();
    stage.worker("w1@bar", Some(json!([]))).await;
    stage.worker("mute@bar", None).await;
    let unnamed = stage.run(&["inspect", "ping", "-t", "1", "--json"]).await;
    assert_snapshot!(unnamed, @r#"
    exit 0
    --- stdout
    {"w1@bar":{"ok":"pong"}}
    --- stderr
    taskq: no answer from mute@bar; `-t` waits longer
    "#);
    let named = stage
        .run(&["inspect", "ping", "-t", "50ms", "-d", "mute@bar"])
        .await;
    assert_snapshot!(named, @r#"
    exit 69
    --- stdout
    --- stderr
    taskq: no answer from mute@bar; `-t` waits longer
    "#);
    let gone = stage
        .run(&[
            "inspect", "active", "--json", "-t", "50ms", "-d", "gone@bar",
        ])
        .await;
    assert_snapshot!(gone, @r#"
    exit 69
    --- stdout
    {}
    --- stderr
    taskq: no worker `gone@bar` is registered; there are: mute@bar, w1@bar
    "#);
}

#[tokio::test]
async fn one_silent_among_the_named_is_69_and_the_others_are_shown() {
    let stage = Stage::new();
    stage.worker("w1@bar", Some(json!([]))).await;
    stage.worker("mute@bar", None).await;
    let line = [
        "inspect", "ping", "-t", "1", "-d", "w1@bar", "-d", "mute@bar", "--json",
    ];
    let said = stage.run(&line).await;
    assert_eq!(said.exit, Exit::Unreachable);
    assert_eq!(said.out, "{\"w1@bar\":{\"ok\":\"pong\"}}\n");
    assert!(
        said.err.contains("mute@bar") && !said.err.contains("w1@bar"),
        "{said}"
    );
}

#[tokio::test]
async fn a_name_nobody_has_is_answered_at_once_by_those_there_are() {
    let stage = Stage::new();
    stage.worker("w1@bar", Some(json!([]))).await;
    let asked = Instant::now();
    let said = stage
        .run(&["inspect", "ping", "-t", "1h", "-d", "w1"])
        .await;
    assert!(asked.elapsed() < Duration::from_secs(60), "{said}");
    assert_snapshot!(said, @r#"
    exit 69
    --- stdout
    --- stderr
    taskq: no worker `w1` is registered; there are: w1@bar
    "#);
    assert_snapshot!(stage.run(&["inspect", "ping", "--json", "-d", "w1,w1@bar"]).await, @r#"
    exit 69
    --- stdout
    {"w1@bar":{"ok":"pong"}}
    --- stderr
    taskq: no worker `w1` is registered; there are: w1@bar
    "#);
    assert_snapshot!(Stage::new().run(&["inspect", "active", "-d", "w1"]).await, @r#"
    exit 69
    --- stdout
    --- stderr
    taskq: no worker `w1` is registered; none is
    "#);
}

#[tokio::test]
async fn an_empty_name_is_usage() {
    for name in ["", " ", "w1@bar,"] {
        let said = Stage::new().run(&["inspect", "ping", "-d", name]).await;
        assert_eq!(said.exit, Exit::Usage, "{name:?}: {said}");
        assert!(said.err.contains("worker's name"), "{said}");
    }
}

#[tokio::test]
async fn all_silent_is_69() {
    let stage = Stage::new();
    stage.worker("mute@bar", None).await;
    let said = stage.run(&["inspect", "ping", "-t", "50ms"]).await;
    assert_eq!(said.exit, Exit::Unreachable);
}

#[tokio::test]
async fn an_answer_of_another_shape_is_said_to_be_one() {
    let stage = Stage::new();
    stage.worker("new@bar", Some(json!([{"id": 7}]))).await;
    assert_snapshot!(stage.run(&["inspect", "active"]).await, @r#"
    exit 1
    --- stdout
    --- stderr
    taskq: new@bar answers what this version does not understand (invalid type: integer `7`, expected a string); --json shows it as it is
    "#);
}
