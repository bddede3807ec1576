//! Worker processes over a real Redis: what their deaths cost, and what their tasks can not do to each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use private_redis::RedisServer;
use serde_json::json;
use taskq_core::broker::{self, Backend};
use taskq_core::dispatch::Dispatcher;
use taskq_worker::{Record, Signature, State, TaskId};

use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and a way to send to it.
struct Stage {
    server: RedisServer,
    backend: Arc<dyn Backend>,
    dispatcher: Dispatcher,
}

impl Stage {
    async fn new() -> Self {
        let server = RedisServer::start();
        let backend = broker::connect(&server.url()).await.unwrap();
        let dispatcher = Dispatcher::new(backend.clone(), Duration::from_secs(3));
        Self {
            server,
            backend,
            dispatcher,
        }
    }

    fn worker(&self, more: &[&str]) -> Process {
        let url = self.server.url();
        let args = ["--broker", &url, "--lease", "1"];
        Process::start(&[&args, more].concat())
    }

    async fn send(&self, task: &str, kwargs: serde_json::Value) -> TaskId {
        let call = Signature::<()>::by_name(task)
            .kwargs(&kwargs)
            .queue("celery");
        self.dispatcher.send(call).await.unwrap().id
    }

    async fn record(&self, id: TaskId) -> Record {
        self.backend.record(id, None).await.unwrap().unwrap()
    }

    /// Waits until all of `ids` are in a final state; `meanwhile` runs between the looks.
    async fn finals(&self, ids: &[TaskId], mut meanwhile: impl FnMut()) -> Vec<Record> {
        let since = Instant::now();
        loop {
            meanwhile();
            let mut records = Vec::new();
            for id in ids {
                records.push(self.record(*id).await);
            }
            if records.iter().all(|r| r.state.is_final()) {
                return records;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "not all have ended: {records:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_killed_worker_loses_nothing_and_another_goes_on() {
    let stage = Stage::new().await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(stage.send("nap", json!({"ms": 300})).await);
    }
    let (mut first, _second) = (stage.worker(&["-c", "4"]), stage.worker(&["-c", "4"]));
    let queue = taskq_worker::QueueName::default();
    let since = Instant::now();
    while stage.backend.depth(&queue).await.unwrap().in_flight < 8 {
        assert!(since.elapsed() < PATIENCE, "the workers do not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.child.kill().unwrap();
    let records = stage.finals(&ids, || {}).await;
    assert!(
        records.iter().all(|r| r.state == State::Success),
        "{records:?}"
    );
    let crashed = records.iter().filter(|r| r.crashes == 1).count();
    assert!(
        (1..=4).contains(&crashed),
        "{crashed} of the 4 it held have a crash on their record"
    );
}

#[tokio::test]
async fn what_aborts_its_process_is_dead_after_three_crashes_and_its_neighbours_live() {
    let stage = Stage::new().await;
    let boom = stage.send("boom", json!({})).await;
    let mut naps = Vec::new();
    for _ in 0..20 {
        naps.push(stage.send("nap", json!({"ms": 20})).await);
    }
    let start = || stage.worker(&["-c", "6"]);
    let (mut worker, mut deaths) = (start(), 0);
    let ids: Vec<TaskId> = [&[boom], &naps[..]].concat();
    let records = stage
        .finals(&ids, || {
            // What a supervisor does.
            if worker.child.try_wait().unwrap().is_some() {
                deaths += 1;
                worker = start();
            }
        })
        .await;
    assert_eq!((records[0].state, records[0].crashes), (State::Dead, 3));
    assert_eq!(records[0].error.as_ref().unwrap().kind, "WorkerCrashed");
    assert_eq!(deaths, 3);
    assert!(
        records[1..].iter().all(|r| r.state == State::Success),
        "{records:?}"
    );
}

#[tokio::test]
async fn the_log_of_what_can_not_run_says_that_it_did_not() {
    let stage = Stage::new().await;
    let mut worker = stage.worker(&[]);
    worker.logs("is ready");
    stage.send("nobodys", json!({})).await;
    let line = worker.logs("UnknownTask");
    for part in ["nobodys DEAD, it was not run: UnknownTask", "attempt=0"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// Every thread of the runtime is blocked for many leases; another worker would take over at the first that is missed.
#[tokio::test]
async fn what_blocks_the_runtime_costs_no_lease() {
    let stage = Stage::new().await;
    let mut blocked = stage.worker(&["-c", "40", "-n", "blocked@%h"]);
    blocked.logs("is ready");
    let mut ids = Vec::new();
    for _ in 0..32 {
        ids.push(stage.send("block", json!({"ms": 4000})).await);
    }
    let queue = taskq_worker::QueueName::default();
    let since = Instant::now();
    while stage.backend.depth(&queue).await.unwrap().in_flight < 32 {
        assert!(since.elapsed() < PATIENCE, "the worker does not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _heir = stage.worker(&["-n", "heir@%h"]);
    // Three leases of silence would be enough to lose it.
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_eq!(stage.backend.depth(&queue).await.unwrap().waiting, 0);
        for id in &ids {
            let record = stage.record(*id).await;
            assert_eq!(record.crashes, 0, "{record:?}");
            assert!(record.worker.is_none_or(|w| w.starts_with("blocked@")));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    blocked.child.kill().unwrap();
}
