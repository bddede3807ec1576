//! The real program before a reader that has gone (`| head`): it ends as if somebody had read it, and says nothing of it.

use std::process::{Command, Output, Stdio};

use private_redis::RedisServer;

const ID: &str = "0198c0de-0000-7000-8000-000000000000";

/// A stream that nobody reads any more.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn taskq(url: &str, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskq"));
    command.args(line).env("TASKQ_BROKER_URL", url);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ends it")
}

#[test]
fn every_command_ends_as_if_it_was_read() {
    let server = RedisServer::start();
    for (line, end) in [
        (&["call", "t", "--id", ID][..], 0),
        (&["help"], 0),
        (&["inspect", "active", "--help"], 0),
        (&["--version"], 0),
        (&["completions", "zsh"], 0),
        (&["man"], 0),
        (&[], 2),
        (&["inspec"], 2),
        (&["queues"], 0),
        (&["queues", "--json"], 0),
        (&["list"], 0),
        (&["status"], 69),
        (&["inspect", "ping", "--json"], 69),
        (&["result", ID], 0),
        (&["result", ID, "--json"], 0),
        (&["result", ID, "--follow"], 0),
        (&["why", ID], 0),
        (&["dead", "list"], 0),
        (&["events"], 0),
        (&["events", "--json"], 0),
        (&["events", "--oldest"], 0),
        (&["events", "--oldest", "--follow"], 0),
        (&["control", "pause", "celery"], 0),
        (&["control", "resume", "celery"], 0),
        (&["control", "revoke", ID], 0),
        (&["purge", "celery"], 2),
        (&["purge", "celery", "--yes"], 0),
        (&["call", "t", "--wait", "--timeout", "10ms"], 75),
    ] {
        for is_err_read in [true, false] {
            let mut command = taskq(&server.url(), line);
            command.stdout(unread());
            if !is_err_read {
                command.stderr(unread());
            }
            let output = command.output().unwrap();
            assert_eq!(code(&output), end, "{line:?}: {output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            for word in ["panicked", "Broken pipe", "stdout"] {
                assert!(!said.contains(word), "{line:?}: {said}");
            }
        }
    }
}
