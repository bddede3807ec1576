//! Every question of `taskq inspect` that is about messages and settings: transcripts with two workers.

use insta::assert_snapshot;
use serde_json::{Value, json};
use taskq_cli::Exit;
use taskq_core::control::Command;

use crate::stage::Stage;

const ONE: &str = "0198c0de-0000-7000-8000-000000000001";
const TWO: &str = "0198c0de-0000-7000-8000-000000000002";
const NOWHERE: &str = "0198c0de-0000-7000-8000-000000000009";

fn busy(command: Command) -> Option<Value> {
    let reserved = json!({
        "id": TWO, "name": "math.add", "queue": "celery", "priority": 0, "time_claimed": 1_767_225_600.5
    });
    Some(match command {
        Command::Reserved => json!([
            reserved,
            {"id": null, "name": "", "queue": "logistica", "priority": 9, "time_claimed": 1_767_225_601.0}
        ]),
        Command::Scheduled => json!([{
            "eta": "2026-01-01T00:00:30.000Z", "priority": 3,
            "request": {
                "id": ONE, "name": "logistica.procesar_entrega", "args": [], "kwargs": {"entrega_id": "E-1"},
                "queue": "logistica", "retries": 1
            }
        }]),
        Command::Revoked => json!([ONE, "task:math.add", "header:tenant=acme"]),
        Command::ActiveQueues => json!([
            {"name": "celery", "weight": 3, "paused": false},
            {"name": "logistica", "weight": 1, "paused": true}
        ]),
        Command::Conf => json!({
            "broker": "redis://:***@10.0.0.7/0", "concurrency": 20, "grace": 25.0, "queues": ["celery", "logistica"]
        }),
        Command::Report => {
            json!({"ok": "taskq 0.1.0, worker w1@bar, pid 7\nsystem: linux\u{1b}[31m x86_64"})
        }
        Command::QueryTask { ids } => {
            let held = [
                (
                    ONE,
                    json!(["active", {"name": "math.add", "queue": "celery"}]),
                ),
                (TWO, json!(["reserved", reserved])),
            ];
            let held = held
                .into_iter()
                .filter(|(id, _)| ids.iter().any(|i| i.to_string() == *id));
            held.map(|(id, state)| (id.to_owned(), state))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        _ => return None,
    })
}

fn idle(command: Command) -> Option<Value> {
    Some(match command {
        Command::Reserved | Command::Scheduled | Command::Revoked => json!([]),
        Command::ActiveQueues => json!([{"name": "celery", "weight": 1, "paused": false}]),
        Command::Conf => json!({"concurrency": 1, "queues": ["celery"]}),
        Command::Report => json!({"ok": "taskq 0.1.0, worker w2@bar, pid 8"}),
        Command::QueryTask { .. } => json!({}),
        _ => return None,
    })
}

async fn two_workers() -> Stage {
    let stage = Stage::new();
    stage.answering("w1@bar", &["celery"], busy).await;
    stage.answering("w2@bar", &["celery"], idle).await;
    stage
}

/// What a command line says as a table, of the worker that has nothing to tell alone, and as JSON.
async fn transcript(stage: &Stage, question: &[&str]) -> String {
    let line = [&["inspect"], question].concat();
    let mut transcript = String::new();
    for more in [&[][..], &["-d", "w2@bar"], &["--json"]] {
        let line = [&line[..], more].concat();
        let said = stage.run(&line).await;
        transcript.push_str(&format!("$ taskq {}\n{said}\n", line.join(" ")));
    }
    transcript
}

#[tokio::test]
async fn every_question_has_its_table_and_its_json() {
    let stage = two_workers().await;
    for question in [
        &["reserved"][..],
        &["scheduled"],
        &["revoked"],
        &["active_queues"],
        &["conf"],
        &["report"],
        &["query_task", ONE, TWO, NOWHERE],
    ] {
        let name = format!("inspect_{}", question[0]);
        assert_snapshot!(name, transcript(&stage, question).await);
    }
}

#[tokio::test]
async fn a_worker_that_can_not_answer_is_named_and_the_others_are_shown() {
    let stage = Stage::new();
    stage.answering("w1@bar", &["celery"], busy).await;
    let refusal = |_| Some(json!({"error": "this broker can not list what is delayed yet"}));
    stage.answering("w2@bar", &["celery"], refusal).await;
    for question in [&["scheduled"][..], &["active_queues"], &["report"]] {
        let said = stage.run(&[&["inspect"], question].concat()).await;
        assert_eq!(said.exit, Exit::Failed, "{said}");
        assert!(said.out.contains("w1@bar"), "{said}");
        assert_eq!(
            said.err,
            "taskq: w2@bar: this broker can not list what is delayed yet\n"
        );
        let said = stage
            .run(&[&["inspect", "--json"], question].concat())
            .await;
        assert_eq!(said.exit, Exit::Failed, "{said}");
        let answer: Value = serde_json::from_str(&said.out).unwrap();
        assert!(answer["w2@bar"]["error"].is_string(), "{said}");
    }
}

#[tokio::test]
async fn a_question_about_no_call_or_no_id_is_usage() {
    let stage = two_workers().await;
    for (line, part) in [
        (&["inspect", "query_task"][..], "<ID>"),
        (&["inspect", "query_task", "nonsense"], "nonsense"),
        (&["inspect", "reserved", "--all"], "--all"),
    ] {
        let said = stage.run(line).await;
        assert_eq!(said.exit, Exit::Usage, "{line:?}: {said}");
        assert!(said.err.contains(part) && said.out.is_empty(), "{said}");
    }
    let nobody = Stage::new();
    for question in ["reserved", "scheduled", "conf", "report"] {
        let said = nobody.run(&["inspect", question, "--json"]).await;
        assert_eq!(
            (said.exit, &*said.out),
            (Exit::Unreachable, "{}\n"),
            "{said}"
        );
    }
}
