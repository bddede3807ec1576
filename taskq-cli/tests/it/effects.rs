//! What orders do to worker processes over a real Redis.
//!
//! The worker is this very test binary: the test `child` is one when its parent says so.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use private_redis::RedisServer;
use serde_json::{Value, json};
use taskq_worker::{cli, task};

const ARGS: &str = "TASKQ_TEST_CHILD";
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How long a command line waits for busy machines.
pub(crate) const T: &str = "20";

/// Tells that it ran.
#[task(name = "echo", crate = taskq_worker)]
fn echo(n: u64) -> u64 {
    n
}

/// Holds a slot for a while.
#[task(name = "nap", crate = taskq_worker)]
async fn nap(ms: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

#[test]
#[expect(clippy::exit, reason = "the child of this test is a program")]
fn child() {
    if let Ok(args) = std::env::var(ARGS) {
        let args: Vec<String> = serde_json::from_str(&args).unwrap();
        std::process::exit(cli::run(args).into());
    }
}

pub(crate) struct Stage {
    pub(crate) server: RedisServer,
}

pub(crate) struct Worker(pub(crate) Child);

impl Worker {
    /// Its exit status.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Ended already, unless the test failed.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self {
            server: RedisServer::start(),
        }
    }

    /// A worker that takes from `queues`, once it answers.
    pub(crate) fn worker(&self, node: &str, queues: &str) -> Worker {
        let url = self.server.url();
        let args = ["worker", "-b", &url, "-n", node, "-Q", queues, "-c", "2"];
        let mut command = Command::new(std::env::current_exe().unwrap());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TASKQ_")) {
            command.env_remove(name);
        }
        let child = command
            .args(["--exact", "effects::child", "--nocapture"])
            .env(ARGS, serde_json::to_string(&args).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let worker = Worker(child);
        let began = Instant::now();
        while self.run(&["inspect", "ping", "-d", node]).0 != Some(0) {
            assert!(began.elapsed() < PATIENCE, "{node} does not answer");
        }
        worker
    }

    /// Exit status, what was said on stdout, and on stderr.
    pub(crate) fn run(&self, line: &[&str]) -> (Option<i32>, String, String) {
        let said = Command::new(env!("CARGO_BIN_EXE_taskq"))
            .args(["--broker", &self.server.url()])
            .args(line)
            .env("USER", "ana")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (said.status.code(), text(said.stdout), text(said.stderr))
    }

    /// The answer of a command line that does what it is asked.
    pub(crate) fn json(&self, line: &[&str]) -> Value {
        let said = self.run(&[line, &["--json"]].concat());
        assert_eq!(said.0, Some(0), "{line:?}: {said:?}");
        serde_json::from_str(&said.1).unwrap()
    }

    pub(crate) fn send(&self, task: &str, n: u64, queue: &str) -> String {
        let args = format!("[{n}]");
        let sent = self.json(&["call", task, "-a", &args, "--queue", queue]);
        sent["task_id"].as_str().unwrap().to_owned()
    }

    /// Waits until the call is in `state`.
    pub(crate) fn until(&self, id: &str, state: &str) {
        let began = Instant::now();
        while self.json(&["result", id])["state"] != state {
            assert!(began.elapsed() < PATIENCE, "{id} is not {state}");
        }
    }
}

#[test]
fn shutdown_is_answered_and_then_done_with_what_runs_ended_first() {
    let stage = Stage::new();
    let (mut first, mut second) = (
        stage.worker("w1@test", "celery"),
        stage.worker("w2@test", "geo"),
    );
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("at");
    let args = json!([top, 1]).to_string();
    let sent = stage.json(&["call", "climb", "-a", &args, "--queue", "celery"]);
    let climb = sent["task_id"].as_str().unwrap().to_owned();
    let began = Instant::now();
    let runs = |id: &str| {
        let found = stage.json(&["inspect", "query_task", id, "-t", T]);
        found["w1@test"][id][0] == "active"
    };
    while !runs(&climb) {
        assert!(began.elapsed() < PATIENCE, "the climb does not begin");
    }
    let told = stage.json(&["control", "shutdown", "-d", "w1@test", "-t", T]);
    assert_eq!(
        told,
        json!({"w1@test": {"ok": "it stops once its tasks have ended"}})
    );
    std::fs::write(&top, "1").unwrap();
    assert_eq!(first.end(), Some(0));
    assert_eq!(stage.json(&["result", &climb])["state"], "SUCCESS");
    // The other was not meant. Now all are, and nobody is there to be asked.
    assert_eq!(
        stage.json(&["inspect", "ping", "-t", T]),
        json!({"w2@test": {"ok": "pong"}})
    );
    let told = stage.json(&["control", "shutdown", "-t", T]);
    assert!(told["w2@test"]["ok"].is_string(), "{told}");
    assert_eq!(second.end(), Some(0));
    assert_eq!(stage.run(&["inspect", "ping"]).0, Some(69));
}

#[test]
fn a_pause_outlives_the_worker_and_ends_when_it_is_resumed() {
    let stage = Stage::new();
    let mut worker = stage.worker("w1@test", "celery,geo");
    let (status, said, err) = stage.run(&["control", "pause", "celery", "--reason", "stocktaking"]);
    assert_eq!((status, &*err), (Some(0), ""), "{said}");
    assert!(said.starts_with("celery is paused by ana@"), "{said}");
    assert!(said.ends_with(": stocktaking\n"), "{said}");
    let held = stage.send("echo", 1, "celery");
    // What was sent later to the other queue has ended: a worker that still took from this one would have had it.
    let paused = |stage: &Stage| {
        let later = stage.send("echo", 2, "geo");
        stage.until(&later, "SUCCESS");
        assert_eq!(stage.json(&["result", &held])["state"], "QUEUED");
        assert_eq!(stage.json(&["queues"])["celery"]["paused"], true);
        assert_eq!(stage.json(&["queues"])["celery"]["waiting"], 1);
        let queues = stage.json(&["inspect", "active_queues", "-t", T]);
        assert_eq!(
            queues["w1@test"],
            json!([
                {"name": "celery", "weight": 1, "paused": true},
                {"name": "geo", "weight": 1, "paused": false}
            ])
        );
    };
    paused(&stage);
    stage.json(&["control", "shutdown", "-t", T]);
    assert_eq!(worker.end(), Some(0));
    let _again = stage.worker("w1@test", "celery,geo");
    paused(&stage);
    assert_eq!(
        stage.json(&["control", "resume", "celery"]),
        json!({"ok": "celery is resumed"})
    );
    stage.until(&held, "SUCCESS");
}

#[test]
fn what_is_revoked_does_not_run_when_its_pause_ends() {
    let stage = Stage::new();
    let _workers = [
        stage.worker("w1@test", "celery"),
        stage.worker("w2@test", "celery"),
    ];
    stage.json(&["control", "pause", "celery"]);
    let (revoked, spared) = (
        stage.send("echo", 1, "celery"),
        stage.send("echo", 2, "celery"),
    );
    let (_, said, _) = stage.run(&["control", "revoke", &revoked, "-t", T]);
    assert!(said.contains(&revoked), "{said}");
    let told = stage.json(&["inspect", "revoked", "-t", T]);
    assert_eq!(told, json!({"w1@test": [revoked], "w2@test": [revoked]}));
    stage.json(&["control", "resume", "celery"]);
    stage.until(&spared, "SUCCESS");
    stage.until(&revoked, "REVOKED");
    let stats = stage.json(&["inspect", "stats", "-t", T]);
    let runs = |node: &str| stats[node]["total"]["echo"].as_u64().unwrap_or(0);
    assert_eq!(runs("w1@test") + runs("w2@test"), 1);
}

#[test]
fn a_delayed_and_a_running_call_are_revoked() {
    let stage = Stage::new();
    let _worker = stage.worker("w1@test", "celery");
    let line = ["call", "echo", "-a", "[1]", "--countdown", "1h"];
    let delayed = stage.json(&line)["task_id"].as_str().unwrap().to_owned();
    stage.json(&["control", "revoke", &delayed, "-t", T]);
    assert_eq!(stage.json(&["result", &delayed])["state"], "REVOKED");

    let runs = stage.send("nap", 3_600_000, "celery");
    let began = Instant::now();
    while stage.json(&["inspect", "query_task", &runs, "-t", T])["w1@test"] == json!({}) {
        assert!(began.elapsed() < PATIENCE, "it does not begin");
    }
    let told = stage.json(&["control", "revoke", &runs, "-t", T]);
    assert_eq!(told["w1@test"]["running"], json!([runs]), "{told}");
    let told = stage.json(&["control", "terminate", &runs, "-t", T]);
    assert_eq!(told["w1@test"]["terminated"], json!([runs]), "{told}");
    stage.until(&runs, "REVOKED");
    assert_eq!(
        stage.json(&["inspect", "active", "-t", T]),
        json!({"w1@test": []})
    );
}

#[test]
fn a_worker_that_was_killed_is_named_and_the_others_answer() {
    let stage = Stage::new();
    let mut doomed = stage.worker("w1@test", "celery");
    let _other = stage.worker("w2@test", "celery");
    doomed.0.kill().unwrap();
    assert_eq!(doomed.end(), None);
    let (status, out, err) = stage.run(&["inspect", "reserved", "-t", "4", "--json"]);
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(out, "{\"w2@test\":[]}\n");
    assert_eq!(err, "taskq: no answer from w1@test; `-t` waits longer\n");
}
