//! Brokers that are not there, by the real program.

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use taskq_core::broker::sqlite::SqliteBroker;

use crate::transcripts::leaves;

const ID: &str = "0198c0de-0000-7000-8000-000000000000";

fn taskq(line: &[&str]) -> Output {
    spawn(line).wait_with_output().unwrap()
}

fn spawn(line: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_taskq"))
        .args(line)
        .env_remove("TASKQ_BROKER_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Every subcommand gives up on `url` with 69, says so and names `address`; well before the 30 s of a service.
async fn gives_up(url: &str, address: &str) {
    let of_one = |path: &str| match path {
        "inspect query_task" | "result" | "why" | "control revoke" | "control terminate"
        | "dead show" | "dead replay" | "dead drop" => &[ID][..],
        "control add_consumer"
        | "control cancel_consumer"
        | "control pause"
        | "control resume"
        | "purge" => &["geo"],
        "call" => &["t", "-a", "[]"],
        "control time_limit" => &["t", "1"],
        _ => &[],
    };
    // All at once: each waits for its own patience.
    let began = Instant::now();
    let mut programs = Vec::new();
    for (n, path) in leaves().await.into_iter().enumerate() {
        let path = path.join(" ");
        let json = if n % 2 == 0 { &["--json"][..] } else { &[] };
        let words: Vec<&str> = path.split(' ').collect();
        let line = [&["--broker", url], &words[..], of_one(&path), json].concat();
        programs.push((spawn(&line), path));
    }
    for (program, path) in programs {
        let said = program.wait_with_output().unwrap();
        let err = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(69), "{path}: {err}");
        assert!(err.contains(address), "{path}: {err}");
        assert!(!err.contains("s3cret"), "{path}: {err}");
        assert!(said.stdout.is_empty());
    }
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn nobody_listening_is_69() {
    let address = format!("127.0.0.1:{}", private_redis::free_port());
    gives_up(&format!("redis://:s3cret@{address}/0"), &address).await;
}

#[tokio::test]
async fn somebody_who_never_answers_is_69() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap().to_string();
    gives_up(&format!("redis://:s3cret@{address}/0"), &address).await;
}

#[test]
fn a_broker_that_is_full_refuses_and_was_reached() {
    let server = private_redis::RedisServer::start();
    server.set("maxmemory", "1");
    let said = taskq(&["--broker", &server.url(), "call", "t"]);
    let err = String::from_utf8(said.stderr).unwrap();
    assert_eq!(
        (said.status.code(), said.stdout),
        (Some(1), vec![]),
        "{err}"
    );
    assert!(err.contains("out of memory"), "{err}");
}

#[test]
fn what_is_no_address_is_usage() {
    for url in ["nonsense", "http://somewhere", ""] {
        let said = taskq(&["-b", url, "inspect", "ping"]);
        assert_eq!(said.status.code(), Some(2), "{url:?}");
    }
}

/// As of workers and services, where they can not go on.
#[test]
fn a_file_that_is_no_broker_has_the_status_of_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "no database\n".repeat(1_000)).unwrap();
    let url = |path: &std::path::Path| format!("sqlite://{}", path.display());
    for (url, status, told) in [
        (url(&notes), 1, "move it away"),
        (url(folder.path()), 2, "is a folder"),
        (url(&folder.path().join("none.db")), 69, "no broker's file"),
        ("sqlite://localhost/q.db".to_owned(), 2, "has no host"),
    ] {
        let said = taskq(&["-b", &url, "queues"]);
        let err = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(status), "{url}: {err}");
        assert!(err.contains(told), "{url}: {err}");
    }
}

#[test]
fn the_environment_names_the_broker_and_the_option_beats_it() {
    let (environment, option) = (private_redis::free_port(), private_redis::free_port());
    let url = |port| format!("redis://127.0.0.1:{port}/0");
    let said = |line: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_taskq"));
        let output = program
            .args(line)
            .env("TASKQ_BROKER_URL", url(environment))
            .output();
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    let by_environment = said(&["inspect", "ping"]);
    assert!(
        by_environment.contains(&environment.to_string()),
        "{by_environment}"
    );
    let by_option = said(&["inspect", "ping", "--broker", &url(option)]);
    assert!(by_option.contains(&option.to_string()), "{by_option}");
}

#[test]
fn a_broker_that_would_die_with_the_process_is_refused() {
    for line in [
        &["-b", "memory://", "call", "x"][..],
        &["-b", "memory://", "inspect", "ping"],
        &["-b", "sqlite::memory:", "inspect", "ping"],
    ] {
        let said = taskq(line);
        let err = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(2), "{line:?}: {err}");
        assert!(err.contains("redis://") && said.stdout.is_empty(), "{err}");
    }
}

#[test]
fn who_names_no_broker_is_told_of_a_file_of_his_own_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let said = |line: &[&str], data: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_taskq"));
        let output = program
            .args(line)
            .env_remove("HOME")
            .env("TASKQ_BROKER_URL", "")
            .env("XDG_DATA_HOME", data)
            .output();
        output.unwrap()
    };
    let data = folder.path().to_str().unwrap();
    let file = folder.path().join("taskq/taskq.db");
    // A look makes none: workers whose file went away would go on with the empty one.
    for line in [&["queues", "--json"][..], &["status"], &["call", "t"]] {
        let looked = said(line, data);
        let err = String::from_utf8(looked.stderr).unwrap();
        assert_eq!(looked.status.code(), Some(69), "{err}");
        let told = format!("there is no broker's file at {}", file.display());
        assert!(err.contains(&told), "{err}");
        assert!(!folder.path().join("taskq").exists());
    }
    drop(SqliteBroker::open(&file).unwrap());
    let queues = said(&["queues", "--json"], data);
    let err = String::from_utf8(queues.stderr).unwrap();
    assert_eq!(queues.status.code(), Some(0), "{err}");
    let url = format!("sqlite://{data}/taskq/taskq.db");
    let told = format!("no broker is named, taking {url} ");
    assert_eq!(err.matches(&told).count(), 1, "{err}");
    // What needs no broker takes none.
    let version = said(&["--version"], data);
    assert!(version.stderr.is_empty());
    let nowhere = said(&["queues"], "");
    let err = String::from_utf8(nowhere.stderr).unwrap();
    assert_eq!(nowhere.status.code(), Some(2), "{err}");
    assert!(
        err.contains("XDG_DATA_HOME") && err.contains("--broker"),
        "{err}"
    );
}

#[test]
fn the_version_is_told() {
    let said = taskq(&["--version"]);
    let version = format!("taskq {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(said.stdout).unwrap(), version);
}
