//! `taskq control`: transcripts of every order with two workers.

use insta::assert_snapshot;
use serde_json::{Value, json};
use taskq_cli::Exit;
use taskq_core::QueueName;
use taskq_core::broker::Inspect;
use taskq_core::control::Command;

use crate::stage::{Said, Stage};

/// A worker that says what it was told.
fn obeys(command: Command) -> Option<Value> {
    let told = serde_json::to_string(&command).unwrap();
    Some(json!({"ok": format!("told {told}")}))
}

fn refuses(_: Command) -> Option<Value> {
    Some(json!({"error": "it has no queue slow: `taskq inspect active_queues` lists those it has"}))
}

async fn two_workers() -> Stage {
    let stage = Stage::new();
    stage.answering("w1@bar", &["celery"], obeys).await;
    stage.answering("w2@bar", &["celery"], obeys).await;
    stage
}

fn said(line: &[&str], said: &Said) -> String {
    format!("$ taskq {}\n{said}\n", line.join(" "))
}

#[tokio::test]
async fn every_order_reaches_the_workers_and_is_answered() {
    let stage = two_workers().await;
    for order in [
        &["shutdown"][..],
        &["add_consumer", "slow", "--weight", "3"],
        &["cancel_consumer", "slow"],
        &["time_limit", "math.add", "1.5", "2m"],
        &["pool_grow", "2"],
        &["pool_shrink", "1"],
    ] {
        let mut transcript = String::new();
        for more in [&[][..], &["-d", "w2@bar", "--json"]] {
            let line = [&["control"], order, more].concat();
            transcript.push_str(&said(&line, &stage.run(&line).await));
        }
        assert_snapshot!(format!("control_{}", order[0]), transcript);
    }
}

#[tokio::test]
async fn what_is_left_out_has_a_default_and_none_takes_a_limit_away() {
    let stage = two_workers().await;
    let mut told = String::new();
    for order in [
        &["add_consumer", "slow"][..],
        &["pool_grow"],
        &["pool_shrink"],
        &["time_limit", "math.add", "none"],
        &["time_limit", "math.add", "30"],
        &["time_limit", "math.add", "none", "1h"],
    ] {
        let line = [&["control", "-d", "w1@bar"], order].concat();
        let said = stage.run(&line).await;
        assert_eq!((said.exit, &*said.err), (Exit::Done, ""), "{said}");
        told.push_str(said.out.lines().nth(1).unwrap());
        told.push('\n');
    }
    assert_snapshot!(told, @r#"
    w1@bar  told {"add_consumer":{"queue":"slow","weight":1}}
    w1@bar  told {"pool_grow":{"n":1}}
    w1@bar  told {"pool_shrink":{"n":1}}
    w1@bar  told {"time_limit":{"task":"math.add","soft_ms":null,"hard_ms":null}}
    w1@bar  told {"time_limit":{"task":"math.add","soft_ms":30000,"hard_ms":null}}
    w1@bar  told {"time_limit":{"task":"math.add","soft_ms":null,"hard_ms":3600000}}
    "#);
}

#[tokio::test]
async fn who_does_not_obey_is_named_and_the_exit_code_says_so() {
    let stage = Stage::new();
    stage.answering("w1@bar", &["celery"], obeys).await;
    stage.answering("w2@bar", &["celery"], refuses).await;
    assert_snapshot!(stage.run(&["control", "cancel_consumer", "slow"]).await, @r#"
    exit 1
    --- stdout
    WORKER  ANSWER
    w1@bar  told {"cancel_consumer":{"queue":"slow"}}
    --- stderr
    taskq: w2@bar: it has no queue slow: `taskq inspect active_queues` lists those it has
    "#);
    assert_snapshot!(stage.run(&["control", "cancel_consumer", "slow", "--json"]).await, @r#"
    exit 1
    --- stdout
    {"w1@bar":{"ok":"told {\"cancel_consumer\":{\"queue\":\"slow\"}}"},"w2@bar":{"error":"it has no queue slow: `taskq inspect active_queues` lists those it has"}}
    --- stderr
    "#);
}

#[tokio::test]
async fn a_worker_that_is_silent_or_unknown_is_named() {
    let stage = Stage::new();
    stage.answering("w1@bar", &["celery"], obeys).await;
    stage.answering("dead@bar", &["celery"], |_| None).await;
    assert_snapshot!(stage.run(&["control", "pool_grow", "-t", "1"]).await, @r#"
    exit 0
    --- stdout
    WORKER  ANSWER
    w1@bar  told {"pool_grow":{"n":1}}
    --- stderr
    taskq: no answer from dead@bar; it may be done there all the same; `-t` waits longer
    "#);
    assert_snapshot!(stage.run(&["control", "shutdown", "-d", "w9@bar", "--json"]).await, @r#"
    exit 69
    --- stdout
    {}
    --- stderr
    taskq: no worker `w9@bar` is registered; there are: dead@bar, w1@bar
    "#);
    assert_snapshot!(Stage::new().run(&["-b", "memory://", "control", "shutdown", "--json"]).await, @r#"
    exit 69
    --- stdout
    {}
    --- stderr
    taskq: no worker runs at memory://
    "#);
}

#[tokio::test]
async fn all_workers_are_stopped_only_with_consent_if_there_is_somebody_to_ask() {
    let stage = two_workers().await;
    for no in ["n\n", "", "\n", "perhaps\n"] {
        let said = stage.typed(&["control", "shutdown"], Some(no)).await;
        assert_eq!(
            (said.exit, &*said.out),
            (Exit::Failed, ""),
            "{no:?}: {said}"
        );
        assert_eq!(
            said.err,
            "taskq: stop all 2 workers (w1@bar, w2@bar)? [y/N] \
             taskq: nothing was stopped; -d names the workers that shall stop\n"
        );
    }
    for yes in ["y\n", "YES\n"] {
        let said = stage.typed(&["control", "shutdown"], Some(yes)).await;
        assert_eq!(said.exit, Exit::Done, "{said}");
        assert!(said.out.contains("w2@bar  told \"shutdown\""), "{said}");
    }
    // Who names them means them, and nobody else.
    let line = ["control", "shutdown", "-d", "w1@bar"];
    let said = stage.typed(&line, Some("")).await;
    assert_eq!((said.exit, &*said.err), (Exit::Done, ""), "{said}");
    assert!(!said.out.contains("w2@bar"), "{said}");
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed_by_name() {
    let stage = two_workers().await;
    let celery = QueueName::default();
    let mut transcript = String::new();
    for line in [
        &["control", "pause", "celery", "--reason", "the bank is away"][..],
        &["control", "resume", "celery"],
        &["control", "resume", "celery", "--json"],
        &["control", "pause", "celery", "--json"],
        &["control", "pause", "celery", "--reason", "the bank is away"],
        &["control", "pause", "celery"],
        &["control", "pause", "celery", "--reason", ""],
        &["control", "pause", "clery"],
        &["control", "pause", "celery", "-d", "w1@bar"],
    ] {
        transcript.push_str(&said(line, &stage.run(line).await));
    }
    assert_snapshot!("control_pause", transcript);
    let paused = stage.0.depth(&celery).await.unwrap().paused.unwrap();
    assert_eq!((&*paused.by, &*paused.reason), ("ana@desk", ""));
    // One that nobody uses is there as long as it is paused.
    let queues = stage.run(&["queues", "--json"]).await;
    let queues: Value = serde_json::from_str(&queues.out).unwrap();
    assert_eq!(queues["clery"]["paused"], true, "{queues}");
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_usage() {
    let stage = two_workers().await;
    for (order, part) in [
        (&["pool_grow", "0"][..], "0 changes nothing"),
        (&["pool_grow", "many"], "a whole number"),
        (&["pool_shrink", "-1"], "-1"),
        (
            &["time_limit", "math.add", "10", "5"],
            "not longer than the soft",
        ),
        (
            &["time_limit", "math.add", "5", "5"],
            "not longer than the soft",
        ),
        (&["time_limit", "math.add", "0"], "no run ends in no time"),
        (&["time_limit", "math.add", "soon"], "no unit of time"),
        (&["time_limit", "math.add"], "<SOFT>"),
        (&["add_consumer", "a b"], "a b"),
        (&["add_consumer", "a", "--weight", "0"], "1..=1000"),
        (&["cancel_consumer"], "<QUEUE>"),
        (&["pause"], "<QUEUE>"),
        (&["shutdown", "--force"], "--force"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let said = stage.run(&[&["control"], order].concat()).await;
        assert_eq!(said.exit, Exit::Usage, "{order:?}: {said}");
        assert!(
            said.err.contains(part) && said.out.is_empty(),
            "{order:?}: {said}"
        );
    }
}
