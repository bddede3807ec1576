//! The real program, a real worker and a real Redis: what an operator types while tasks run.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use private_redis::RedisServer;
use serde_json::{Value, json};
use taskq_worker::task::{Param, Registry, Running, TaskDef};
use taskq_worker::{CancellationToken, Outcome, RunError, Worker};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long a command line waits for busy machines.
const T: &str = "20";

const PARAMS: &[Param] = &[Param {
    name: "n",
    kind: "integer",
    required: true,
}];

/// Doubles `n` once the test lets it.
static DOUBLE: TaskDef = TaskDef::new("double", PARAMS, |context, arguments| {
    let n: i64 = arguments.bind(PARAMS)?.get(0)?;
    let gate = context.state::<Gate>().unwrap();
    Ok(Running::Async(Box::pin(async move {
        gate.0.acquire().await.unwrap().forget();
        let doubled = serde_json::value::to_raw_value(&(2 * n)).unwrap();
        Outcome::Done(doubled)
    })))
});

struct Gate(Arc<Semaphore>);

struct Stage {
    server: RedisServer,
    gate: Arc<Semaphore>,
    stop: CancellationToken,
    worker: JoinHandle<Result<(), RunError>>,
}

impl Stage {
    fn start() -> Self {
        let server = RedisServer::start();
        let (gate, stop) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
        let worker = Worker::builder()
            .url(server.url())
            .node("w1@test")
            .registry(Registry::from_defs([&DOUBLE]).unwrap())
            .state(Gate(Arc::clone(&gate)))
            .stop(stop.clone())
            .build()
            .unwrap();
        Self {
            server,
            gate,
            stop,
            worker: tokio::spawn(worker.run()),
        }
    }

    fn spawn(&self, line: &[&str]) -> Child {
        spawn(&self.server.url(), line)
    }

    async fn run(&self, line: &[&str]) -> Output {
        end(self.spawn(line)).await
    }

    /// What `inspect active --json` says once `w1@test` runs `n` tasks.
    async fn active(&self, n: usize) -> Vec<Value> {
        let since = Instant::now();
        loop {
            let output = self.run(&["inspect", "active", "-t", T, "--json"]).await;
            if output.status.success() {
                let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
                let tasks = answer["w1@test"].as_array().unwrap();
                if tasks.len() == n {
                    return tasks.clone();
                }
            }
            assert!(since.elapsed() < PATIENCE, "{output:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.worker.await.unwrap().unwrap();
    }
}

fn spawn(url: &str, line: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_taskq"))
        .args(["--broker", url])
        .args(line)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn end(program: Child) -> Output {
    tokio::task::spawn_blocking(|| program.wait_with_output().unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_runs_is_listed_and_its_result_can_be_waited_for_and_read() {
    let stage = Stage::start();
    assert!(stage.active(0).await.is_empty());
    let waiting = stage.spawn(&["call", "double", "-a", "[21]", "--wait", "--json"]);
    let task = stage.active(1).await.remove(0);
    assert_eq!(task["name"], "double");
    assert_eq!(task["args"], json!([21]));
    assert_eq!(task["queue"], "celery");
    assert_eq!(task["attempt"], 1);
    assert!(task["runtime_s"].as_f64().unwrap() >= 0.0);
    let id = task["id"].as_str().unwrap();

    let table = stage.run(&["inspect", "active", "-t", T]).await;
    let table = String::from_utf8(table.stdout).unwrap();
    for cell in ["WORKER", "w1@test", "double", id, "[21]", "celery"] {
        assert!(table.contains(cell), "{cell}: {table}");
    }

    stage.gate.add_permits(1);
    let waited = end(waiting).await;
    assert_eq!(waited.status.code(), Some(0), "{waited:?}");
    let record: Value = serde_json::from_slice(&waited.stdout).unwrap();
    for (field, value) in [
        ("id", json!(id)),
        ("state", json!("SUCCESS")),
        ("result", json!(42)),
        ("attempts", json!(1)),
        ("worker", json!("w1@test")),
    ] {
        assert_eq!(record[field], value, "{field}: {record}");
    }
    let read = stage.run(&["result", id, "--json"]).await;
    assert_eq!(read.status.code(), Some(0), "{read:?}");
    assert_eq!(
        serde_json::from_slice::<Value>(&read.stdout).unwrap(),
        record
    );
    let read = stage.run(&["result", id]).await;
    let text = String::from_utf8(read.stdout).unwrap();
    assert!(text.starts_with("SUCCESS\n"), "{text}");
    assert!(stage.active(0).await.is_empty());
    stage.stop().await;
}

#[tokio::test]
async fn a_worker_is_listed_with_its_tasks_and_with_what_it_did() {
    let stage = Stage::start();
    let waiting = stage.spawn(&["call", "double", "-a", "[21]", "--wait"]);
    stage.active(1).await;
    let answer = async |line: &[&str]| -> Value {
        let output = stage.run(line).await;
        assert_eq!(output.status.code(), Some(0), "{line:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let status = answer(&["status", "-t", T, "--json"]).await;
    assert_eq!(status["w1@test"]["ok"], "pong");
    assert_eq!(status["w1@test"]["running"], 1);
    assert_eq!(status["w1@test"]["queues"], json!(["celery"]));
    let registered = answer(&["inspect", "registered", "-t", T, "--json"]).await;
    assert_eq!(registered, json!({"w1@test": ["double"]}));
    let list = answer(&["list", "--json"]).await;
    for line in [&["call", "double", "-a", "[1]", "--queue", "geo"][..]; 2] {
        assert_eq!(stage.run(line).await.status.code(), Some(0));
    }
    let queues = answer(&["queues", "--json"]).await;
    let nothing = json!({
        "waiting": 0, "delayed": 0, "in_flight": 0, "dead": 0,
        "oldest_ms": null, "paused": false, "workers": 0
    });
    let (mut celery, mut geo) = (nothing.clone(), nothing);
    (celery["in_flight"], celery["workers"]) = (json!(1), json!(1));
    geo["waiting"] = json!(2);
    geo["oldest_ms"] = queues["geo"]["oldest_ms"].clone();
    assert_eq!(queues, json!({"celery": celery, "geo": geo}));
    assert!(geo["oldest_ms"].as_u64().unwrap() < 60_000, "{geo}");
    assert_eq!(
        (&list[0]["name"], &list[0]["live"]),
        (&json!("double"), &json!(true))
    );
    stage.gate.add_permits(1);
    assert_eq!(end(waiting).await.status.code(), Some(0));
    let stats = answer(&["inspect", "stats", "-t", T, "--json"]).await;
    let stats = &stats["w1@test"];
    assert_eq!(stats["total"], json!({"double": 1}));
    assert_eq!(
        (&stats["succeeded"], &stats["pool"]["running"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(stats["broker"]["transport"], "redis");
    let port = stats["broker"]["port"].as_u64().unwrap();
    assert!(stage.server.url().contains(&format!(":{port}")));
    let lines = stage.run(&["status", "-t", T]).await;
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert!(lines.ends_with("\n1 node online.\n"), "{lines}");
    stage.stop().await;
}

#[tokio::test]
async fn a_queue_that_can_not_be_read_is_named_and_hides_no_other() {
    let server = RedisServer::start();
    for queue in ["bad", "good"] {
        let sent = end(spawn(&server.url(), &["call", "t", "--queue", queue])).await;
        assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    }
    assert_eq!(server.command("SET taskq:{bad}:delayed x"), "+OK");
    let said = end(spawn(&server.url(), &["queues", "--json"])).await;
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let queues: Value = serde_json::from_slice(&said.stdout).unwrap();
    let names: Vec<_> = queues.as_object().unwrap().keys().collect();
    assert_eq!(names, ["good"]);
    let notice = String::from_utf8(said.stderr).unwrap();
    for part in ["the queue bad", "taskq:{bad}:delayed", "move it away"] {
        assert!(notice.contains(part), "{part}: {notice}");
    }
}

#[test]
fn a_call_whose_broker_goes_away_during_the_wait_still_tells_its_id() {
    let mut server = RedisServer::start();
    let line = ["call", "t", "--wait", "--timeout", "2", "--json"];
    let mut program = spawn(&server.url(), &line);
    let mut notice = String::new();
    let mut stderr = BufReader::new(program.stderr.take().unwrap());
    stderr.read_line(&mut notice).unwrap();
    let id = notice.split_once("sent as ").unwrap().1;
    let id = id.split_once(',').unwrap().0.to_owned();
    server.kill();
    stderr.read_to_string(&mut notice).unwrap();
    let said = program.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(69), "{notice}");
    let answer: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(answer, json!({"task_id": id}));
}

#[tokio::test]
async fn why_a_call_has_not_ended_is_told_by_the_worker_that_runs_it() {
    let stage = Stage::start();
    assert!(stage.active(0).await.is_empty());
    let waiting = stage.spawn(&["call", "double", "-a", "[21]", "--wait", "--json"]);
    let task = stage.active(1).await.remove(0);
    let id = task["id"].as_str().unwrap();
    let why = stage.run(&["why", id, "--json"]).await;
    let answer: Value = serde_json::from_slice(&why.stdout).unwrap();
    assert_eq!(answer["answer"], "running", "{answer}");
    let words = answer["why"][0].as_str().unwrap();
    assert!(words.starts_with("running on w1@test for "), "{words}");
    assert!(words.ends_with("attempt 1"), "{words}");
    stage.gate.add_permits(1);
    assert!(end(waiting).await.status.success());
    let why = stage.run(&["why", id]).await;
    let words = String::from_utf8(why.stdout).unwrap();
    assert!(words.starts_with("it is over: it succeeded"), "{words}");
    assert!(words.contains("on w1@test, attempt 1"), "{words}");
    stage.stop().await;
}
