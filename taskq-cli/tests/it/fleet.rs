//! `taskq inspect registered|stats` and `taskq status`.

use insta::assert_snapshot;
use serde_json::{Value, json};
use taskq_cli::Exit;
use taskq_core::control::Command;

use crate::stage::Stage;

fn stats() -> Value {
    json!({
        "total": {"logistica.procesar_entrega": 1200, "math.add": 3}, "processed": 1202, "succeeded": 1190,
        "failed": 5, "retried": 7, "revoked": 0, "lost": 0, "pid": 4711, "uptime": 7620, "queues": ["celery", "logistica"],
        "pool": {"max-concurrency": 20, "running": 1, "processes": [4711]}, "prefetch_count": 20,
        "broker": {"transport": "redis", "hostname": "10.0.0.7", "port": 6379, "virtual_host": "0"},
        "rusage": {"utime": 61.25, "stime": 2.5, "maxrss": 58088}
    })
}

/// A worker that has nothing to tell, on a machine that tells nothing of it.
fn fresh() -> Value {
    let mut stats = stats();
    stats["total"] = json!({});
    for count in ["processed", "succeeded", "failed", "retried", "uptime"] {
        stats[count] = json!(0);
    }
    let nothing = json!({"transport": null, "hostname": null, "port": null, "virtual_host": null});
    stats["broker"] = nothing;
    stats.as_object_mut().unwrap().remove("rusage");
    stats
}

async fn two_workers() -> Stage {
    let stage = Stage::new();
    for (node, registered, stats) in [
        (
            "w1@bar",
            json!(["logistica.procesar_entrega", "math.add"]),
            stats(),
        ),
        ("w2@bar", json!(["math.add"]), fresh()),
    ] {
        let answer = move |command| match command {
            Command::Registered => Some(registered.clone()),
            Command::Stats => Some(stats.clone()),
            _ => None,
        };
        stage.answering(node, &["celery"], answer).await;
    }
    stage
}

#[tokio::test]
async fn registered_tells_the_tasks_of_each_worker() {
    let stage = two_workers().await;
    assert_snapshot!(stage.run(&["inspect", "registered"]).await, @r#"
    exit 0
    --- stdout
    WORKER  TASK
    w1@bar  logistica.procesar_entrega
    w1@bar  math.add
    w2@bar  math.add
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["inspect", "registered", "--json"]).await, @r#"
    exit 0
    --- stdout
    {"w1@bar":["logistica.procesar_entrega","math.add"],"w2@bar":["math.add"]}
    --- stderr
    "#);
}

#[tokio::test]
async fn stats_tells_what_each_worker_did_and_used() {
    let stage = two_workers().await;
    assert_snapshot!(stage.run(&["inspect", "stats"]).await, @r#"
    exit 0
    --- stdout
    WORKER  PID   UP     SLOTS  RUNNING  SUCCEEDED  FAILED  RETRIED  CPU    MEMORY  BROKER
    w1@bar  4711  2h07m  20     1        1190       5       7        1m03s  57 MiB  redis://10.0.0.7:6379/0
    w2@bar  4711  0.0s   20     1        0          0       0        -      -       -

    WORKER  TASK                        RUNS
    w1@bar  logistica.procesar_entrega  1200
    w1@bar  math.add                    3
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["inspect", "stats", "-d", "w2@bar"]).await, @r#"
    exit 0
    --- stdout
    WORKER  PID   UP    SLOTS  RUNNING  SUCCEEDED  FAILED  RETRIED  CPU  MEMORY  BROKER
    w2@bar  4711  0.0s  20     1        0          0       0        -    -       -
    --- stderr
    "#);
    let said = stage.run(&["inspect", "stats", "--json"]).await;
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(answer, json!({"w1@bar": stats(), "w2@bar": fresh()}));
}

#[tokio::test]
async fn status_has_a_line_for_each_worker() {
    let stage = two_workers().await;
    stage.answering("mute@bar", &["celery"], |_| None).await;
    stage
        .answering("older@bar", &["celery"], |_| Some(json!({"ok": "pong"})))
        .await;
    assert_snapshot!(stage.run(&["status"]).await, @r#"
    exit 0
    --- stdout
    WORKER     STATUS  QUEUES            SLOTS  RUNNING  UP
    older@bar  OK      -                 -      -        -
    w1@bar     OK      celery,logistica  20     1        2h07m
    w2@bar     OK      celery,logistica  20     1        0.0s
    mute@bar   silent  -                 -      -        -
    3 nodes online.
    --- stderr
    taskq: no answer from mute@bar; `-t` waits longer
    "#);
    assert_snapshot!(stage.run(&["status", "--json"]).await, @r#"
    exit 0
    --- stdout
    {"mute@bar":{"error":"no answer"},"older@bar":{"ok":"pong"},"w1@bar":{"ok":"pong","queues":["celery","logistica"],"running":1,"slots":20,"uptime":7620},"w2@bar":{"ok":"pong","queues":["celery","logistica"],"running":1,"slots":20,"uptime":0}}
    --- stderr
    taskq: no answer from mute@bar; `-t` waits longer
    "#);
    assert_snapshot!(stage.run(&["status", "-d", "w1@bar"]).await, @r#"
    exit 0
    --- stdout
    WORKER  STATUS  QUEUES            SLOTS  RUNNING  UP
    w1@bar  OK      celery,logistica  20     1        2h07m
    1 node online.
    --- stderr
    "#);
    let named = stage.run(&["status", "-d", "mute@bar", "-t", "50ms"]).await;
    assert_eq!(named.exit, Exit::Unreachable, "{named}");
}

#[tokio::test]
async fn status_without_workers_is_69() {
    let line = ["-b", "memory://", "status"];
    assert_snapshot!(Stage::new().run(&line).await, @r#"
    exit 69
    --- stdout
    0 nodes online.
    --- stderr
    taskq: no worker runs at memory://
    "#);
    let line = ["-b", "memory://", "--json", "status"];
    assert_snapshot!(Stage::new().run(&line).await, @r#"
    exit 69
    --- stdout
    {}
    --- stderr
    taskq: no worker runs at memory://
    "#);
}

#[tokio::test]
async fn answers_of_another_shape_are_said_to_be_such() {
    let stage = Stage::new();
    stage
        .answering("new@bar", &["celery"], |_| Some(json!({"pool": 7})))
        .await;
    for question in ["registered", "stats"] {
        let said = stage.run(&["inspect", question]).await;
        assert_eq!((said.exit, said.out.as_str()), (Exit::Failed, ""), "{said}");
        assert!(said.err.contains("new@bar answers what"), "{said}");
        let said = stage.run(&["inspect", question, "--json"]).await;
        assert_eq!(said.out, "{\"new@bar\":{\"pool\":7}}\n");
    }
}
