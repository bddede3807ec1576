//! `taskq call --check`.

use insta::assert_snapshot;
use taskq_cli::Exit;
use taskq_core::QueueName;
use taskq_core::broker::Inspect;
use taskq_core::fleet::{PublishedParam, PublishedTask};
use taskq_core::task::TaskDef;

use crate::stage::Stage;

static ANY: TaskDef = TaskDef::new("any", &[], |_, _| unreachable!("nobody runs it"));

fn task(name: &str, params: &[(&str, &str, bool)]) -> PublishedTask {
    let params = params.iter().map(|(name, kind, required)| PublishedParam {
        name: (*name).into(),
        kind: (*kind).into(),
        required: *required,
    });
    PublishedTask {
        name: name.into(),
        params: params.collect(),
        queue: QueueName::default(),
        ..PublishedTask::from(&ANY)
    }
}

async fn stage() -> Stage {
    let stage = Stage::new();
    let params = [
        ("name", "string", true),
        ("n", "integer", true),
        ("km", "number", false),
        ("from", "geo::Place", false),
    ];
    let tasks = [task("geo.go", &params), task("geo.none", &[])];
    stage.publish(&tasks, true).await;
    stage
}

#[tokio::test]
async fn what_fits_is_sent() {
    let stage = stage().await;
    for line in [
        &["-a", r#"["a", 7]"#][..],
        &["-a", r#"["a", 18446744073709551616, 2.5, [1]]"#],
        &[
            "-a",
            r#"["a"]"#,
            "-k",
            r#"{"n": -7, "km": 3, "from": null}"#,
        ],
        &["-k", r#"{"n": 0, "name": "", "km": null}"#],
    ] {
        let line = [&["call", "geo.go", "--check"], line].concat();
        let said = stage.run(&line).await;
        assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""), "{line:?}");
    }
    let said = stage.run(&["call", "geo.none", "--check"]).await;
    assert_eq!(said.exit, Exit::Done, "{said}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_nothing_is_sent() {
    let stage = stage().await;
    let mut sentences = String::new();
    for line in [
        &["geo.gone"][..],
        &["geo.go"],
        &["geo.go", "-a", r#"["a", "7"]"#],
        &["geo.go", "-a", r#"["a", 7.0]"#],
        &["geo.go", "-a", r#"[null, 7]"#],
        &["geo.go", "-a", r#"["a", 7]"#, "-k", r#"{"n": 7}"#],
        &["geo.go", "-a", r#"["a", 7]"#, "-k", r#"{"m": 7}"#],
        &["geo.go", "-a", "[1, 2, 3, 4, 5]"],
        &["geo.none", "-a", "[1]"],
    ] {
        let said = stage.run(&[&["call", "--check"], line].concat()).await;
        assert_eq!((said.exit, said.out.as_str()), (Exit::Usage, ""), "{said}");
        sentences.push_str(&said.err);
    }
    assert_snapshot!(sentences);
    let depth = stage.0.depth(&QueueName::default()).await.unwrap();
    assert_eq!(depth.waiting, 0);
    // Unchecked, any name is accepted.
    let said = stage.run(&["call", "geo.gone"]).await;
    assert_eq!(said.exit, Exit::Done, "{said}");
}
