//! Worker processes over a real Redis: what their deaths cost, and what their tasks can not do to each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use private_redis::RedisServer;
use serde_json::json;
use taskq_core::broker::{self, Backend, Due, Outgoing};
use taskq_core::dispatch::Dispatcher;
use taskq_worker::event::{EventPosition, Fact, TaskEventKind};
use taskq_worker::message::OnCrash;
use taskq_worker::{Message, QueueName, Record, Signature, State, TaskId};
use tempfile::TempDir;

use crate::process::Process;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and a way to send to it.
pub(crate) struct Stage {
    pub(crate) server: RedisServer,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) dispatcher: Dispatcher,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let server = RedisServer::start();
        let backend = broker::connect(&server.url()).await.unwrap();
        let dispatcher = Dispatcher::new(backend.clone(), PATIENCE);
        Self {
            server,
            backend,
            dispatcher,
        }
    }

    pub(crate) fn worker(&self, more: &[&str]) -> Process {
        let url = self.server.url();
        let args = ["--broker", &url, "--lease", "1"];
        Process::start(&[&args, more].concat())
    }

    pub(crate) async fn send(&self, task: &str, kwargs: serde_json::Value) -> TaskId {
        let call = Signature::<()>::by_name(task)
            .kwargs(&kwargs)
            .queue("celery");
        self.dispatcher.send(call).await.unwrap().id
    }

    /// Sends a call with options that no signature has.
    async fn send_with(&self, message: Message) -> TaskId {
        self.send_together([message]).await.remove(0)
    }

    /// Sends calls in one command: a worker with room for all claims them in one as well.
    async fn send_together(&self, messages: impl IntoIterator<Item = Message>) -> Vec<TaskId> {
        let queue = QueueName::default();
        let outgoing = |message: Message| Outgoing {
            id: message.id,
            body: message.encode().unwrap().into(),
            priority: 0,
            due: Due::Now,
            record: Some(Record::new(
                message.id,
                &message.task,
                &queue,
                State::Queued,
            )),
            once: None,
            event: None,
        };
        let batch: Vec<_> = messages.into_iter().map(outgoing).collect();
        let sent = self.backend.enqueue(&queue, &batch, PATIENCE).await;
        sent.unwrap();
        batch.iter().map(|m| m.id).collect()
    }

    pub(crate) async fn until_in_flight(&self, n: u64) {
        let since = Instant::now();
        let queue = QueueName::default();
        while self.backend.depth(&queue).await.unwrap().in_flight < n {
            assert!(since.elapsed() < PATIENCE, "the worker does not begin");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until these run: what is in flight may not have begun yet.
    async fn until_started(&self, ids: &[TaskId]) {
        let since = Instant::now();
        for id in ids {
            while self.record(*id).await.state != State::Started {
                assert!(since.elapsed() < PATIENCE, "{id} does not begin");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    pub(crate) async fn record(&self, id: TaskId) -> Record {
        self.backend.record(id, None).await.unwrap().unwrap()
    }

    /// Waits until all of `ids` are in a final state; `meanwhile` runs between the looks.
    pub(crate) async fn finals(&self, ids: &[TaskId], mut meanwhile: impl FnMut()) -> Vec<Record> {
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

/// Where runs of `at_gate` wait until they are let through: however long the test takes until it kills their worker.
struct Gates(TempDir);

impl Gates {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The arguments of a call that waits at the gate of this number.
    fn call(&self, number: u32) -> serde_json::Value {
        json!({"directory": self.0.path(), "number": number})
    }

    fn open(&self, number: u32) {
        std::fs::write(self.0.path().join(format!("open-{number}")), "").unwrap();
    }
}

#[tokio::test]
async fn a_killed_worker_loses_nothing_and_another_goes_on() {
    let stage = Stage::new().await;
    let gates = Gates::new();
    let mut ids = Vec::new();
    for n in 0..30 {
        ids.push(stage.send("at_gate", gates.call(n)).await);
    }
    let (mut first, _second) = (stage.worker(&["-c", "4"]), stage.worker(&["-c", "4"]));
    stage.until_in_flight(8).await;
    first.child.kill().unwrap();
    (0..30).for_each(|n| gates.open(n));
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
async fn what_may_take_its_process_down_less_often_is_dead_sooner() {
    let stage = Stage::new().await;
    let mut booms = Vec::new();
    for limit in [1, 2] {
        let mut boom = Message::new("boom");
        boom.max_crashes = Some(limit);
        booms.push(stage.send_with(boom).await);
    }
    let start = || stage.worker(&["-c", "1"]);
    let (mut worker, mut deaths) = (start(), 0);
    let records = stage
        .finals(&booms, || {
            if worker.child.try_wait().unwrap().is_some() {
                deaths += 1;
                worker = start();
            }
        })
        .await;
    let ends: Vec<_> = records.iter().map(|r| (r.state, r.crashes)).collect();
    assert_eq!(ends, [(State::Dead, 1), (State::Dead, 2)]);
    assert_eq!(deaths, 3, "each took down no more than its share");
}

fn nap(ms: u64, on_crash: OnCrash) -> Message {
    let mut message = Message::new("nap");
    message.args = Some(serde_json::value::to_raw_value(&[ms]).unwrap());
    message.on_crash = on_crash;
    message
}

#[tokio::test]
async fn an_at_most_once_run_whose_process_is_killed_is_dead_and_its_neighbour_runs_again() {
    let stage = Stage::new().await;
    let gates = Gates::new();
    let at_gate = |n, on_crash| {
        let mut message = Message::new("at_gate");
        message.kwargs = Some(serde_json::value::to_raw_value(&gates.call(n)).unwrap());
        message.on_crash = on_crash;
        message
    };
    let once = stage.send_with(at_gate(1, OnCrash::Dead)).await;
    let again = stage.send_with(at_gate(2, OnCrash::Requeue)).await;
    let mut worker = stage.worker(&["-c", "2"]);
    stage.until_in_flight(2).await;
    worker.child.kill().unwrap();
    (1..=2).for_each(|n| gates.open(n));
    let _heir = stage.worker(&["-c", "2", "-n", "heir@%h"]);
    let records = stage.finals(&[once, again], || {}).await;
    assert_eq!((records[0].state, records[0].crashes), (State::Dead, 1));
    assert_eq!(records[0].error.as_ref().unwrap().kind, "WorkerCrashed");
    assert_eq!((records[1].state, records[1].crashes), (State::Success, 1));
}

#[tokio::test]
async fn a_warm_stop_gives_back_what_may_run_again_and_ends_what_may_not() {
    let stage = Stage::new().await;
    let tracked = |on_crash| {
        let mut message = nap(60_000, on_crash);
        message.track_started = true;
        message
    };
    let once = stage.send_with(tracked(OnCrash::Dead)).await;
    let again = stage.send_with(tracked(OnCrash::Requeue)).await;
    let worker = stage.worker(&["-c", "2", "--grace", "0"]);
    stage.until_started(&[once, again]).await;
    worker.signal("TERM");
    let (status, log) = worker.end();
    assert_eq!(status, Some(0), "{log}");
    let depth = stage.backend.depth(&QueueName::default()).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight, depth.dead), (1, 0, 1));
    let record = stage.record(once).await;
    assert_eq!((record.state, record.crashes), (State::Dead, 0));
    assert_eq!(stage.record(again).await.state, State::Queued);
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
    // One claim takes them all: a blocked runtime would make no second one.
    let block = || {
        let mut message = Message::new("block");
        message.kwargs = Some(serde_json::value::to_raw_value(&json!({"ms": 4000})).unwrap());
        message
    };
    let ids = stage.send_together((0..32).map(|_| block())).await;
    stage.until_in_flight(32).await;
    let queue = QueueName::default();
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

/// Short and long, tracked and not: whether a run is told of under way or with its verdict, and over whichever connection
/// that goes, each step is told once, and no late STARTED stands over a result.
#[tokio::test]
async fn each_step_of_each_run_is_told_once() {
    use TaskEventKind::{Received, Started, Succeeded};
    let stage = Stage::new().await;
    let mut worker = stage.worker(&["-c", "24"]);
    worker.logs("is ready");
    let mut ids = Vec::new();
    for n in 0..240_u64 {
        let mut message = nap(if n % 12 == 0 { 200 } else { n % 4 }, OnCrash::Requeue);
        message.track_started = n % 2 == 0;
        ids.push(stage.send_with(message).await);
    }
    let records = stage.finals(&ids, || {}).await;
    assert!(
        records.iter().all(|r| r.state == State::Success),
        "{records:?}"
    );
    let mut told: HashMap<TaskId, Vec<TaskEventKind>> = HashMap::new();
    let mut position = EventPosition::oldest();
    loop {
        let page = stage.backend.events(&position, Duration::ZERO).await;
        let page = page.unwrap();
        assert!(!page.missed);
        if page.events.is_empty() {
            break;
        }
        for event in page.events {
            if let Fact::Task(task) = event.fact {
                told.entry(task.id).or_default().push(task.kind);
            }
        }
        position = page.next;
    }
    for id in &ids {
        let mut kinds = told.remove(id).unwrap_or_default();
        kinds.sort();
        assert_eq!(kinds, [Received, Started, Succeeded], "{id}");
    }
    // And what is final stays so.
    for record in stage.finals(&ids, || {}).await {
        assert_eq!(record.state, State::Success);
    }
}
