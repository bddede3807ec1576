//! Revoking and purging over a real Redis, with worker processes that are killed in between.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use private_redis::RedisServer;
use serde_json::Value;
use taskq_client::{
    Client, QueueName, Revocation, RevokeOptions, SendOptions, State, TaskHandle, TaskId, WaitError,
};
use taskq_worker::task::Registry;
use taskq_worker::{Worker, task};
use tokio::time::timeout;

use crate::running::PATIENCE;

/// Where a process of this binary finds the server that it is to work at, and at which queues.
const SERVER: &str = "TASKQ_TEST_WORK_AT";
const QUEUES: &str = "TASKQ_TEST_WORK_ON";

/// It does not end by itself.
#[task(crate = taskq_worker, name = "revoke.hold", track_started)]
async fn hold() {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
}

/// It ends at once.
#[task(crate = taskq_worker, name = "revoke.quick")]
async fn quick() -> i64 {
    1
}

struct Process(Child);

impl Process {
    /// A worker with one slot.
    fn start(server: &RedisServer, queues: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "revoking_over_redis::works_until_killed",
            ])
            .env(SERVER, server.url())
            .env(QUEUES, queues)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Not a test: the worker that the tests kill.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "works until it is killed"]
async fn works_until_killed() {
    let url = std::env::var(SERVER).expect("a test starts it");
    let queues = std::env::var(QUEUES).expect("a test starts it");
    let worker = Worker::builder()
        .url(&url)
        .registry(Registry::from_defs([&hold::DEF, &quick::DEF]).unwrap())
        .queues(queues.split(','))
        .concurrency(1)
        .lease(Duration::from_secs(1))
        .build();
    worker.unwrap().run().await.unwrap();
}

async fn until(what: &str, is: impl AsyncFn() -> bool) {
    let asked = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, asked).await.is_ok(), "never: {what}");
}

type Handle = TaskHandle<Value>;

async fn send(client: &Client, task: &str, queue: &str, countdown: Duration) -> Handle {
    let options = SendOptions::default()
        .queue(queue)
        .countdown(countdown)
        .track_started(true);
    let sent = client.send_by_name(task, (), (), options).await;
    sent.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_delayed_or_runs_is_revoked_at_once_and_stays_so_whoever_works_next() {
    let server = RedisServer::start();
    let client = Client::connect(&server.url()).await.unwrap();
    let first = Process::start(&server, "q");
    let runs = send(&client, "revoke.hold", "q", Duration::ZERO).await;
    until("it runs", async || {
        runs.state().await.unwrap() == Some(State::Started)
    })
    .await;
    let waits = send(&client, "revoke.hold", "q", Duration::ZERO).await;
    let delayed = send(&client, "revoke.hold", "q", Duration::from_secs(2)).await;
    // Nobody works there yet.
    let later = send(&client, "revoke.hold", "later", Duration::ZERO).await;
    let by_task = send(&client, "revoke.quick", "later", Duration::ZERO).await;
    let all = [&runs, &waits, &delayed, &later];
    let waiting: Vec<_> = all
        .iter()
        .map(|handle| {
            let handle = Handle::clone(handle);
            tokio::spawn(async move { handle.wait(PATIENCE).await })
        })
        .collect();

    let ids: Vec<TaskId> = all.iter().map(|handle| handle.id()).collect();
    let mut what: Vec<_> = ids.iter().copied().map(Revocation::Id).collect();
    what.push(Revocation::Task("revoke.quick".into()));
    let options = RevokeOptions {
        terminate: true,
        timeout: PATIENCE,
        ..RevokeOptions::default()
    };
    let revoked = client.revoke(&what, options).await.unwrap();
    assert_eq!(revoked.terminated, ids[..1], "{revoked:?}");
    let mut marked = ids[1..].to_vec();
    marked.sort_unstable();
    assert_eq!(revoked.marked, marked);
    for ended in waiting {
        let ended = timeout(PATIENCE, ended).await.unwrap().unwrap();
        assert!(matches!(ended, Err(WaitError::Revoked { .. })), "{ended:?}");
    }
    let kind = async |handle: &Handle| {
        let record = handle.record().await.unwrap().unwrap();
        (record.state, record.error.map(|e| e.kind), record.attempts)
    };
    let said = |kind: &str, attempts| (State::Revoked, Some(kind.to_owned()), attempts);
    assert_eq!(kind(&runs).await, said("Terminated", 1));
    for handle in &all[1..] {
        assert_eq!(kind(handle).await, said("Revoked", 0));
    }
    // Its state is written when it is claimed.
    assert_eq!(by_task.state().await.unwrap(), Some(State::Queued));

    // Killed; who works next has never heard of it.
    drop(first);
    let _second = Process::start(&server, "q,later");
    let last = send(&client, "revoke.quick", "q", Duration::from_secs(3)).await;
    last.wait(PATIENCE).await.unwrap();
    assert_eq!(kind(&by_task).await, said("Revoked", 0));
    for handle in &all[1..] {
        assert_eq!(kind(handle).await, said("Revoked", 0));
    }
    let queue = QueueName::new("q").unwrap();
    until("all are over", async || {
        let depth = client.depth(&queue).await.unwrap();
        depth.waiting + depth.delayed + depth.in_flight == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_purged_under_a_worker_that_takes_from_it() {
    let server = RedisServer::start();
    let client = Client::connect(&server.url()).await.unwrap();
    let queue = QueueName::new("q").unwrap();
    let options = SendOptions::default().queue("q");
    let mut handles = Vec::new();
    for _ in 0..300 {
        let sent = client.send_by_name("revoke.quick", (), (), options.clone());
        handles.push(sent.await.unwrap());
    }
    let _worker = Process::start(&server, "q");
    handles[0].wait(PATIENCE).await.unwrap();
    let purged = client.purge(&queue).await.unwrap();
    let ends = client.wait_all_records(&handles, PATIENCE).await;
    let states: Vec<State> = ends.into_iter().map(|end| end.unwrap().state).collect();
    let revoked = states.iter().filter(|s| **s == State::Revoked).count();
    let done = states.iter().filter(|s| **s == State::Success).count();
    assert_eq!((revoked as u64, done + revoked), (purged, 300));
}
