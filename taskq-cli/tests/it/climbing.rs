//! A long task in a worker's process, seen by a handle and by `taskq result --follow`, through the death of that process.
//!
//! The worker is this very test binary: the test `child` is the worker when the parent says so.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use private_redis::RedisServer;
use serde_json::Value;
use taskq_client::{Client, Progress, State, TaskHandle};
use taskq_worker::{Context, Worker, task};

const BROKER: &str = "TASKQ_TEST_CLIMB_AT";
const NODE: &str = "TASKQ_TEST_CLIMB_AS";
const PATIENCE: Duration = Duration::from_secs(60);

/// Is as far as the file says; tells it, and ends when it is there.
#[task(name = "climb", crate = taskq_worker)]
async fn climb(ctx: Context, file: PathBuf, total: u64) -> u64 {
    loop {
        let done = std::fs::read_to_string(&file).unwrap_or_default();
        let done = done.trim().parse().unwrap_or(0);
        ctx.progress(done, total, ctx.worker());
        if done >= total {
            return done;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
#[expect(clippy::exit, reason = "the child of this test is a program")]
fn child() {
    let (Ok(url), Ok(node)) = (std::env::var(BROKER), std::env::var(NODE)) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let worker = Worker::builder()
        .url(url)
        .node(&node)
        .lease(Duration::from_secs(1))
        .build()
        .unwrap();
    let ended = runtime.block_on(worker.run());
    std::process::exit(i32::from(ended.is_err()));
}

/// A process that is killed when it is let go.
struct Process(Child);

impl Process {
    fn worker(url: &str, node: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "climbing::child", "--nocapture"])
            .env(BROKER, url)
            .env(NODE, node)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// SIGKILL: it gets no chance to give anything back.
    fn kill(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `taskq result --follow`, and what it has said.
struct Follower {
    program: Process,
    out: BufReader<ChildStdout>,
    lines: Vec<String>,
}

impl Follower {
    fn of(url: &str, id: &str, more: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_taskq"))
            .args(["--broker", url, "result", id, "--follow"])
            .args(["--timeout", "120"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(program.stdout.take().unwrap());
        Self {
            program: Process(program),
            out,
            lines: Vec::new(),
        }
    }

    /// Reads on until a line says all of this.
    fn says(&mut self, parts: &[&str]) {
        loop {
            let mut line = String::new();
            let read = self.out.read_line(&mut line).unwrap();
            assert!(read > 0, "{parts:?} never came: {:#?}", self.lines);
            self.lines.push(line.clone());
            if parts.iter().all(|part| line.contains(part)) {
                return;
            }
        }
    }

    /// Its exit code, and what it said behind the lines that were read.
    fn ends(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.program.0.wait().unwrap().code(), rest)
    }
}

async fn reads(handle: &TaskHandle<u64>, done: u64, node: &str) -> Progress {
    let asked = async {
        loop {
            let progress = handle.progress().await.unwrap();
            if let Some(progress) = progress
                && (progress.done, progress.note.as_deref()) == (done, Some(node))
            {
                return progress;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("it gets there")
}

fn is_at(file: &Path, step: u64) {
    // Whole or not at all: the task reads it at any time.
    let new = file.with_extension("new");
    std::fs::write(&new, step.to_string()).unwrap();
    std::fs::rename(new, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_seen_growing_and_begins_again_with_the_next_process() {
    let server = RedisServer::start();
    let url = server.url();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("at");
    let client = Client::connect(&url).await.unwrap();
    let handle = client.send(climb::call(file.clone(), 10)).await.unwrap();
    let id = handle.id().to_string();
    let mut lines = Follower::of(&url, &id, &[]);
    lines.says(&["QUEUED"]);
    let mut objects = Follower::of(&url, &id, &["--json"]);
    objects.says(&["QUEUED"]);

    is_at(&file, 1);
    let mut first = Process::worker(&url, "w1@test");
    for step in [1, 4, 7] {
        is_at(&file, step);
        let progress = reads(&handle, step, "w1@test").await;
        assert_eq!(progress.total, 10);
        assert_eq!(handle.state().await.unwrap(), Some(State::Started));
        let (line, object) = (format!("{step}/10"), format!(r#""done":{step},"#));
        lines.says(&["STARTED", &line, "w1@test"]);
        objects.says(&["STARTED", &object]);
    }
    first.kill();
    let left = handle.progress().await.unwrap().expect("what it said last");
    assert_eq!(left.done, 7, "nobody has said anything else since");

    is_at(&file, 2);
    let _second = Process::worker(&url, "w2@test");
    reads(&handle, 2, "w2@test").await;
    let record = handle.record().await.unwrap().unwrap();
    assert_eq!((record.attempts, record.crashes), (1, 1));
    assert_eq!(record.worker.as_deref(), Some("w2@test"));
    lines.says(&["STARTED", "2/10 (20 %)", "w2@test"]);
    objects.says(&["STARTED", r#""done":2,"#]);

    is_at(&file, 10);
    assert_eq!(handle.wait(PATIENCE).await.unwrap(), 10);
    reads(&handle, 10, "w2@test").await;
    let (exit, rest) = lines.ends();
    assert_eq!(exit, Some(0));
    assert!(rest.contains("SUCCESS\nresult    10\n"), "{rest}");
    let (exit, rest) = objects.ends();
    assert_eq!(exit, Some(0));
    let last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["state"], &last["progress"]["done"]),
        (&"SUCCESS".into(), &10.into())
    );
}
