//! What people type by habit, and help.

use insta::assert_snapshot;
use taskq_cli::Exit;

use crate::stage::Stage;

#[tokio::test]
async fn help_tells_all_there_is() {
    let stage = Stage::new();
    for (name, line) in [
        ("help", &["--help"][..]),
        ("help_inspect", &["inspect", "--help"]),
        ("help_active", &["inspect", "active", "--help"]),
        ("help_status", &["status", "--help"]),
        ("help_list", &["list", "--help"]),
        ("help_queues", &["queues", "--help"]),
        ("help_call", &["call", "--help"]),
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
        &["events", "--dump"],
        &["control", "shutdown"],
        &["-A", "proj", "top"],
        &["worker", "-Q", "celery"],
        &["inspect", "reserved"],
        &["inspect", "-d", "w1@bar", "conf"],
        &["stats"],
        &["inspect", "report", "--json"],
        &["report"],
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
    taskq: `taskq events` is not built yet
    taskq: `taskq control` is not built yet
    taskq: `taskq top` is not built yet
    taskq: `taskq worker` does not exist: a worker is your own program, made with the crate taskq-worker; start that one
    taskq: `taskq inspect reserved` is not built yet
    taskq: `taskq inspect conf` is not built yet
    taskq: `taskq stats` is called `taskq inspect stats`
    taskq: `taskq inspect report` is not built yet
    taskq: `taskq report` is not built yet
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
