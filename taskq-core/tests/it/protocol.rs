//! docs/protocol.md names exactly the fields that messages and records have.

use std::collections::BTreeSet;

use taskq_core::{Failure, Message, Progress, QueueName, Record, State, TaskId};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// The first column of the first table under `heading`.
fn table(heading: &str) -> Vec<String> {
    let section = PAGE.split(&format!("\n{heading}\n")).nth(1).unwrap();
    let rows = section.lines().skip_while(|l| !l.starts_with('|'));
    rows.take_while(|l| l.starts_with('|'))
        .skip(2)
        .map(|row| row.split('`').nth(1).unwrap().to_owned())
        .collect()
}

#[test]
fn the_field_table_is_the_message() {
    assert_eq!(table("## The message"), Message::FIELDS);
}

/// The list of known fields cannot drift from what is read and written.
#[test]
fn the_known_fields_are_those_that_are_read_and_written() {
    let everything = include_bytes!("../golden/v1/everything.json");
    let written = Message::decode(everything).unwrap().encode().unwrap();
    let written: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&written).unwrap();
    let written: BTreeSet<&str> = written.keys().map(String::as_str).collect();
    assert_eq!(written, BTreeSet::from(Message::FIELDS));
    for field in Message::FIELDS {
        // No field takes a list of lists but `args`; an unknown one would be kept.
        let wrong = if field == "args" { "{}" } else { "[[1]]" };
        let known: String = ["id", "task"]
            .into_iter()
            .filter(|known| *known != field)
            .map(|known| format!(r#""{known}":"0198c0de-0000-7000-8000-000000000000","#))
            .collect();
        let wire = format!(r#"{{{known}"{field}":{wrong}}}"#);
        let refused = Message::decode(wire.as_bytes()).expect_err(field);
        assert!(refused.reason.contains(&format!("`{field}`")), "{refused}");
    }
}

#[test]
fn the_record_table_is_the_record() {
    let mut record = Record::new(TaskId::random(), "t", &QueueName::default(), State::Success);
    record.result = Some(serde_json::value::to_raw_value(&1).unwrap());
    record.error = Some(Failure {
        chain: vec!["because".into()],
        ..Failure::new("Error", "x")
    });
    record.worker = Some("w1@here".into());
    (record.started, record.finished, record.due) = (Some(1), Some(2), Some(3));
    record.expires = Some(4);
    record.progress = Some(Progress {
        done: 1,
        total: 2,
        note: None,
        at: 5,
    });
    let json = serde_json::to_string(&record).unwrap();
    assert!(json.starts_with(r#"{"state":"SUCCESS","#), "{json}");
    let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
    let written: BTreeSet<String> = json.keys().cloned().collect();
    assert_eq!(
        table("## The record").into_iter().collect::<BTreeSet<_>>(),
        written
    );
    let error: BTreeSet<&str> = json["error"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(error, BTreeSet::from(["type", "message", "chain"]));
}
