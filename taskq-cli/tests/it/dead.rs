//! `taskq dead …` and `taskq purge`.

use insta::assert_snapshot;
use serde_json::Value;
use taskq_cli::Exit;
use taskq_core::State;
use taskq_core::broker::Inspect;

use crate::stage::{Stage, timeless};

const MAIL: &str = "0198c0de-0000-7000-8000-000000000001";
const BOOK: &str = "0198c0de-0000-7000-8000-000000000002";
const MISSING: &str = "0198c0de-0000-7000-8000-00000000000f";

/// Two that failed or died, and one that nobody could read.
async fn buried() -> Stage {
    let stage = Stage::new();
    for (id, task, queue, state, reason) in [
        (
            MAIL,
            "mail.send",
            "mail",
            State::Failure,
            "Timeout: the host is away",
        ),
        (
            BOOK,
            "stock.book",
            "geo",
            State::Dead,
            "its process died 3 times",
        ),
    ] {
        let wire = format!(r#"{{"id":"{id}","task":"{task}","args":[7]}}"#);
        stage.0.push_raw(&queue.parse().unwrap(), 0, wire).unwrap();
        stage.bury_next(queue, state, reason).await;
        // They are listed by their times.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    stage
        .0
        .push_raw(&"geo".parse().unwrap(), 0, "no message")
        .unwrap();
    stage
        .bury_next("geo", State::Dead, "it can not be read")
        .await;
    stage
}

#[tokio::test]
async fn the_dead_are_listed_newest_first() {
    let stage = buried().await;
    assert_snapshot!(timeless(&stage.run(&["dead", "list"]).await), @r#"
    exit 0
    --- stdout
    SINCE                     QUEUE  TASK        ID                                    STATE    REASON
    2026-01-01T00:00:00.000Z  geo    -           -                                     DEAD     it can not be read
    2026-01-01T00:00:00.000Z  geo    stock.book  0198c0de-0000-7000-8000-000000000002  DEAD     its process died 3 times
    2026-01-01T00:00:00.000Z  mail   mail.send   0198c0de-0000-7000-8000-000000000001  FAILURE  Timeout: the host is away
    --- stderr
    "#);
    assert_snapshot!(timeless(&stage.run(&["dead", "list", "--json", "--limit", "2"]).await), @r#"
    exit 0
    --- stdout
    [{"id":null,"task":null,"queue":"geo","state":"DEAD","reason":"it can not be read","since":"2026-01-01T00:00:00.000Z","readable":false},{"id":"0198c0de-0000-7000-8000-000000000002","task":"stock.book","queue":"geo","state":"DEAD","reason":"its process died 3 times","since":"2026-01-01T00:00:00.000Z","readable":true}]
    --- stderr
    taskq: 2 of 3 are shown; --limit shows more
    "#);
    assert_snapshot!(Stage::new().run(&["-b", "memory://", "dead", "list", "--json"]).await, @r#"
    exit 0
    --- stdout
    []
    --- stderr
    taskq: no dead message fits at memory://
    "#);
}

#[tokio::test]
async fn filters_are_held_to_together() {
    let stage = buried().await;
    for (filters, ids) in [
        (&["--task", "*.send"][..], &[MAIL][..]),
        (&["--task", "stock.*"], &[BOOK]),
        (&["--queue", "mail"], &[MAIL]),
        (&["--reason", "PROCESS"], &[BOOK]),
        (&["--reason", "process", "--task", "mail.*"], &[]),
        (&["--older-than", "1h"], &[]),
        (&["--newer-than", "1h", "--reason", "away"], &[MAIL]),
    ] {
        let said = stage
            .run(&[&["dead", "list", "--json"], filters].concat())
            .await;
        let listed: Vec<Value> = serde_json::from_str(&said.out).unwrap();
        let listed: Vec<_> = listed.iter().map(|d| d["id"].as_str().unwrap()).collect();
        assert_eq!(
            (said.exit, &listed[..]),
            (Exit::Done, ids),
            "{filters:?}: {said}"
        );
    }
    let said = stage.run(&["dead", "list", "--task", "[a"]).await;
    assert_eq!((said.exit, &*said.out), (Exit::Usage, ""), "{said}");
    assert!(said.err.contains("[a"), "{said}");
}

#[tokio::test]
async fn one_is_shown_whole() {
    let stage = buried().await;
    assert_snapshot!(timeless(&stage.run(&["dead", "show", MAIL]).await), @r#"
    exit 0
    --- stdout
    FAILURE
    reason    Timeout: the host is away
    task      mail.send
    id        0198c0de-0000-7000-8000-000000000001
    queue     mail
    since     2026-01-01T00:00:00.000Z
    message   {"id":"0198c0de-0000-7000-8000-000000000001","task":"mail.send","args":[7]}
    --- stderr
    "#);
    assert_snapshot!(timeless(&stage.run(&["dead", "show", MAIL, "--json"]).await), @r#"
    exit 0
    --- stdout
    {"id":"0198c0de-0000-7000-8000-000000000001","task":"mail.send","queue":"mail","state":"FAILURE","reason":"Timeout: the host is away","since":"2026-01-01T00:00:00.000Z","readable":true,"message":{"id":"0198c0de-0000-7000-8000-000000000001","task":"mail.send","args":[7]}}
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["dead", "show", MISSING]).await, @r#"
    exit 1
    --- stdout
    --- stderr
    taskq: no message of 0198c0de-0000-7000-8000-00000000000f is dead in any queue; `taskq why 0198c0de-0000-7000-8000-00000000000f` looks everywhere
    "#);
}

#[tokio::test]
async fn what_is_named_is_replayed_at_once() {
    let stage = buried().await;
    assert_snapshot!(stage.run(&["dead", "replay", MAIL, MISSING]).await, @r#"
    exit 1
    --- stdout
    1 message replayed
    --- stderr
    taskq: no message of 0198c0de-0000-7000-8000-00000000000f is dead; `taskq why 0198c0de-0000-7000-8000-00000000000f` says what became of it
    "#);
    let depth = stage.0.depth(&"mail".parse().unwrap()).await.unwrap();
    assert_eq!((depth.waiting, depth.dead), (1, 0));
    assert_snapshot!(stage.run(&["dead", "replay", MAIL, "--json"]).await, @r#"
    exit 1
    --- stdout
    {"replayed":0,"unreadable":0}
    --- stderr
    taskq: no message of 0198c0de-0000-7000-8000-000000000001 is dead; `taskq why 0198c0de-0000-7000-8000-000000000001` says what became of it
    "#);
}

#[tokio::test]
async fn all_that_fit_are_replayed_once_somebody_says_so() {
    let stage = buried().await;
    let all = ["dead", "replay", "--all"];
    assert_snapshot!(stage.run(&all).await, @r#"
    exit 2
    --- stdout
    --- stderr
    taskq: this would replay 3 dead messages; nobody is there to ask: say --yes to do it
    "#);
    assert_snapshot!(stage.typed(&all, Some("n\n")).await, @r#"
    exit 1
    --- stdout
    --- stderr
    taskq: replay 3 dead messages? [y/N] taskq: nothing was done
    "#);
    assert_snapshot!(stage.typed(&all, Some("")).await, @r#"
    exit 1
    --- stdout
    --- stderr
    taskq: replay 3 dead messages? [y/N] taskq: nothing was done
    "#);
    assert_eq!(
        stage.0.depth(&"mail".parse().unwrap()).await.unwrap().dead,
        1
    );
    assert_snapshot!(stage.typed(&all, Some("yes\n")).await, @r#"
    exit 1
    --- stdout
    2 messages replayed
    --- stderr
    taskq: replay 3 dead messages? [y/N] taskq: left dead: 1 message that no worker could read; `taskq dead drop` drops what can not be read
    "#);
    assert_snapshot!(stage.run(&["dead", "replay", "--all", "--task", "x", "--yes", "--json"]).await, @r#"
    exit 0
    --- stdout
    {"replayed":0,"unreadable":0}
    --- stderr
    "#);
}

#[tokio::test]
async fn what_is_dropped_is_gone() {
    let stage = buried().await;
    assert_snapshot!(stage.run(&["dead", "drop", "--all", "--reason", "process"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    taskq: this would drop 1 dead message; nobody is there to ask: say --yes to do it
    "#);
    assert_snapshot!(stage.run(&["dead", "drop", "--all", "--reason", "process", "--yes", "--json"]).await, @r#"
    exit 0
    --- stdout
    {"dropped":1}
    --- stderr
    "#);
    assert_snapshot!(stage.run(&["dead", "drop", MAIL, "--yes"]).await, @r#"
    exit 0
    --- stdout
    1 message dropped
    --- stderr
    "#);
    assert_eq!(stage.run(&["dead", "show", BOOK]).await.exit, Exit::Failed);
    assert_eq!(stage.run(&["result", MAIL]).await.exit, Exit::Done);
    assert_snapshot!(stage.typed(&["dead", "drop", "--all"], Some("y\n")).await, @r#"
    exit 0
    --- stdout
    1 message dropped
    --- stderr
    taskq: drop 1 dead message? [y/N]
    "#);
}

#[tokio::test]
async fn who_is_meant_must_be_said_in_one_way() {
    let stage = buried().await;
    for line in [
        &["dead", "replay"][..],
        &["dead", "drop", MAIL, "--all"],
        &["dead", "drop", MAIL, "--task", "x", "--yes"],
        &["dead", "replay", "7"],
        &["dead", "list", "--older-than", "1w"],
        &["dead"],
        &["purge"],
        &["purge", "no spaces", "--yes"],
    ] {
        let said = stage.run(line).await;
        assert_eq!(
            (said.exit, &*said.out),
            (Exit::Usage, ""),
            "{line:?}: {said}"
        );
    }
    assert_eq!(
        stage.0.depth(&"mail".parse().unwrap()).await.unwrap().dead,
        1
    );
}

#[tokio::test]
async fn many_are_moved_in_parts_and_what_can_not_be_read_stays() {
    let stage = Stage::new();
    let geo = "geo".parse().unwrap();
    for n in 0..1_203 {
        let body = match n % 400 {
            0 => "no message".to_owned(),
            _ => format!(r#"{{"id":"{}","task":"t"}}"#, taskq_core::TaskId::random()),
        };
        stage.0.push_raw(&geo, 0, body).unwrap();
        stage.bury_next("geo", State::Dead, "no").await;
    }
    assert_snapshot!(stage.run(&["dead", "replay", "--all", "--yes"]).await, @r#"
    exit 1
    --- stdout
    1,199 messages replayed
    --- stderr
    taskq: left dead: 4 messages that no worker could read; `taskq dead drop` drops what can not be read
    "#);
    let depth = stage.0.depth(&geo).await.unwrap();
    assert_eq!((depth.waiting, depth.dead), (1_199, 4));
    assert_snapshot!(stage.run(&["dead", "drop", "--all", "--yes"]).await, @r#"
    exit 0
    --- stdout
    4 messages dropped
    --- stderr
    "#);
}

#[tokio::test]
async fn a_purge_asks_first() {
    let stage = Stage::new();
    for line in [
        &["call", "t", "--queue", "geo"][..],
        &["call", "t", "--queue", "geo", "--countdown", "1h"],
    ] {
        assert_eq!(stage.run(line).await.exit, Exit::Done);
    }
    assert_snapshot!(stage.run(&["purge", "geo"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    taskq: this would drop 2 messages of the queue geo as REVOKED; nobody is there to ask: say --yes to do it
    "#);
    assert_snapshot!(stage.typed(&["purge", "geo"], Some("no\n")).await, @r#"
    exit 1
    --- stdout
    --- stderr
    taskq: drop 2 messages of the queue geo as REVOKED? [y/N] taskq: nothing was done
    "#);
    let depth = stage.0.depth(&"geo".parse().unwrap()).await.unwrap();
    assert_eq!((depth.waiting, depth.delayed), (1, 1));
    assert_snapshot!(stage.typed(&["purge", "geo"], Some("y\n")).await, @r#"
    exit 0
    --- stdout
    2 messages purged
    --- stderr
    taskq: drop 2 messages of the queue geo as REVOKED? [y/N]
    "#);
    assert_eq!(
        stage
            .run(&["call", "t", "--queue", "geo", "--id", MAIL])
            .await
            .exit,
        Exit::Done
    );
    assert_snapshot!(stage.run(&["purge", "geo", "--yes", "--json"]).await, @r#"
    exit 0
    --- stdout
    {"purged":1}
    --- stderr
    "#);
    assert!(timeless(&stage.run(&["why", MAIL]).await).contains("its queue was purged"));
    assert_snapshot!(stage.run(&["purge", "goe", "--json"]).await, @r#"
    exit 0
    --- stdout
    {"purged":0}
    --- stderr
    taskq: nobody has sent to a queue goe or listened at it yet (did you mean geo?)
    "#);
}
