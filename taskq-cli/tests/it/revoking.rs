//! `taskq control revoke|terminate`: what it says of each call, and how it ends.

use insta::assert_snapshot;
use serde_json::{Value, json};
use taskq_cli::Exit;
use taskq_core::broker::{Control, MAX_REVOKED};
use taskq_core::control::Command;
use taskq_core::revocation::Revocation;
use taskq_core::{QueueName, Record, State, TaskId};

use crate::listing::task;
use crate::stage::{Said, Stage};

const WAITS: &str = "0198c0de-0000-7000-8000-000000000001";
const RUNS: &str = "0198c0de-0000-7000-8000-000000000002";
const ENDED: &str = "0198c0de-0000-7000-8000-000000000003";
const UNKNOWN: &str = "0198c0de-0000-7000-8000-000000000009";

/// A worker that runs one of them, and cuts it off if it is told to.
fn runs(command: Command) -> Option<Value> {
    let Command::Revoke {
        what, terminate, ..
    } = command
    else {
        return Some(json!({"error": "asked something else"}));
    };
    let is_meant = serde_json::to_string(&what).unwrap().contains(RUNS);
    let ids = if is_meant { vec![RUNS] } else { vec![] };
    let (running, terminated) = if terminate {
        (vec![], ids)
    } else {
        (ids, vec![])
    };
    Some(json!({"ok": "noted", "running": running, "terminated": terminated}))
}

fn idle(_: Command) -> Option<Value> {
    Some(json!({"ok": "noted", "running": [], "terminated": []}))
}

async fn stage() -> Stage {
    let stage = Stage::new();
    for (id, state) in [
        (WAITS, State::Queued),
        (RUNS, State::Started),
        (ENDED, State::Success),
    ] {
        let id: TaskId = id.parse().unwrap();
        let queue = QueueName::default();
        stage.keep(Record::new(id, "math.add", &queue, state)).await;
    }
    let published = task("math.add", "celery", "", &[]);
    stage.publish(&[published], false).await;
    stage.answering("w1@bar", &["celery"], runs).await;
    stage.answering("w2@bar", &["celery"], idle).await;
    stage
}

async fn transcript(lines: &[&[&str]]) -> String {
    let mut transcript = String::new();
    for line in lines {
        let stage = stage().await;
        let line = [&["control"], *line].concat();
        let said = stage.run(&line).await;
        transcript.push_str(&format!("$ taskq {}\n{said}\n", line.join(" ")));
    }
    transcript
}

#[tokio::test]
async fn of_each_call_is_said_what_becomes_of_it() {
    let transcript = transcript(&[
        &["revoke", WAITS, RUNS, UNKNOWN],
        &["revoke", WAITS, RUNS, "--json"],
        &["revoke", RUNS, "--terminate"],
        &["terminate", RUNS, WAITS, "--json"],
        &["revoke", ENDED],
        &["revoke", ENDED, "--json"],
        &["revoke", "--task", "no.such", "--queue", "clery"],
        &[
            "revoke",
            "--task",
            "math.add",
            "--header",
            "tenant=acme",
            "--queue",
            "celery",
        ],
    ]);
    assert_snapshot!(transcript.await);
}

#[tokio::test]
async fn who_revokes_twice_is_not_too_late() {
    let stage = stage().await;
    for outcome in ["it will not run", "it was REVOKED before"] {
        let said = stage.run(&["control", "revoke", WAITS]).await;
        assert_eq!((said.exit, &*said.err), (Exit::Done, ""), "{said}");
        assert!(said.out.contains(outcome), "{said}");
    }
    let again = stage.run(&["control", "revoke", WAITS, "--json"]).await;
    assert_eq!((again.exit, &*again.err), (Exit::Done, ""), "{again}");
    let shown = stage.run(&["result", WAITS]).await;
    assert!(shown.out.starts_with("REVOKED\n"), "{shown}");
}

#[tokio::test]
async fn workers_that_do_not_answer_or_refuse_are_named() {
    let lone = Stage::new();
    let record = Record::new(
        WAITS.parse().unwrap(),
        "math.add",
        &QueueName::default(),
        State::Queued,
    );
    lone.keep(record).await;
    let said = lone.run(&["control", "revoke", WAITS]).await;
    assert_eq!(
        (said.exit, &*said.err),
        (Exit::Done, ""),
        "nobody runs it: {said}"
    );
    assert!(said.out.contains("it will not run"), "{said}");

    let refused = |_| Some(json!({"error": "too old"}));
    let with = async |answer: fn(Command) -> Option<Value>| -> Said {
        let stage = Stage::new();
        stage.answering("w1@bar", &["celery"], answer).await;
        stage
            .run(&[
                "control", "revoke", UNKNOWN, "--queue", "celery", "-t", "50ms",
            ])
            .await
    };
    let said = with(refused).await;
    assert_eq!(
        (said.exit, &*said.err),
        (Exit::Failed, "taskq: w1@bar: too old\n"),
        "{said}"
    );
    let said = with(|_| None).await;
    assert_eq!(said.exit, Exit::Unreachable, "{said}");
    assert!(said.err.contains("no answer from w1@bar"), "{said}");
}

#[tokio::test]
async fn of_more_than_go_at_once_each_answer_is_kept() {
    let ids: Vec<String> = (0..1_005).map(|_| TaskId::random().to_string()).collect();
    let stage = Stage::new();
    let runs_all = |command| {
        let Command::Revoke { what, .. } = command else {
            return None;
        };
        let id = |one: &Revocation| match one {
            Revocation::Id(id) => Some(id.to_string()),
            _ => None,
        };
        let running: Vec<_> = what.iter().filter_map(id).collect();
        Some(json!({"ok": format!("{} run", what.len()), "running": running, "terminated": []}))
    };
    let last = ids[1_004].clone();
    let refuses_the_last = move |command| match command {
        Command::Revoke { what, .. } if json!(what).to_string().contains(&last) => {
            Some(json!({"error": "too much"}))
        }
        _ => idle(command),
    };
    stage.answering("w1@bar", &["celery"], runs_all).await;
    stage
        .answering("w2@bar", &["celery"], refuses_the_last)
        .await;
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let line = ["control", "revoke", "--json", "--queue", "celery"];
    let said = stage.run(&[&line, &ids[..]].concat()).await;
    assert_eq!((said.exit, &*said.err), (Exit::Failed, ""), "{said}");
    let answers: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(answers["w1@bar"]["running"], json!(ids));
    assert_eq!(answers["w1@bar"]["ok"], "999 run / 6 run");
    assert_eq!(answers["w2@bar"], json!({"error": "too much"}));
}

#[tokio::test]
async fn a_full_set_refuses_which_is_no_outage() {
    let stage = Stage::new();
    let celery = QueueName::default();
    let ids = std::iter::repeat_with(|| Revocation::Id(TaskId::random()));
    let ids: Vec<_> = ids.take(MAX_REVOKED).collect();
    for some in ids.chunks(999) {
        stage.0.revoke(&celery, some).await.unwrap();
    }
    let said = stage.run(&["control", "revoke", WAITS, "--json"]).await;
    assert_eq!((said.exit, &*said.out), (Exit::Failed, ""), "{said}");
    assert!(said.err.contains("there is room for 10000"), "{said}");
}

#[tokio::test]
async fn a_revocation_of_nothing_or_of_one_worker_is_usage() {
    let stage = stage().await;
    for (order, part) in [
        (&["revoke"][..], "<ID>"),
        (&["revoke", "nonsense"], "nonsense"),
        (&["revoke", "--header", "tenant"], "NAME=VALUE"),
        (&["revoke", WAITS, "-d", "w1@bar"], "leave -d out"),
        (&["terminate"], "<ID>"),
        (&["terminate", "--task", "math.add"], "--task"),
    ] {
        let said = stage.run(&[&["control"], order].concat()).await;
        assert_eq!(said.exit, Exit::Usage, "{order:?}: {said}");
        assert!(
            said.err.contains(part) && said.out.is_empty(),
            "{order:?}: {said}"
        );
    }
}

#[tokio::test]
async fn where_no_queue_is_known_there_is_nothing_to_revoke() {
    let stage = Stage::new();
    assert_snapshot!(stage.run(&["control", "revoke", UNKNOWN]).await, @r#"
    exit 1
    --- stdout
    --- stderr
    taskq: no queue is known at this broker, so there is nothing to revoke: name the queue with --queue
    "#);
}
