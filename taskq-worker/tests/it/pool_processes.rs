//! Queues and slots that operators change, with worker processes over a real Redis.

use std::path::Path;
use std::time::Duration;

use private_redis::RedisServer;
use serde_json::{Value, json};
use taskq_client::{Client, Command};
use taskq_worker::{QueueName, Record, Signature, State, TaskId, task};
use tempfile::TempDir;

use crate::bench::until;
use crate::process::Process;

/// Says that it runs by a file, and waits for another.
#[task(name = "at_gate", crate = taskq_worker)]
async fn at_gate(directory: String, number: u32) {
    let directory = Path::new(&directory);
    std::fs::write(directory.join(format!("began-{number}")), "").unwrap();
    while !directory.join(format!("open-{number}")).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The same on a thread.
#[task(name = "at_gate_on_a_thread", crate = taskq_worker)]
fn at_gate_on_a_thread(directory: String, number: u32) {
    let directory = Path::new(&directory);
    std::fs::write(directory.join(format!("began-{number}")), "").unwrap();
    while !directory.join(format!("open-{number}")).exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Stage {
    server: RedisServer,
    client: Client,
    gates: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let server = RedisServer::start();
        Self {
            client: Client::connect(&server.url()).await.unwrap(),
            gates: tempfile::tempdir().unwrap(),
            server,
        }
    }

    fn worker(&self, name: &str, more: &[&str]) -> Process {
        let url = self.server.url();
        let args = ["-b", &url, "--lease", "2", "-n", name];
        let mut worker = Process::start(&[&args, more].concat());
        worker.logs("is ready");
        worker
    }

    async fn send(&self, task: &str, queue: &str, number: u32) -> TaskId {
        let directory = self.gates.path().to_str().unwrap();
        let call = Signature::<()>::by_name(task)
            .kwargs(&json!({"directory": directory, "number": number}))
            .queue(queue);
        self.client.send(call).await.unwrap().id()
    }

    async fn ping(&self, queue: &str) -> TaskId {
        let call = Signature::<()>::by_name("ping").queue(queue);
        self.client.send(call).await.unwrap().id()
    }

    fn open(&self, number: u32) {
        std::fs::write(self.gates.path().join(format!("open-{number}")), "").unwrap();
    }

    /// How many runs have begun.
    fn begun(&self) -> usize {
        let files = std::fs::read_dir(self.gates.path()).unwrap();
        let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("began-")).count()
    }

    async fn begin(&self, n: usize) {
        until(async || (self.begun() == n).then_some(())).await;
    }

    async fn success(&self, id: TaskId) -> Record {
        let record = until(async || {
            let record = self.client.handle::<Value>(id).record().await.unwrap();
            record.filter(|r| r.state.is_final())
        })
        .await;
        assert_eq!(record.state, State::Success);
        record
    }

    /// Tells the worker `w1`, once it listens.
    async fn tell(&self, command: Command) -> Value {
        let w1 = ["w1@here".to_owned()];
        let ask = async |command: Command| {
            let answers = self.client.ask(command, &w1, Duration::from_secs(15)).await;
            answers.unwrap().replies.remove("w1@here")
        };
        until(async || ask(Command::Ping).await).await;
        ask(command).await.expect("an answer")
    }

    async fn waiting(&self, queue: &str) -> (u64, u64) {
        let depth = self.client.depth(&queue.parse().unwrap()).await.unwrap();
        (depth.in_flight, depth.waiting)
    }
}

fn queue(name: &str) -> QueueName {
    name.parse().unwrap()
}

#[tokio::test]
async fn a_queue_is_added_and_cancelled_while_others_go_on() {
    let stage = Stage::new().await;
    let _w1 = stage.worker("w1@here", &["-c", "4"]);
    let there = stage.send("at_gate", "geo", 1).await;
    let add = Command::AddConsumer {
        queue: queue("geo"),
        weight: 1,
    };
    let added = json!({"ok": "takes from geo now, all in all from celery, geo"});
    assert_eq!(stage.tell(add).await, added);
    stage.begin(1).await;
    let cancel = || Command::CancelConsumer {
        queue: queue("geo"),
    };
    let cancelled = json!({
        "ok": "takes nothing more from geo, what it holds of it runs on: it takes from celery"
    });
    assert_eq!(stage.tell(cancel()).await, cancelled);
    let never = json!({"error": "it did not take from geo: it takes from celery"});
    assert_eq!(stage.tell(cancel()).await, never);
    // With free slots, and more sent to the other queue for as long as that goes on.
    let left = stage.ping("geo").await;
    for _ in 0..20 {
        let ping = stage.ping("celery").await;
        assert_eq!(stage.success(ping).await.worker.as_deref(), Some("w1@here"));
    }
    assert_eq!(stage.waiting("geo").await, (1, 1));
    // Another takes it over at once, while the first still runs what it held.
    let _w2 = stage.worker("w2@here", &["-Q", "geo"]);
    assert_eq!(stage.success(left).await.worker.as_deref(), Some("w2@here"));
    assert_eq!(stage.waiting("geo").await, (1, 0));
    stage.open(1);
    let record = stage.success(there).await;
    assert_eq!(
        (record.worker.as_deref(), record.crashes),
        (Some("w1@here"), 0)
    );
    // The session there is closed: one is left.
    let leases = || stage.server.command("ZCARD taskq:{geo}:leases");
    until(async || (leases() == ":1").then_some(())).await;
}

#[tokio::test]
async fn what_a_killed_worker_held_of_a_cancelled_queue_runs_elsewhere() {
    let stage = Stage::new().await;
    let mut w1 = stage.worker("w1@here", &["-Q", "celery,geo", "-c", "4"]);
    let held = stage.send("at_gate", "geo", 1).await;
    stage.begin(1).await;
    let cancel = Command::CancelConsumer {
        queue: queue("geo"),
    };
    stage.tell(cancel).await;
    let _w2 = stage.worker("w2@here", &["-Q", "geo"]);
    w1.child.kill().unwrap();
    stage.open(1);
    let record = stage.success(held).await;
    assert_eq!(
        (record.worker.as_deref(), record.crashes),
        (Some("w2@here"), 1)
    );
}

#[tokio::test]
async fn a_pool_grows_and_shrinks_of_functions_of_both_kinds() {
    for task in ["at_gate", "at_gate_on_a_thread"] {
        let stage = Stage::new().await;
        let _w1 = stage.worker("w1@here", &["-c", "1"]);
        let mut ids = Vec::new();
        for number in 0..40 {
            ids.push(stage.send(task, "celery", number).await);
        }
        stage.begin(1).await;
        assert_eq!(stage.waiting("celery").await, (1, 39));
        let grown = json!({"ok": "runs up to 30 tasks at once now, it was 1"});
        assert_eq!(stage.tell(Command::PoolGrow { n: 29 }).await, grown);
        stage.begin(30).await;
        assert_eq!(stage.waiting("celery").await, (30, 10));
        let shrunk = json!({
            "ok": "runs up to 2 tasks at once now, it was 30; 30 run right now, and none begins before fewer do"
        });
        assert_eq!(stage.tell(Command::PoolShrink { n: 28 }).await, shrunk);
        for number in 0..28 {
            stage.open(number);
            stage.success(ids[number as usize]).await;
        }
        // The next that ends makes room for one, and only for one.
        stage.open(28);
        stage.begin(31).await;
        stage.success(ids[28]).await;
        assert_eq!(stage.waiting("celery").await, (2, 9));
        assert_eq!(stage.begun(), 31);
        for number in 29..40 {
            stage.open(number);
        }
        for id in ids {
            stage.success(id).await;
        }
    }
}

#[tokio::test]
async fn what_has_no_threads_is_told() {
    let stage = Stage::new().await;
    let _w1 = stage.worker("w1@here", &["-c", "1"]);
    let told = json!({
        "ok": "runs up to 600 tasks at once now, it was 1; of plain functions 512: start it with -c 600 for more"
    });
    assert_eq!(stage.tell(Command::PoolGrow { n: 599 }).await, told);
}
