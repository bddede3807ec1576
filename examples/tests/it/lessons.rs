//! Each lesson, over the broker it has of itself and over Redis.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use private_redis::RedisServer;

use crate::run::{ask_to_end, end_of, folder, program, run};

/// Runs a lesson at both brokers; `check` is given the lines of each.
fn lesson(example: &str, check: impl Fn(&[&str])) {
    let own = run(program(example));
    check(&own.lines());

    let redis = RedisServer::start();
    let mut given = program(example);
    given.args(["--broker", &redis.url()]);
    check(&run(given).lines());

    // From the environment, and the same once more: nothing of the first run is in the way.
    let mut given = program(example);
    given.env("TASKQ_BROKER_URL", redis.url());
    check(&run(given).lines());
}

#[test]
fn retries() {
    lesson("retries", |lines| {
        assert_eq!(
            lines,
            [
                "4711: attempt 1",
                "4711: attempt 2",
                "4711: attempt 3",
                "4711: 250 cents taken",
                "4712: attempt 1",
                "4712: FAILURE: an amount is more than 0",
                "4713: attempt 1",
                "4713: attempt 2",
                "4713: FAILURE after 2 attempts",
            ]
        );
    });
}

#[test]
fn custom_retry_policy() {
    lesson("custom_retry_policy", |lines| {
        assert_eq!(
            lines,
            [
                "after a third 429 it waits 180ms",
                "busy: attempt 1",
                "busy: attempt 2",
                "busy: attempt 3",
                "busy: SUCCESS after 3 attempts",
                "away: attempt 1",
                "away: attempt 2",
                "away: FAILURE after 2 attempts",
                "gone: attempt 1",
                "gone: FAILURE after 1 attempts",
            ]
        );
    });
}

#[test]
fn delayed() {
    lesson("delayed", |lines| {
        assert_eq!(
            lines,
            [
                "the milk is SCHEDULED",
                "remember the bread",
                "remember the milk",
                "not before its time: true",
                "look 1: not there yet",
                "look 2: not there yet",
                "imported at look 3, attempt 1",
            ]
        );
    });
}

#[test]
fn priorities() {
    lesson("priorities", |lines| {
        let printed: Vec<_> = lines
            .iter()
            .filter_map(|line| line.strip_prefix("printed: "))
            .collect();
        assert_eq!(
            printed,
            [
                "of a customer at the desk",
                "another of a customer at the desk",
                "by express",
                "of every day",
                "of the archive",
            ]
        );
    });
}

#[test]
fn progress() {
    lesson("progress", |lines| {
        assert!(lines[0].contains(" of 5: "), "{}", lines[0]);
        assert_eq!(lines[lines.len() - 2..], ["510 km", "at the end: 5 of 5"]);
    });
}

#[test]
fn cancellation() {
    lesson("cancellation", |lines| {
        let (counted, others): (Vec<&str>, Vec<&str>) =
            lines.iter().partition(|line| line.starts_with("count: "));
        assert!(counted[0].ends_with(" so far"), "{counted:?}");
        assert_eq!(
            others,
            [
                "one that waited is REVOKED",
                "1 was cut off",
                "its sender reads REVOKED",
                "report: half of it",
                "one that came too late is REVOKED",
            ]
        );
    });
}

#[test]
fn shared_state() {
    lesson("shared_state", |lines| {
        assert_eq!(
            lines,
            [
                "2 prices read",
                "coffee: 450 cents",
                "coffee, sugar: 570 cents",
                "tea: tea has no price",
                "asked 3 times",
            ]
        );
    });
}

/// Its broker is the test kit's, whatever it is given. Its tests run beside this one.
#[test]
fn testing() {
    assert_eq!(
        run(program("testing")).lines(),
        [
            "lessons.pay, attempt 1: RETRY after 60s, TaskError: the bank does not answer",
            "lessons.pay, attempt 2: its worker crashed",
            "2 messages were sent by then",
            "lessons.pay, attempt 2: SUCCESS",
            "paid: [77]",
            "an hour later: 1 done",
        ]
    );
}

#[test]
fn axum_service() {
    lesson("axum_service", |lines| {
        assert_eq!(lines[0], "POST /invoices: 202");
        assert_eq!(lines[1], "the same order again, the same task: true");
        assert_eq!(
            lines[2],
            r#"GET /invoices/<id>: 200 {"invoice":"order 77: 12.50"}"#
        );
        assert!(lines[3].starts_with("GET /invoices/none: 400 {\"error\":"));
        assert_eq!(lines.len(), 4);
    });
}

/// Two programs: the sender is started first, and waits for the worker. Over the file that both take of themselves, and
/// over Redis.
#[test]
fn by_name_across_programs() {
    let data = tempfile::tempdir().expect("a folder");
    let redis = RedisServer::start();
    for broker in [None, Some(redis.url())] {
        let over = |mut program: Command| {
            program.env("XDG_DATA_HOME", data.path());
            if let Some(url) = &broker {
                program.args(["--broker", url]);
            }
            program
        };
        let sender = over(program("by_name")).spawn().expect("by_name starts");
        let mut worker = over(program("by_name_worker"));
        worker.args(["-Q", "lessons.names"]).stdout(Stdio::null());
        let worker = worker.spawn().expect("by_name_worker starts");

        let ended = end_of(sender);
        let lines = ended.lines();
        assert_eq!(
            lines[..4],
            [
                "lessons.distance(from: Place, to: Place)",
                "The way between two places in kilometres, as the crow flies.",
                "300.5 km",
                "300.5 km",
            ]
        );
        assert!(lines[4].contains("is dead"), "{}", lines[4]);
        assert_eq!(lines.len(), 5);

        // The worker is a program like any other: Ctrl-C, or a supervisor's SIGTERM, ends it.
        ask_to_end(&worker);
        assert_eq!(end_of(worker).status, Some(0));
    }
}

#[test]
fn a_lesson_without_its_broker_says_so_and_ends() {
    let mut lesson = program("retries");
    lesson.args(["--broker", "redis://127.0.0.1:1/0"]);
    let began = Instant::now();
    let ended = run(lesson);
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("127.0.0.1:1"), "{}", ended.stderr);
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// A lesson that nobody runs rots.
#[test]
fn every_example_has_a_test() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("Cargo.toml");
    let tests = ["lessons.rs", "main.rs", "quickstart.rs"]
        .map(|name| fs::read_to_string(folder().join("tests/it").join(name)).unwrap_or_default())
        .concat();
    let examples = manifest.split("[[example]]\nname = \"").skip(1);
    let mut seen = 0;
    for name in examples.filter_map(|rest| rest.split('"').next()) {
        let run = [format!("lesson(\"{name}\""), format!("program(\"{name}\")")];
        assert!(run.iter().any(|r| tests.contains(r)), "no test runs {name}");
        seen += 1;
    }
    assert!(seen > 9, "{seen} examples");
}
