//! What it says when it can not measure.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::{bench, ended};

#[test]
fn help_does_not_carry_the_word_for_a_miss() {
    for words in [
        &["--help"][..],
        &["-h"],
        &["limit", "--help"],
        &["drain", "--help"],
        &["latency", "--help"],
        &["send", "--help"],
        &["all", "--help"],
    ] {
        let (status, out, err) = ended(bench(words));
        assert_eq!((status, &*err), (Some(0), ""), "{words:?}");
        assert!(out.contains("Usage:") && !out.contains("short"), "{out}");
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    for words in [
        &["fly"][..],
        &["drain", "--tasks", "0"],
        &["all", "--runs", "0"],
        &[],
    ] {
        let (status, out, err) = ended(bench(words));
        assert_eq!((status, &*out), (Some(2), ""), "{words:?}");
        assert!(err.contains("--help"), "{err}");
    }
}

#[test]
fn without_a_redis_server_it_says_how_to_get_one() {
    let empty = tempfile::tempdir().unwrap();
    let mut command = bench(&["limit", "--json"]);
    command.env("PATH", empty.path());
    let (status, out, err) = ended(command);
    assert_eq!((status, &*out), (Some(69), ""), "{err}");
    assert!(err.contains("no redis-server in PATH"), "{err}");
    assert!(err.contains("apt-get install redis-server"), "{err}");
}

#[test]
fn without_its_worker_it_says_how_to_build_it() {
    let alone = tempfile::tempdir().unwrap();
    let program = alone.path().join("taskq-bench");
    fs::hard_link(env!("CARGO_BIN_EXE_taskq-bench"), &program)
        .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_taskq-bench"), &program).map(drop))
        .unwrap();
    let mut command = std::process::Command::new(&program);
    command.args(["latency", "--tasks", "100", "--runs", "1"]);
    let (status, out, err) = ended(command);
    assert_eq!((status, &*out), (Some(69), ""), "{err}");
    assert!(
        err.contains("cargo build --release -p taskq-bench"),
        "{err}"
    );
}

#[test]
fn a_worker_that_ends_by_itself_is_told_of_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("taskq-bench");
    fs::copy(env!("CARGO_BIN_EXE_taskq-bench"), &program).unwrap();
    // Any program that ends at once with a word on stderr will do.
    symlink("/bin/cat", folder.path().join("taskq-bench-worker")).unwrap();
    let mut command = std::process::Command::new(&program);
    command.args(["drain", "--tasks", "100", "--runs", "1"]);
    let (status, out, err) = ended(command);
    assert_eq!((status, &*out), (Some(1), ""), "{err}");
    assert!(err.contains("the worker has ended with"), "{err}");
    assert!(err.contains("option"), "it shows no log: {err}");
}

#[test]
fn a_stuck_worker_is_killed_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("taskq-bench");
    fs::copy(env!("CARGO_BIN_EXE_taskq-bench"), &program).unwrap();
    let worker = folder.path().join("taskq-bench-worker");
    fs::write(&worker, "#!/bin/sh\necho I sleep >&2\nexec sleep 600\n").unwrap();
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).unwrap();
    for (part, why) in [
        ("drain", "100 messages are left"),
        ("latency", "no worker has"),
    ] {
        let mut command = std::process::Command::new(&program);
        command.args([part, "--tasks", "100", "--runs", "1", "--patience", "1"]);
        let (status, out, err) = ended(command);
        assert_eq!((status, &*out), (Some(1), ""), "{err}");
        assert!(err.contains(why) && err.contains("I sleep"), "{err}");
        let process = err.split("process ").nth(1).unwrap();
        let process = process.split(',').next().unwrap();
        assert!(err.contains("was killed"), "{err}");
        assert!(!Path::new("/proc").join(process).exists(), "{err}");
    }
}

#[test]
fn without_a_reader_of_stderr_the_status_is_the_same() {
    let empty = tempfile::tempdir().unwrap();
    let mut refused = bench(&["limit"]);
    refused.env("PATH", empty.path());
    let measured = bench(&["limit", "--tasks", "100", "--runs", "1"]);
    for (mut command, end) in [(refused, 69), (measured, 0), (bench(&["fly"]), 2)] {
        let (reader, unread) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stderr(unread).output().unwrap();
        assert_eq!(output.status.code(), Some(end), "{command:?}");
    }
}
