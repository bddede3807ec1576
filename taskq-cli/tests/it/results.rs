//! `taskq result`.

use insta::assert_snapshot;
use serde_json::value::RawValue;
use taskq_cli::Exit;
use taskq_core::{Failure, QueueName, Record, State, TaskId};

use crate::stage::Stage;

const ID: &str = "0198c0de-0000-7000-8000-000000000000";

fn record(state: State) -> Record {
    let id: TaskId = ID.parse().unwrap();
    let mut record = Record::new(id, "geo.distance", &QueueName::new("geo").unwrap(), state);
    record.created = Some(1_767_225_600_000);
    record
}

fn success() -> Record {
    let mut record = record(State::Success);
    record.result = Some(RawValue::from_string(r#"{"km": 9007199254740993.25}"#.into()).unwrap());
    record.attempts = 2;
    record.worker = Some("w1@bar".into());
    record.started = Some(1_767_225_600_250);
    record.finished = Some(1_767_225_601_500);
    record
}

fn dead() -> Record {
    let mut record = record(State::Dead);
    record.crashes = 3;
    record.error = Some(Failure {
        kind: "Crashed".into(),
        message: "its process died 3 times\u{7}".into(),
        chain: vec!["signal 9".into()],
    });
    record
}

#[tokio::test]
async fn a_record_for_people_begins_with_its_state() {
    for kept in [success(), dead()] {
        let stage = Stage::new();
        let name = kept.state.as_str().to_lowercase();
        stage.keep(kept).await;
        assert_snapshot!(name, stage.run(&["result", ID]).await);
    }
}

#[tokio::test]
async fn a_record_as_json_has_all_its_fields() {
    for kept in [success(), dead(), record(State::Queued)] {
        let stage = Stage::new();
        let name = format!("{}_json", kept.state.as_str().to_lowercase());
        stage.keep(kept).await;
        assert_snapshot!(
            name,
            stage.run(&["result", ID, "--json", "--queue", "geo"]).await
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_exit_1_and_both_reasons() {
    let stage = Stage::new();
    stage.keep(success()).await;
    assert_snapshot!(stage.run(&["result", "0198c0de-0000-7000-8000-00000000ffff"]).await, @r#"
    exit 1
    --- stdout
    --- stderr
    taskq: 0198c0de-0000-7000-8000-00000000ffff has no record at memory://: it is unknown, or it has expired (or its task keeps no results)
    "#);
    assert_snapshot!(stage.run(&["result", ID, "--queue", "elsewhere", "--json"]).await, @r#"
    exit 1
    --- stdout
    --- stderr
    taskq: 0198c0de-0000-7000-8000-000000000000 has no record in the queue elsewhere at memory://: it is unknown, or it has expired (or its task keeps no results)
    "#);
}

#[tokio::test]
async fn what_is_no_id_is_usage() {
    let said = Stage::new().run(&["result", "seven"]).await;
    assert_eq!(said.exit, Exit::Usage);
    assert!(said.err.contains("an id is a UUID"), "{said}");
}
