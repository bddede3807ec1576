//! `taskq call`.

use insta::assert_snapshot;
use serde_json::value::RawValue;
use taskq_cli::Exit;
use taskq_core::fleet::PublishedTask;
use taskq_core::task::TaskDef;
use taskq_core::{Failure, State};

use crate::stage::Stage;

const ID: &str = "0198c0de-0000-7000-8000-000000000000";

static ADD: TaskDef = TaskDef::new("math.add", &[], |_, _| unreachable!("nobody runs it"));
static T: TaskDef = TaskDef::new("t", &[], |_, _| unreachable!("nobody runs it"));

/// Where a worker that is gone published the tasks that are called here.
async fn stage() -> Stage {
    let stage = Stage::new();
    let tasks = [PublishedTask::from(&ADD), PublishedTask::from(&T)];
    stage.publish(&tasks, false).await;
    stage
}

#[tokio::test]
async fn a_call_prints_its_id_and_arrives_as_typed() {
    let stage = stage().await;
    let line = [
        "call",
        "math.add",
        "-a",
        "[2, 9007199254740993.25]",
        "-k",
        r#"{"carry":18446744073709551616}"#,
    ];
    let said = stage.run(&line).await;
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    let (_, _, message) = stage.claim("celery").await;
    assert_eq!(said.out, format!("{}\n", message.id));
    assert_eq!(message.task, "math.add");
    assert_eq!(message.args.unwrap().get(), "[2, 9007199254740993.25]");
    assert_eq!(
        message.kwargs.unwrap().get(),
        r#"{"carry":18446744073709551616}"#
    );
}

#[tokio::test]
async fn a_call_takes_queue_and_id() {
    let stage = stage().await;
    let said = stage
        .run(&["call", "t", "--queue", "geo", "--id", ID, "--json"])
        .await;
    assert_eq!(said.out, format!("{{\"task_id\":\"{ID}\"}}\n"));
    assert_eq!(stage.claim("geo").await.2.id.to_string(), ID);
}

#[tokio::test]
async fn a_call_takes_priority_and_expiry() {
    let stage = stage().await;
    let line = ["call", "t", "--priority", "7", "--expires", "1h"];
    let said = stage.run(&line).await;
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    let (_, delivery, message) = stage.claim("celery").await;
    assert_eq!((delivery.priority, message.priority), (7, 7));
    let left = message.expires.unwrap() - message.enqueued_at.unwrap();
    assert_eq!(left, 3_600_000);
    for line in [["--priority", "10"], ["--expires", "soon"]] {
        let said = stage.run(&[&["call", "t"][..], &line].concat()).await;
        assert_eq!(said.exit, Exit::Usage, "{said}");
    }
}

#[tokio::test]
async fn a_call_for_later_is_scheduled() {
    let stage = stage().await;
    for (when, at) in [("--countdown", "2m"), ("--eta", "2100-01-01T00:00:00Z")] {
        let said = stage.run(&["call", "t", when, at]).await;
        let said = stage.run(&["result", said.out.trim()]).await;
        assert!(said.out.starts_with("SCHEDULED\n"), "{said}");
        assert!(said.out.contains("\ndue       2"), "{said}");
    }
}

#[tokio::test]
async fn an_awaited_call_shows_its_record() {
    let stage = stage().await;
    let line = ["call", "math.add", "--id", ID, "--wait"];
    let (said, ()) = tokio::join!(
        stage.run(&line),
        stage.end_next("celery", |r| r.result =
            Some(RawValue::from_string("5".into()).unwrap()))
    );
    assert_snapshot!(said, @r#"
    exit 0
    --- stdout
    SUCCESS
    result    5
    task      math.add
    id        0198c0de-0000-7000-8000-000000000000
    queue     celery
    attempts  1
    created   2026-01-01T00:00:00.000Z
    finished  2026-01-01T00:00:01.500Z
    --- stderr
    taskq: sent as 0198c0de-0000-7000-8000-000000000000, waiting for its end
    "#);
}

#[tokio::test]
async fn an_awaited_call_that_fails_is_exit_1() {
    let stage = stage().await;
    let line = [
        "call",
        "math.add",
        "--id",
        ID,
        "--wait",
        "--timeout",
        "1h",
        "--json",
    ];
    let fail = |record: &mut taskq_core::Record| {
        record.state = State::Failure;
        record.attempts = 4;
        record.error = Some(Failure::new("Overflow", "too large"));
    };
    let (said, ()) = tokio::join!(stage.run(&line), stage.end_next("celery", fail));
    assert_snapshot!(said, @r#"
    exit 1
    --- stdout
    {"id":"0198c0de-0000-7000-8000-000000000000","task":"math.add","queue":"celery","state":"FAILURE","result":null,"error":{"type":"Overflow","message":"too large"},"attempts":4,"crashes":0,"worker":null,"created":"2026-01-01T00:00:00.000Z","started":null,"finished":"2026-01-01T00:00:01.500Z","progress":null}
    --- stderr
    taskq: sent as 0198c0de-0000-7000-8000-000000000000, waiting for its end
    "#);
}

#[tokio::test]
async fn a_wait_that_is_over_is_75_and_says_how_to_go_on() {
    let stage = stage().await;
    let said = stage
        .run(&[
            "call",
            "t",
            "--id",
            ID,
            "--wait",
            "--timeout",
            "30ms",
            "--json",
        ])
        .await;
    assert_snapshot!(said, @r#"
    exit 75
    --- stdout
    {"task_id":"0198c0de-0000-7000-8000-000000000000"}
    --- stderr
    taskq: sent as 0198c0de-0000-7000-8000-000000000000, waiting for its end
    taskq: 0198c0de-0000-7000-8000-000000000000 has not ended within 30ms: it is QUEUED; no worker listens to the queue celery of memory://: no worker runs there at all; ask again with `taskq result 0198c0de-0000-7000-8000-000000000000`, `taskq why 0198c0de-0000-7000-8000-000000000000` says more
    "#);
}

#[tokio::test]
async fn bad_arguments_are_refused_before_anything_is_sent() {
    let stage = Stage::new();
    assert_snapshot!(stage.run(&["call", "t", "-a", "[1,]"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value '[1,]' for '--args <JSON>': expected value at line 1 column 4

    For more information, try '--help'.
    "#);
    assert_snapshot!(stage.run(&["call", "t", "-k", "[1]"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value '[1]' for '--kwargs <JSON>': a JSON object is needed, such as '{"sku": "A-1"}'

    For more information, try '--help'.
    "#);
    for line in [
        &["call", "t", "-a", "{}"][..],
        &["call", "t", "--queue", "no spaces"],
        &["call", "t", "--id", "7"],
        &["call", "t", "--eta", "tomorrow"],
        &["call", "t", "--countdown", "1w"],
        &[
            "call",
            "t",
            "--countdown",
            "1",
            "--eta",
            "2100-01-01T00:00:00Z",
        ],
        &["call", "t", "--timeout", "5"],
        &["call", ""],
        &["call"],
    ] {
        let said = stage.run(line).await;
        assert_eq!(
            (said.exit, said.out.as_str()),
            (Exit::Usage, ""),
            "{line:?}: {said}"
        );
        assert!(!said.err.is_empty());
    }
    use taskq_core::broker::Inspect;
    assert!(stage.0.queues().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_call_over_1_mib_is_exit_1() {
    let huge = format!("[\"{}\"]", "x".repeat(1 << 20));
    let said = Stage::new().run(&["call", "t", "-a", &huge]).await;
    assert_eq!(said.exit, Exit::Failed);
    assert!(said.err.contains("limit"), "{said}");
}

#[tokio::test]
async fn an_argument_named_twice_is_refused_by_name() {
    let said = Stage::new()
        .run(&["call", "t", "-k", r#"{"a":1,"a":2}"#])
        .await;
    assert_eq!((said.exit, said.out.as_str()), (Exit::Usage, ""), "{said}");
    assert!(said.err.contains("`a` is given twice"), "{said}");
}

#[tokio::test]
async fn a_name_that_nobody_published_is_sent_with_a_warning() {
    let stage = stage().await;
    for (name, meant) in [
        ("math.ad", "did you mean math.add?"),
        ("stock.check", "`taskq list` shows those that are"),
    ] {
        let said = stage.run(&["call", name, "--id", ID, "--json"]).await;
        assert_eq!(said.exit, Exit::Done, "{said}");
        assert_eq!(said.out, format!("{{\"task_id\":\"{ID}\"}}\n"));
        let warning = format!(
            "taskq: warning: no worker of memory:// has published a task {name} within 7 days ({meant}); it is sent all the same\n"
        );
        assert_eq!(said.err, warning);
        assert_eq!(stage.claim("celery").await.2.task, name);
    }
    // Who waits is told of it at once, too.
    let line = ["call", "math.ad", "--wait", "--timeout", "30ms"];
    let said = stage.run(&line).await;
    assert_eq!(said.exit, Exit::TimedOut, "{said}");
    assert!(said.err.contains("did you mean math.add?"), "{said}");
    // Where nobody has published anything there is no name to mean.
    let said = Stage::new().run(&["call", "math.ad"]).await;
    assert!(said.err.contains("(none is published there)"), "{said}");
}

#[tokio::test]
async fn a_queue_that_is_nearly_another_is_sent_to_with_a_warning() {
    let stage = stage().await;
    stage.answering("w1@bar", &["logistica"], |_| None).await;
    let warned = async |queue: &str| {
        let line = [
            "call", "math.add", "-a", "[1,2]", "--queue", queue, "--id", ID,
        ];
        let said = stage.run(&line).await;
        assert_eq!((said.exit, &*said.out), (Exit::Done, &*format!("{ID}\n")));
        assert_eq!(stage.claim(queue).await.2.task, "math.add");
        said.err
    };
    assert_eq!(
        warned("logistca").await,
        "taskq: warning: nobody has sent to a queue logistca or listened at it yet (did you mean logistica?); it is sent all the same\n"
    );
    // One that is there, and one that is like no other: a queue is there once somebody sends to it.
    for queue in ["logistica", "logistca", "nocturna"] {
        assert_eq!(warned(queue).await, "", "{queue}");
    }
}
