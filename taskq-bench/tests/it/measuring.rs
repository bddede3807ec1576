//! A tiny run of each subcommand.

use serde_json::Value;

use crate::{bench, ended};

const LIMIT: &str = "limit: LPUSH + LMOVE + LREM";
const PUSHES: [&str; 2] = ["paced LPUSH, p50", "paced LPUSH, p99"];
const DRAINS: [&str; 4] = [
    "drain -c 512",
    "drain -c 512, results",
    "drain, default -c",
    "drain, default -c, results",
];
const PICKUPS: [&str; 2] = ["idle pickup, p50", "idle pickup, p99"];
const SENDS: [&str; 2] = ["64 senders", "64 senders, results"];

/// Runs `part` with JSON; answers its rows, which are checked for what every row must have.
fn rows(part: &str, runs: &str) -> Vec<Value> {
    rows_of(&[part], runs)
}

fn rows_of(part: &[&str], runs: &str) -> Vec<Value> {
    let how = ["--json", "--tasks", "2000", "--runs", runs];
    let (status, out, err) = ended(bench(&[part, &how].concat()));
    assert_eq!(status, Some(0), "{err}");
    assert!(!err.contains("short"), "{err}");
    let document: Value = serde_json::from_str(&out).expect("one JSON document");
    assert_eq!(document["tasks"], 2000);
    assert_eq!(document["runs"].to_string(), runs);
    assert!(document["machine"]["broker"].is_string(), "{out}");
    let rows = document["rows"].as_array().cloned().expect("rows");
    for row in &rows {
        let [lowest, figure, highest] =
            ["lowest", "figure", "highest"].map(|name| row[name].as_f64().expect(name));
        assert!(
            0.0 < lowest && lowest <= figure && figure <= highest,
            "{row}"
        );
        assert_eq!(row["ratio"].is_null(), row["ratio_of"].is_null(), "{row}");
        assert_eq!(row["bar"].is_null(), row["verdict"].is_null(), "{row}");
        if !row["verdict"].is_null() {
            let verdict = row["verdict"].as_str().expect("a word");
            assert!(["met", "short"].contains(&verdict), "{row}");
        }
    }
    rows
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|r| r["name"].as_str().expect("a name"))
        .collect()
}

#[test]
fn the_limit_is_two_things() {
    let rows = rows("limit", "2");
    assert_eq!(names(&rows), [LIMIT, PUSHES[0], PUSHES[1]]);
    assert!(rows.iter().all(|row| row["bar"].is_null()));
    assert!(rows.iter().all(|row| row["runs"] == 2), "{rows:?}");
}

/// Exit status 0 means that every task of every drain ran exactly once.
#[test]
fn drains_stand_between_limits() {
    let rows = rows("drain", "1");
    assert_eq!(names(&rows), [&[LIMIT], &DRAINS[..]].concat());
    assert_eq!(rows[0]["runs"], 5, "before, between and after");
    for row in &rows[1..] {
        assert_eq!(
            (&row["runs"], &row["ratio_of"]),
            (&1.into(), &"limit".into())
        );
        let ratio = row["figure"].as_f64().unwrap() / rows[0]["figure"].as_f64().unwrap();
        assert!(row["ratio"].as_f64().unwrap() > ratio / 100.0, "{row}");
    }
    let bars: Vec<_> = rows[1..].iter().map(|row| row["bar"].as_str()).collect();
    assert_eq!(bars, [Some(">= 0.45 x"), Some(">= 0.28 x"), None, None]);
}

#[test]
fn pickups_are_told_as_ratios_of_a_push() {
    let rows = rows("latency", "1");
    assert_eq!(names(&rows), [PUSHES, PICKUPS].concat());
    let bars: Vec<_> = rows[2..].iter().map(|row| row["bar"].as_str()).collect();
    assert_eq!(bars, [Some("<= 2.20 x"), Some("<= 2.50 x")]);
    assert!(rows[2..].iter().all(|row| row["ratio"].is_number()));
}

#[test]
fn sends_are_counted() {
    let rows = rows("send", "1");
    assert_eq!(names(&rows), SENDS);
    assert!(rows.iter().all(|row| row["bar"] == ">= 50,000"));
}

/// For people: one line per row, and the word for a miss at the end of its line or nowhere.
#[test]
fn all_of_it_is_a_table() {
    let (status, out, err) = ended(bench(&["all", "--tasks", "2000", "--runs", "1"]));
    assert_eq!(status, Some(0), "{err}");
    let expected = [&[LIMIT], &DRAINS[..], &PUSHES, &PICKUPS, &SENDS].concat();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), expected.len() + 2, "{out}");
    for (line, name) in lines[1..].iter().zip(expected) {
        assert!(line.starts_with(name), "{line} is not of {name}");
    }
    for line in lines {
        let words = line.matches("short").count();
        assert!(
            words == 0 || words == 1 && line.ends_with("  short"),
            "{line}"
        );
        assert!(
            words == 0 || line.contains(" x ") || line.contains(">="),
            "{line}"
        );
    }
    assert!(!err.contains("short"), "{err}");
}

/// The same over a file, in both modes: no Redis is started.
#[test]
fn the_embedded_broker_is_measured_against_bare_sqlite() {
    for sync in ["normal", "full"] {
        let rows = rows_of(&["all", "--broker", "sqlite", "--sync", sync], "1");
        let (drains, pickups) = (&DRAINS[..], &PICKUPS[..]);
        let expected = [
            &["limit: insert + move + delete"],
            drains,
            &["paced insert, p50", "paced insert, p99"],
            pickups,
            &SENDS,
            &["1 sender"],
        ];
        assert_eq!(names(&rows), expected.concat());
        let bars: Vec<_> = rows.iter().filter_map(|r| r["bar"].as_str()).collect();
        let sends = ">= 2,000";
        assert_eq!(bars, [">= 30,000", "<= 5,000", sends, sends, sends]);
    }
}
