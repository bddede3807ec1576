//! The command line's words. What it does with them is in `process`.

use std::process::{Command, Output};

fn worker(args: &[&str]) -> Output {
    let all: Vec<_> = ["worker"].iter().chain(args).collect();
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TASKQ_")) {
        command.env_remove(name);
    }
    command
        .args(["--exact", "process::child", "--nocapture"])
        .env("TASKQ_TEST_CHILD", serde_json::to_string(&all).unwrap())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let line = ["worker", "-b", "amqp://x"];
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::child", "--nocapture"])
        .env("TASKQ_TEST_CHILD", serde_json::to_string(&line).unwrap())
        .envs(
            [
                "TASKQ_QUEUES",
                "TASKQ_EXCLUDE_QUEUES",
                "TASKQ_CONCURRENCY",
                "TASKQ_LEASE",
            ]
            .map(|name| (name, "")),
        )
        .output()
        .unwrap();
    // What it stumbles over is the broker, behind all flags.
    assert!(
        stderr(&output).contains("not built yet"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn help() {
    let output = worker(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    // What the test harness said before is not ours.
    let help = text.split_once("Takes tasks").unwrap().1;
    insta::assert_snapshot!(format!("Takes tasks{help}"));
}

#[test]
fn flags_of_celery_are_answered() {
    for (args, answer) in [
        (
            &["-A", "proj"][..],
            "-A/--app of Celery is not a flag here: tasks are linked",
        ),
        (&["worker"], "leave the word `worker` out"),
        (&["start"], "nothing is known about \"start\""),
        (&["-P", "gevent"], "there is no pool to choose"),
        (&["--pool=solo"], "there is no pool to choose"),
        (&["-D"], "leave this to systemd"),
        (&["-B"], "periodic tasks are not built yet"),
        (&["--autoscale", "10,3"], "autoscaling is not built yet"),
        (&["--autoscale"], "autoscaling is not built yet"),
        (&["-O", "fair"], "only when a slot is free"),
        (&["--prefetch-multiplier=1"], "nothing is prefetched"),
        (
            &["--max-tasks-per-child", "1"],
            "--max-tasks N ends the worker itself",
        ),
        (
            &["--max-memory-per-child", "12000"],
            "--max-memory SIZE, with a unit",
        ),
        (
            &["--pool-start-method", "fork"],
            "there are no child processes",
        ),
        (&["-f", "x.log"], "redirect it"),
        (&["--purge"], "not built yet"),
        (&["-I", "proj.tasks"], "use my_tasks as _"),
        (&["-S", "state"], "keeps no state of its own"),
        (&["--heartbeat-interval", "2"], "see --lease"),
        (&["-q"], "--loglevel error"),
    ] {
        let output = worker(args);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(answer), "{args:?}: {text}");
    }
}

#[test]
fn flags_that_ask_for_what_is_so_anyway_pass_with_a_notice() {
    // A scheme that is not built ends it right after the flags have passed.
    let args = [
        "-E",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "-b",
        "amqp://x",
    ];
    let text = stderr(&worker(&args));
    for notice in [
        "-E/--task-events changes nothing",
        "--without-gossip changes nothing",
        "--without-mingle changes nothing",
        "--without-heartbeat changes nothing",
        "a broker at amqp:// is not built yet",
    ] {
        assert!(text.contains(notice), "{notice}: {text}");
    }
}

/// The statuses of the `taskq` command and of services, too: each kind of trouble has one.
#[test]
fn a_file_that_is_no_broker_ends_it_with_the_status_of_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes.txt");
    std::fs::write(&notes, "no database\n".repeat(1_000)).unwrap();
    for (url, status, told) in [
        (format!("sqlite://{}", notes.display()), 1, "move it away"),
        (
            format!("sqlite://{}", folder.path().display()),
            2,
            "is a folder",
        ),
        ("sqlite://localhost/q.db".to_owned(), 2, "has no host"),
        (
            "sqlite::memory::".to_owned(),
            2,
            "in memory is sqlite::memory:",
        ),
    ] {
        let output = worker(&["-b", &url]);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{url}: {text}");
        assert!(text.contains(told), "{url}: {text}");
    }
}
