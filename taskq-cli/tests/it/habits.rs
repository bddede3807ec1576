//! What people type by habit, and help.

use insta::assert_snapshot;
use taskq_cli::Exit;

use crate::stage::Stage;

const ID: &str = "0198c0de-0000-7000-8000-000000000000";

#[tokio::test]
async fn help_tells_all_there_is() {
    let stage = Stage::new();
    for (name, line) in [
        ("help", &["--help"][..]),
        ("help_inspect", &["inspect", "--help"]),
        ("help_active", &["inspect", "active", "--help"]),
        ("help_control", &["control", "--help"]),
        ("help_time_limit", &["control", "time_limit", "--help"]),
        ("help_revoke", &["control", "revoke", "--help"]),
        ("help_pause", &["control", "pause", "--help"]),
        ("help_status", &["status", "--help"]),
        ("help_list", &["list", "--help"]),
        ("help_queues", &["queues", "--help"]),
        ("help_call", &["call", "--help"]),
        ("help_events", &["events", "--help"]),
        ("help_completions", &["completions", "--help"]),
        ("help_man", &["man", "--help"]),
        ("help_result", &["result", "--help"]),
        ("help_why", &["why", "--help"]),
        ("help_dead_list", &["dead", "list", "--help"]),
        ("help_dead_drop", &["dead", "drop", "--help"]),
        ("help_purge", &["purge", "--help"]),
    ] {
        let said = stage.run(line).await;
        assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
        assert_snapshot!(name, said.out);
    }
}

#[tokio::test]
async fn what_is_not_built_is_refused_with_a_sentence() {
    let stage = Stage::new();
    let mut sentences = String::new();
    for line in [
        &["replay"][..],
        &["control", "rate_limit", "t", "10/m"],
        &["control", "autoscale", "10", "3"],
        &["control", "--json", "enable_events"],
        &["-A", "proj", "top"],
        &["worker", "-Q", "celery"],
        &["inspect", "clock"],
        &["inspect", "-d", "w1@bar", "memdump"],
        &["inspect", "memsample", "--json"],
        &["stats"],
        &["report"],
        &["shutdown"],
        &["pause", "celery"],
        &["control", "active"],
        &["inspect", "queues"],
        &["purge", "-f", "celery"],
        &["purge", "-Q", "celery"],
        &["control", "revoke", "-s", "KILL", ID],
        &["control", "revoke", ID, "--signal", "KILL"],
        &["control", "terminate", "SIGTERM", ID],
        &["call", "-q", "geo", "t"],
    ] {
        let said = stage.run(line).await;
        assert_eq!(
            (said.exit, said.out.as_str()),
            (Exit::Usage, ""),
            "{line:?}: {said}"
        );
        sentences.push_str(&said.err);
    }
    assert_snapshot!(sentences, @r#"
    taskq: `taskq replay` is called `taskq dead replay`
    taskq: `taskq control rate_limit` is not built yet
    taskq: `taskq control autoscale` does not exist: a slot that has nothing to do costs nothing; `taskq control pool_grow` adds some
    taskq: `taskq control enable_events` does not exist: events are part of what is stored and always told
    taskq: `taskq top` is not built yet
    taskq: `taskq worker` does not exist: a worker is your own program, made with the crate taskq-worker; start that one
    taskq: `taskq inspect clock` does not exist: taskq keeps no logical clock
    taskq: `taskq inspect memdump` does not exist: it is about Python objects
    taskq: `taskq inspect memsample` is part of `taskq inspect stats`
    taskq: `taskq stats` is called `taskq inspect stats`
    taskq: `taskq report` is called `taskq inspect report`
    taskq: `taskq shutdown` is called `taskq control shutdown`
    taskq: `taskq pause` is called `taskq control pause`
    taskq: `taskq control active` is called `taskq inspect active`
    taskq: `taskq inspect queues` is called `taskq queues`
    taskq: `taskq purge -f` is spelt `--yes`
    taskq: `taskq purge -Q` is not needed: name the queue alone, `taskq purge QUEUE`
    taskq: `taskq control revoke -s` does not exist: a task is no process, so there is no signal to choose; `taskq control terminate ID` cuts off what runs
    taskq: `taskq control revoke --signal` does not exist: a task is no process, so there is no signal to choose; `taskq control terminate ID` cuts off what runs
    taskq: SIGTERM is no id, and a signal does not exist: a task is no process, so there is no signal to choose; `taskq control terminate ID` cuts off what runs
    taskq: `taskq call -q` is spelt `--queue`
    "#);
}

#[tokio::test]
async fn an_unknown_word_is_answered_by_the_usage() {
    assert_snapshot!(Stage::new().run(&["inspec", "ping"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'inspec'

      tip: a similar subcommand exists: 'inspect'

    Usage: taskq [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
    assert_snapshot!(Stage::new().run(&["inspect", "frobnicate"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'frobnicate'

    Usage: taskq inspect [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
}

#[tokio::test]
async fn a_usage_line_asks_for_nothing_that_is_not_needed() {
    let line = ["--json", "purge", "--broker", "redis://127.0.0.1:1/0"];
    assert_snapshot!(Stage::new().run(&line).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      <QUEUE>

    Usage: taskq purge <QUEUE>

    For more information, try '--help'.
    "#);
}

#[tokio::test]
async fn a_tip_names_no_option_that_is_only_refused() {
    let stage = Stage::new();
    for line in [
        &["--ap", "x", "queues"][..],
        &["inspect", "ping", "--appp", "x"],
    ] {
        let said = stage.run(line).await;
        assert_eq!(said.exit, Exit::Usage, "{said}");
        assert!(said.err.contains("unexpected argument"), "{said}");
        assert!(!said.err.contains("--app'"), "{said}");
        assert!(!said.err.contains("tip:"), "{said}");
    }
    let said = stage.run(&["status", "--destinatio", "w1"]).await;
    assert!(said.err.contains("'--destination'"), "{said}");
}

#[tokio::test]
async fn an_application_is_not_needed() {
    let said = Stage::new().run(&["-A", "proj", "inspect", "ping"]).await;
    assert_snapshot!(said, @r#"
    exit 2
    --- stdout
    --- stderr
    taskq: -A is not needed: taskq knows tasks by their name and needs no application; leave it out
    "#);
}

#[tokio::test]
async fn without_a_command_there_is_help_and_exit_2() {
    let said = Stage::new().run(&[]).await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Usage, ""));
    assert!(said.err.contains("Usage: taskq"), "{said}");
}

#[tokio::test]
async fn no_colour_codes_are_written() {
    for line in [&["--help"][..], &["inspec"], &["call", "t", "-a", "["]] {
        let said = Stage::new().run(line).await;
        assert!(!format!("{said}").contains('\u{1b}'), "{line:?}");
    }
}
