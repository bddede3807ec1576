//! The registry refuses what could not be told apart or reached.

use std::time::Duration;

use taskq_core::task;
use taskq_core::task::{Registry, TaskDef};

/// One task.
#[task(name = "reg.one", queue = "b-queue")]
async fn one() {}
#[task(name = "reg.two")]
async fn two(_n: u8) {}

static SAME_NAME: TaskDef = TaskDef::new("reg.one", &[], one::DEF.run).at("other.rs", 7);
static NO_NAME: TaskDef = TaskDef::new("", &[], one::DEF.run).at("other.rs", 8);
static BAD_QUEUE: TaskDef = TaskDef::new("q", &[], one::DEF.run)
    .queue("no spaces")
    .at("other.rs", 9);
static IMMORTAL: TaskDef = TaskDef::new("i", &[], one::DEF.run)
    .max_crashes(10)
    .at("other.rs", 10);
static MAYFLY: TaskDef = TaskDef::new("m", &[], one::DEF.run)
    .expires(Duration::ZERO)
    .at("other.rs", 11);
static HASTY: TaskDef = TaskDef::new("h", &[], one::DEF.run)
    .time_limit(Duration::ZERO)
    .at("other.rs", 12);
static DEAF: TaskDef = TaskDef::new("d", &[], one::DEF.run)
    .soft_time_limit(Duration::from_secs(3))
    .time_limit(Duration::from_secs(3))
    .at("other.rs", 13);
static FIRST: TaskDef = TaskDef::new("f", &[], one::DEF.run)
    .priority(10)
    .at("other.rs", 14);

fn refusal(defs: &[&'static TaskDef]) -> String {
    Registry::from_defs(defs.iter().copied())
        .unwrap_err()
        .to_string()
}

#[test]
fn linked_tasks_are_collected_and_sorted() {
    let registry = Registry::collect().unwrap();
    let names: Vec<_> = registry.iter().map(|def| def.name).collect();
    assert!(
        names.is_sorted() && names.contains(&"reg.one") && names.contains(&"reg.two"),
        "{names:?}"
    );
    assert_eq!(registry.get("reg.one").unwrap().doc, "One task.");
    assert!(registry.get("reg.three").is_none());
}

#[test]
fn a_name_defined_twice_names_both_places() {
    let text = refusal(&[&SAME_NAME, &one::DEF]);
    let here = format!("{}:{}", one::DEF.file, one::DEF.line);
    assert!(
        text.contains("reg.one") && text.contains("other.rs:7") && text.contains(&here),
        "{text}"
    );
}

#[test]
fn names_and_queues_are_checked_at_their_place() {
    assert_eq!(
        refusal(&[&NO_NAME]),
        "other.rs:8: a task name has 1 to 256 bytes"
    );
    let text = refusal(&[&BAD_QUEUE]);
    assert!(
        text.starts_with("other.rs:9: task q: \"no spaces\" is no queue name"),
        "{text}"
    );
}

#[test]
fn limits_no_call_could_keep_are_refused() {
    assert_eq!(
        refusal(&[&IMMORTAL]),
        "other.rs:10: task i: `max_crashes` is 10, it goes from 1 to 9"
    );
    let text = refusal(&[&MAYFLY]);
    assert!(
        text.starts_with("other.rs:11: task m: its calls would expire as they are sent"),
        "{text}"
    );
    assert_eq!(
        refusal(&[&HASTY]),
        "other.rs:12: task h: its `time_limit` is over as it begins; it is at least 1 ms"
    );
    assert_eq!(
        refusal(&[&DEAF]),
        "other.rs:13: task d: its `soft_time_limit` is 3s, it must be under its `time_limit`, 3s"
    );
    assert_eq!(
        refusal(&[&FIRST]),
        "other.rs:14: task f: its `priority` is 10, it goes from 0 to 9"
    );
}

#[test]
fn an_empty_registry_is_allowed_only_on_purpose() {
    assert!(Registry::from_defs([]).unwrap().is_empty());
}
