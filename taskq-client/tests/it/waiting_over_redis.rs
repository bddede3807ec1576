//! Waits at a real Redis: what wakes them, and what they leave behind.

use std::process::{Command, Stdio};
use std::time::Duration;

use private_redis::RedisServer;
use taskq_client::{Client, Signature, TaskHandle, WaitError};
use taskq_worker::task;
use tokio::time::timeout;

use crate::running::{PATIENCE, Running, until};

#[task(crate = taskq_worker, name = "math.double")]
async fn double(n: i64) -> i64 {
    2 * n
}

/// Where a process of this binary finds the server it is to wait at.
const SERVER: &str = "TASKQ_TEST_WAIT_AT";

fn call(n: i64, queue: &str) -> Signature<i64> {
    double::call(n).queue(queue)
}

/// How many tasks of `queue` somebody is registered to wait for.
fn waiters(server: &RedisServer, queue: &str) -> String {
    server.command(&format!("HLEN taskq:{{{queue}}}:waiters"))
}

async fn nobody_waits(server: &RedisServer, queues: &[&str]) {
    for queue in queues {
        until("no waiter is left", || waiters(server, queue) == ":0").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_many_ends_with_the_last_of_them() {
    let server = RedisServer::start();
    let client = Client::connect(&server.url()).await.unwrap();
    let calls = (0..300).map(|n| call(n, ["a", "b", "c"][n as usize % 3]));
    let sent = client.send_many(calls.collect()).await;
    let handles: Vec<TaskHandle<i64>> = sent.into_iter().collect::<Result<_, _>>().unwrap();
    let waiting = tokio::spawn({
        let (client, handles) = (client.clone(), handles.clone());
        async move { client.wait_all::<i64, _>(handles, PATIENCE).await }
    });
    until("the wait is registered", || waiters(&server, "a") == ":100").await;
    let worker = Running::start(&server.url(), &double::DEF, &["a", "b", "c"]);
    let results = waiting.await.unwrap();
    let results: Vec<i64> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(results, (0..300).map(|n| 2 * n).collect::<Vec<_>>());
    // Bare ids, of which nobody says where they lie.
    let ids = handles.iter().rev().map(TaskHandle::id);
    let results = client.wait_all::<i64, _>(ids, PATIENCE).await;
    assert_eq!(*results[0].as_ref().unwrap(), 2 * 299);
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 300);
    nobody_waits(&server, &["a", "b", "c"]).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_over_or_dropped_leaves_nothing_in_redis() {
    let server = RedisServer::start();
    let client = Client::connect(&server.url()).await.unwrap();
    let sent = client.send_many(vec![call(1, "q"), call(2, "q")]).await;
    let handles: Vec<TaskHandle<i64>> = sent.into_iter().collect::<Result<_, _>>().unwrap();
    let ends = client
        .wait_all::<i64, _>(&handles, Duration::from_millis(100))
        .await;
    for end in ends {
        assert!(
            // How it stands is looked up in half a second, which a busy machine may not have.
            matches!(end, Err(WaitError::TimedOut { .. })),
            "{end:?}"
        );
    }
    nobody_waits(&server, &["q"]).await;
    let handle = handles[0].clone();
    let dropped = tokio::spawn(async move { handle.wait(PATIENCE).await });
    until("the wait is registered", || waiters(&server, "q") == ":1").await;
    dropped.abort();
    nobody_waits(&server, &["q"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_outlives_a_flushall() {
    let server = RedisServer::start();
    let client = Client::connect(&server.url()).await.unwrap();
    let call = call(21, "q");
    let handle = client.send(call.clone()).await.unwrap();
    let waiting = tokio::spawn(async move { handle.wait(PATIENCE).await });
    until("the wait is registered", || waiters(&server, "q") == ":1").await;
    assert_eq!(server.command("FLUSHALL"), "+OK");
    // What was lost with it is sent again, under its id.
    client.send(call).await.unwrap();
    let worker = Running::start(&server.url(), &double::DEF, &["q"]);
    assert_eq!(waiting.await.unwrap().unwrap(), 42);
    nobody_waits(&server, &["q"]).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_id_is_waited_for_before_its_queue_is_known() {
    let server = RedisServer::start();
    let client = Client::connect(&server.url()).await.unwrap();
    let call = call(4, "late");
    let handle = client.handle::<i64>(call.task_id());
    // The last look at the end of a wait shall not be what finds it.
    let waiting = tokio::spawn(async move { handle.wait(60 * PATIENCE).await });
    until("the queues were asked for, and there were none", || {
        !server.info("cmdstat_smembers").is_empty()
    })
    .await;
    client.send(call).await.unwrap();
    let worker = Running::start(&server.url(), &double::DEF, &["late"]);
    let doubled = timeout(PATIENCE, waiting).await.expect("it was found");
    assert_eq!(doubled.unwrap().unwrap(), 8);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_id_leaves_nothing_in_the_queues_where_it_is_not() {
    let server = RedisServer::start();
    let client = Client::connect(&server.url()).await.unwrap();
    client.send(call(1, "other")).await.unwrap();
    let id = client.send(call(2, "q")).await.unwrap().id();
    let handle = client.handle::<i64>(id);
    let waiting = tokio::spawn(async move { handle.wait(PATIENCE).await });
    until("the wait is registered everywhere", || {
        waiters(&server, "q") == ":1" && waiters(&server, "other") == ":1"
    })
    .await;
    // No worker of the other queue sweeps there.
    let worker = Running::start(&server.url(), &double::DEF, &["q"]);
    assert_eq!(waiting.await.unwrap().unwrap(), 4);
    nobody_waits(&server, &["q", "other"]).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_client_waited_for_is_forgotten() {
    let server = RedisServer::start();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "waiting_over_redis::waits_for_good"])
        .env(SERVER, server.url())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the wait is registered", || waiters(&server, "q") == ":1").await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(waiters(&server, "q"), ":1", "nobody took it out for it");
    // A worker of the queue, whatever it runs, forgets it once its time is over.
    let worker = Running::start(&server.url(), &double::DEF, &["q"]);
    nobody_waits(&server, &["q"]).await;
    worker.stop().await;
}

/// Not a test: the process that the test above kills.
#[tokio::test]
#[ignore = "waits until it is killed"]
async fn waits_for_good() {
    let url = std::env::var(SERVER).expect("the test above starts it");
    let client = Client::connect(&url).await.unwrap();
    // A task that no worker of the test runs: it is not due.
    let call = call(1, "q").countdown(Duration::from_secs(3_600));
    let handle = client.send(call).await.unwrap();
    drop(handle.wait(Duration::from_secs(3_600)).await);
}
