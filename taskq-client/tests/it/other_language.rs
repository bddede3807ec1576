//! The programs in docs/protocol.md that send a task without our code, run as they stand there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use private_redis::RedisServer;
use taskq_worker::task;
use taskq_worker::task::TaskDef;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::running::{PATIENCE, Running};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// The task that the page speaks of.
#[task(crate = taskq_worker, name = "math.add")]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// The same, but it fails.
#[task(crate = taskq_worker, name = "math.add", max_retries = 0)]
async fn fail(_a: i64, _b: i64) -> Result<i64, String> {
    Err("no sums today".into())
}

/// The program in `language` below the heading; at most ten lines, as a reader is promised.
fn program(language: &str) -> &'static str {
    let section = PAGE.split("\n## From another language\n").nth(1).unwrap();
    let block = section.split(&format!("\n```{language}\n")).nth(1).unwrap();
    let block = block.split("\n```").next().unwrap();
    assert!(
        block.lines().count() <= 10,
        "{language}: more than ten lines"
    );
    block
}

/// A Python that has the redis package: the one that `scripts/test` makes, else the system's.
fn python() -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python3");
    let has_redis = |python: &Path| {
        let probe = Command::new(python)
            .args(["-c", "import redis"])
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|s| s.success())
    };
    [made, PathBuf::from("python3")]
        .into_iter()
        .find(|python| has_redis(python))
        .expect("no python3 with the package redis; `scripts/test --install` installs it")
}

/// What the page's program printed, run as it stands there beside a worker of `def`.
async fn printed(language: &str, program_of: &Path, flag: &str, def: &'static TaskDef) -> String {
    let server = RedisServer::start();
    let worker = Running::start(&server.url(), def, &["celery"]);
    let mut running = tokio::process::Command::new(program_of)
        .args([flag, program(language)])
        .env("TASKQ_BROKER_URL", server.url())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = running.stdout.take().unwrap();
    timeout(PATIENCE, out.read_to_string(&mut said))
        .await
        .expect("the program ends")
        .unwrap();
    assert!(running.wait().await.unwrap().success(), "{said}");
    worker.stop().await;
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sends_a_task_and_reads_its_result() {
    let said = printed("python", &python(), "-c", &add::DEF).await;
    assert_eq!(said, "5 None\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn python_reads_what_went_wrong() {
    let said = printed("python", &python(), "-c", &fail::DEF).await;
    assert!(
        said.starts_with("None {") && said.contains("no sums today"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_cli_sends_a_task_and_reads_its_result() {
    let said = printed("sh", Path::new("sh"), "-c", &add::DEF).await;
    assert!(
        said.contains(r#""state":"SUCCESS""#) && said.contains(r#""result":5"#),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_cli_reads_what_went_wrong() {
    let said = printed("sh", Path::new("sh"), "-c", &fail::DEF).await;
    assert!(
        said.contains(r#""state":"FAILURE""#) && said.contains("no sums today"),
        "{said}"
    );
}
