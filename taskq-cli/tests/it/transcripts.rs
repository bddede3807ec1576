//! Every subcommand before two live workers and a real Redis, as a table and as JSON, and what goes wrong with each.

use std::collections::BTreeSet;
use std::time::Instant;

use insta::assert_snapshot;
use serde_json::json;

use crate::about::commands;
use crate::effects::{PATIENCE, Stage, T};
use crate::stage::Stage as Memory;

/// The id of a call: all but the last digit is the same.
macro_rules! id {
    ($digit:literal) => {
        concat!("0198c0de-0000-7000-8000-00000000000", $digit)
    };
}
const ID: &str = id!("");

/// What stands in JSON behind these words differs from run to run.
const VARYING: &str = "pid port enqueued_at at runtime runtime_s time_start uptime utime stime maxrss oldest_ms timestamp";

/// Words of the script below that stand for an id each.
const CALLS: [(&str, &str); 10] = [
    ("RUNS", id!("1")),
    ("LATER", id!("2")),
    ("DONE", id!("3")),
    ("DEAD", id!("4")),
    ("DEAD2", id!("5")),
    ("RUNS2", id!("6")),
    ("WAITS", id!("7")),
    ("WAITS2", id!("8")),
    ("ALONE", id!("9")),
    ("UNKNOWN", id!("f")),
];

/// What `+ inspect …` stands for.
const INSPECTED: &str = "
+ inspect active
+ inspect active_queues
+ inspect conf
+ inspect registered
+ inspect report
+ inspect reserved
+ inspect revoked
+ inspect scheduled
+ inspect stats
";
/// What is typed, a part each. `+`: also with `--json`; `&`: only once what it names is so.
const ASKED: &str = "
+ status
+ list
+ queues
+ inspect ping
+ inspect …
+ inspect query_task RUNS DONE
+ inspect ping -d w2@test,w9@test
";
const CALLED: &str = r#"
  call echo -a [7] --queue geo
  call echo -a [7] --queue geo --json
+ call echo -a [7] --queue geo --wait
+ call echo -a [7] --queue geo --countdown 1h
+ result DONE
+ result RUNS
+ result DONE --follow
+ result UNKNOWN
+ why RUNS
+ why LATER
+ why DONE
+ why DEAD
+ why UNKNOWN
"#;
const DEAD: &str = "
+ dead list
+ dead show DEAD
+ dead show UNKNOWN
  dead replay DEAD
& DEAD
  dead replay DEAD --json
& DEAD
  dead replay UNKNOWN
  dead replay --all --json
  dead drop DEAD
  dead drop DEAD2 --json
  dead drop UNKNOWN --json
";
const CONTROLLED: &str = "
+ control time_limit nap 30 60
+ control pool_grow 2
+ control pool_shrink 2
+ control add_consumer mail -d w1@test
+ control cancel_consumer mail -d w1@test
+ control pause geo --reason stocktaking
  call echo -a [7] --queue geo --id WAITS
  call echo -a [7] --queue geo --id WAITS2
+ why WAITS
  control revoke WAITS
  control revoke WAITS2 --json
  control revoke UNKNOWN --queue geo
  control revoke DONE
+ why WAITS
+ inspect revoked
+ control resume geo
  control terminate RUNS
  control terminate RUNS2 --json
  control pause celery
  purge celery
  purge celery --yes
  purge celery --yes --json
  control shutdown -d w1@test
";
const LAST: &str = "
  control shutdown --json
";
const ALONE: &str = "
+ status
+ inspect ping
+ inspect …
+ inspect query_task RUNS
+ control time_limit nap 30 60
+ control pool_grow
+ control pool_shrink
+ control add_consumer mail
+ control cancel_consumer mail
+ control shutdown
  call echo --id ALONE --wait --timeout 10ms
  call echo --wait --timeout 10ms --json
+ why ALONE
+ list
+ queues
";

/// The words of a line, those for calls replaced.
fn line(text: &str) -> Vec<&str> {
    let id = |word: &str| CALLS.iter().find(|call| call.0 == word);
    text.split(' ')
        .map(|word| id(word).map_or(word, |call| call.1))
        .collect()
}

struct Scene {
    stage: Stage,
    /// What is not shown as it is.
    pids: Vec<String>,
    typed: BTreeSet<String>,
}

impl Scene {
    fn said(&mut self, line: &[&str]) -> String {
        // How long workers are waited for is the machine's matter.
        let asks = matches!(line[0], "inspect" | "control" | "status");
        let patient = [line, if asks { &["-t", T] } else { &[] }].concat();
        let (status, out, err) = self.stage.run(&patient);
        let typed = line.join(" ");
        let text = format!("exit {}\n{out}{err}", status.unwrap());
        self.typed.insert(typed.clone());
        redacted(&format!("$ taskq {typed}\n{text}\n"), &self.pids)
    }

    fn play(&mut self, script: &str) -> String {
        let mut transcript = String::new();
        let script = script.replace("+ inspect …", INSPECTED.trim());
        for text in script.trim_matches('\n').lines() {
            let (mark, text) = text.split_at(2);
            let line = line(text);
            if mark == "& " {
                self.stage.until(line[0], "DEAD");
                continue;
            }
            transcript.push_str(&self.said(&line));
            if mark == "+ " {
                transcript.push_str(&self.said(&[&line[..], &["--json"]].concat()));
            }
        }
        transcript
    }
}

/// What differs from run to run replaced, and columns moved together: their widths differ with it.
fn redacted(text: &str, pids: &[String]) -> String {
    let mut shown = String::new();
    let mut key = "";
    for line in text.lines() {
        let known = ["system: ", "broker: redis"]
            .into_iter()
            .find(|head| line.starts_with(head));
        let mut tidy = String::new();
        let ends = |c: char| c.is_whitespace() || "\"'`,;()[]{}\\".contains(c);
        for part in line.split_inclusive(ends) {
            let end = part.len()
                - part
                    .chars()
                    .next_back()
                    .filter(|c| ends(*c))
                    .map_or(0, char::len_utf8);
            let (word, end) = part.split_at(end);
            let bare = word.trim_start_matches(':');
            let (colon, bare) = (&word[..word.len() - bare.len()], bare.trim_end_matches(':'));
            let varies = VARYING.split(' ').any(|v| v == key)
                && colon == ":"
                && bare != "null"
                && !bare.is_empty();
            tidy.push_str(colon);
            tidy.push_str(if varies { "<n>" } else { token(bare, pids) });
            tidy.push_str(&word[colon.len() + bare.len()..]);
            tidy.push_str(end);
            if !(word.is_empty() && end == "\"") {
                key = bare;
            }
        }
        let cells = tidy
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty());
        let size = |cell| {
            if str::ends_with(cell, " MiB") {
                "<size>"
            } else {
                cell
            }
        };
        let cells: Vec<&str> = cells.map(size).collect();
        shown.push_str(&known.map_or(cells.join("  "), |head| format!("{head}<…>")));
        shown.push('\n');
    }
    blanked(blanked(shown, "\\nsystem: "), "\\nbroker: redis")
}

/// What stands in a text in JSON behind `head`, up to the end of its line, left out.
fn blanked(text: String, head: &str) -> String {
    let mut parts = text.split(head);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once("\\n").unwrap_or(("", part));
        shown.push_str(&format!("{head}<…>\\n{rest}"));
    }
    shown
}

/// A word, or what it is.
fn token<'a>(word: &'a str, pids: &[String]) -> &'a str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_span = || {
        let Some(number) = word.strip_suffix(['s', 'm']) else {
            return false;
        };
        number.split(['.', 'h', 'm']).all(digits) && number.contains(['.', 'h', 'm'])
    };
    let dashes = word.match_indices('-').map(|(at, _)| at);
    let is_id = word.len() == 36 && dashes.eq([8, 13, 18, 23]);
    match word {
        _ if pids.iter().any(|pid| pid == word) => "<pid>",
        _ if is_id && !word.starts_with(ID) => "<id>",
        _ if word.starts_with("…") => "<end of the id>",
        _ if word.starts_with("ana@") => "<who>",
        _ if word.contains("127.0.0.1:") => "<broker>",
        _ if word.len() >= 24 && word.ends_with('Z') && word.as_bytes()[10] == b'T' => "<time>",
        _ if is_span() => "<span>",
        _ => word,
    }
}

/// Two workers, one that runs two long calls, and a call each that waits, has ended, is dead.
fn two_workers() -> (Scene, [crate::effects::Worker; 2]) {
    let stage = Stage::new();
    let workers = [
        stage.worker("w1@test", "celery"),
        stage.worker("w2@test", "geo"),
    ];
    let pids = workers.iter().map(|worker| worker.0.id().to_string());
    let scene = Scene {
        pids: pids.collect(),
        stage,
        typed: BTreeSet::new(),
    };
    for (text, state) in [
        ("call nap -a [3600000] --id RUNS", ""),
        ("call echo -a [3] --queue geo --id DONE", "SUCCESS"),
        ("call no.such --id DEAD", "DEAD"),
        ("call no.such --id DEAD2", "DEAD"),
        ("call nap -a [3600000] --queue geo --id RUNS2", ""),
        ("call echo -a [2] --countdown 1h --id LATER", "SCHEDULED"),
    ] {
        let line = line(text);
        assert_eq!(scene.stage.run(&line).0, Some(0), "{text}");
        if !state.is_empty() {
            scene.stage.until(line[line.len() - 1], state);
        }
    }
    let began = Instant::now();
    let settled = || {
        let stats = scene.stage.json(&["inspect", "stats", "-t", T]);
        let one = ["w1@test", "w2@test"].map(|node| {
            let stats = &stats[node];
            (stats["pool"]["running"].clone(), stats["processed"].clone())
        });
        one == [(json!(1), json!(2)), (json!(1), json!(1))]
    };
    while !settled() {
        assert!(began.elapsed() < PATIENCE, "they do not begin");
    }
    (scene, workers)
}

#[tokio::test]
async fn every_subcommand_answers_as_a_table_and_as_json() {
    let (mut scene, mut workers) = two_workers();
    assert_snapshot!("transcript_asked", scene.play(ASKED));
    assert_snapshot!("transcript_called", scene.play(CALLED));
    let filter = format!("id={ID}3");
    let events = ["events", "--oldest", "--filter", &filter, "type=task-s*"];
    let transcript = [
        scene.said(&events),
        scene.said(&[&events[..], &["--json"]].concat()),
    ];
    assert_snapshot!("transcript_events", transcript.concat());
    assert_snapshot!("transcript_dead", scene.play(DEAD));
    assert_snapshot!("transcript_controlled", scene.play(CONTROLLED));
    assert_eq!(workers[0].end(), Some(0));
    assert_snapshot!("transcript_last", scene.play(LAST));
    assert_eq!(workers[1].end(), Some(0));
    for path in leaves().await {
        let path = path.join(" ");
        let typed = |json| {
            let is_it = |line: &&String| line.starts_with(&path) && line.contains("--json") == json;
            scene.typed.iter().any(|line| is_it(&line))
        };
        assert!(typed(false) && typed(true), "{path} is not shown");
    }
    // From here on there is no worker any more.
    assert_snapshot!("transcript_alone", scene.play(ALONE));
}

/// All subcommands that ask the broker. What the others say about is tested beside them.
pub(crate) async fn leaves() -> Vec<Vec<String>> {
    let all = commands().await;
    let is_leaf = |path: &&Vec<String>| {
        !all.iter()
            .any(|other| other.len() > path.len() && other.starts_with(path))
    };
    let of_broker = |path: &&Vec<String>| !["completions", "man"].contains(&path[0].as_str());
    all.iter()
        .filter(is_leaf)
        .filter(of_broker)
        .cloned()
        .collect()
}

#[tokio::test]
async fn a_flag_or_an_id_that_is_none_is_usage_everywhere() {
    let stage = Memory::new();
    let wrong = async |line: Vec<&str>| {
        let said = stage.run(&line).await;
        assert_eq!((said.exit.code(), &*said.out), (2, ""), "{line:?}: {said}");
        said.err.lines().next().unwrap().to_owned()
    };
    let leaves = leaves().await;
    for path in &leaves {
        let line: Vec<&str> = path
            .iter()
            .map(String::as_str)
            .chain(["--frobnicate"])
            .collect();
        let first = wrong(line).await;
        assert_eq!(
            first, "error: unexpected argument '--frobnicate' found",
            "{path:?}"
        );
    }
    let mut transcript = String::new();
    for text in [
        "result 7",
        "why 7",
        "dead show 7",
        "dead replay 7",
        "dead drop 7",
        "control revoke 7",
        "control terminate 7",
        "inspect query_task 7",
        "call t --id 7",
    ] {
        let first = wrong(text.split(' ').collect()).await;
        transcript.push_str(&format!("$ taskq {text}\n{first}\n"));
    }
    assert_snapshot!("transcript_wrong", transcript);
}

#[test]
fn a_transcript_hides_what_differs_and_nothing_else() {
    let text = "by ana@vm: w1  4711  3.0s  2h07m  x  \"pid\":4711,\"n\":3,\"at\":17} 01a20628-1070-763c-a3f2-9acc2dfbf82d 2026-01-01T00:00:00.000Z done";
    assert_eq!(
        redacted(text, &["4711".to_owned()]),
        "by <who>: w1  <pid>  <span>  <span>  x  \"pid\":<n>,\"n\":3,\"at\":<n>} <id> <time> done\n"
    );
}
