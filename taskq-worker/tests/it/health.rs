//! Whether a worker lives and is ready, and what its metrics say, over its health address.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use taskq_worker::broker::Control;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::control::Command;
use taskq_worker::retry::Fixed;
use taskq_worker::revocation::Revocation;
use taskq_worker::{Message, State, task};
use tokio::sync::Notify;

use crate::bench::{Bench, send};
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD};
use crate::look::{Metrics, address_of, get, metrics_when, until_status};
use crate::process::{Process, command};
use crate::redis::Stage;

/// Fails three times for good.
#[task(name = "flop", max_retries = 2, retry = Fixed(Duration::from_millis(5)), crate = taskq_worker)]
fn flop() -> Result<(), String> {
    Err("flop".to_owned())
}

const ADDRESS: [&str; 2] = ["--health-addr", "127.0.0.1:0"];

fn problems(answer: &crate::look::Answer) -> String {
    answer.json("problems").to_string()
}

#[tokio::test]
async fn without_its_broker_a_worker_is_not_ready_and_lives() {
    let mut stage = Stage::new().await;
    let mut worker = stage.worker(&ADDRESS);
    let address = address_of(&mut worker);
    let ready = until_status(address, "/ready", 200);
    assert_eq!(ready.json("ready"), json!(true));
    assert_eq!(
        metrics_when(address, |m| m.get("taskq_broker_up") == Some(1.0))
            .of("taskq_queue_dead{queue=\"celery\"}"),
        0.0
    );

    stage.server.kill();
    let unready = until_status(address, "/ready", 503);
    assert!(
        problems(&unready).contains("the broker has answered no heartbeat for"),
        "{unready:?}"
    );
    assert!(
        problems(&unready).contains("the lease is 1.0 s"),
        "{unready:?}"
    );
    let live = get(address, "/live").unwrap();
    assert_eq!(
        (live.status, live.json("live")),
        (200, json!(true)),
        "{live:?}"
    );
    let metrics = metrics_when(address, |m| m.get("taskq_broker_up") == Some(0.0));
    // No number is better than an old one.
    assert_eq!(metrics.get("taskq_queue_dead{queue=\"celery\"}"), None);
    assert!(metrics.of("taskq_broker_contact_age_seconds") > 1.0);
    assert!(metrics.of("taskq_broker_call_errors_total{call=\"beat\"}") >= 1.0);

    stage.server.restart();
    until_status(address, "/ready", 200);
    worker.signal("TERM");
    assert_eq!(worker.end().0, Some(0));
}

/// A server that is stopped keeps its connections open and answers nothing.
#[tokio::test]
async fn a_mute_broker_is_no_contact() {
    let stage = Stage::new().await;
    let mut worker = stage.worker(&ADDRESS);
    let address = address_of(&mut worker);
    until_status(address, "/ready", 200);
    stage.server.pause();
    until_status(address, "/ready", 503);
    assert_eq!(get(address, "/live").unwrap().status, 200);
    metrics_when(address, |m| m.get("taskq_broker_up") == Some(0.0));
    stage.server.resume();
    until_status(address, "/ready", 200);
}

#[tokio::test]
async fn what_blocks_the_runtime_blocks_no_answer() {
    let stage = Stage::new().await;
    let url = stage.server.url();
    // Not to be ready is right where the machine itself stands still for a lease: that is none of the task's doing.
    let args = ["-b", &url, "--lease", "4", "-c", "40"];
    let mut command = command(&[&args[..], &ADDRESS].concat());
    // One thread for all tasks, so that one that blocks is enough.
    let mut worker = Process::of(command.env("TOKIO_WORKER_THREADS", "1"));
    let address = address_of(&mut worker);
    until_status(address, "/ready", 200);
    for _ in 0..9 {
        stage.send("block", json!({"ms": 60_000})).await;
    }
    let metrics = metrics_when(address, |m| m.get("taskq_running") == Some(1.0));
    assert_eq!(metrics.of("taskq_slots"), 40.0);
    // Longer than a lease.
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while std::time::Instant::now() < until {
        for path in ["/live", "/ready"] {
            let answer = get(address, path).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = metrics_when(address, |_| true);
    assert_eq!(again.of("taskq_running"), 1.0, "it blocks still");
    worker.child.kill().unwrap();
}

#[tokio::test]
async fn the_metrics_are_what_was_run() {
    let stage = Stage::new().await;
    let mut worker = stage.worker(&[&ADDRESS[..], &["-c", "7"]].concat());
    let address = address_of(&mut worker);
    worker.logs("is ready");
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(stage.send("nap", json!({"ms": 30})).await);
    }
    ids.push(stage.send("flop", json!({})).await);
    ids.push(stage.send("nobodys \"task\"\n", json!({})).await);
    let records = stage.finals(&ids, || {}).await;
    assert_eq!(records[5].state, State::Failure);
    stage.send("nap", json!({"ms": 60_000})).await;

    let ended =
        |task: &str, end: &str| format!("taskq_task_ends_total{{end=\"{end}\",task=\"{task}\"}}");
    let queue = |what: &str| format!("taskq_queue_{what}{{queue=\"celery\"}}");
    let metrics = metrics_when(address, |m| {
        m.get(&queue("in_flight")) == Some(1.0) && m.get("taskq_running") == Some(1.0)
    });
    for (name, expected) in [
        (ended("nap", "succeeded"), 5.0),
        (ended("nap", "failed"), 0.0),
        (ended("flop", "succeeded"), 0.0),
        (ended("flop", "retried"), 2.0),
        (ended("flop", "failed"), 1.0),
        // Whatever it is called: names that nobody bounds are no labels.
        (ended("", "dead"), 1.0),
        ("taskq_task_run_seconds_count{task=\"nap\"}".into(), 5.0),
        ("taskq_task_run_seconds_count{task=\"flop\"}".into(), 3.0),
        (
            "taskq_task_run_seconds_bucket{task=\"nap\",le=\"0.025\"}".into(),
            0.0,
        ),
        ("taskq_task_wait_seconds_count{task=\"nap\"}".into(), 5.0),
        ("taskq_task_wait_seconds_count{task=\"flop\"}".into(), 1.0),
        (queue("sent_total"), 8.0),
        (queue("succeeded_total"), 5.0),
        (queue("failed_total"), 1.0),
        (queue("retried_total"), 2.0),
        (queue("dead_total"), 1.0),
        (queue("crashes_total"), 0.0),
        (queue("waiting"), 0.0),
        (queue("oldest_age_seconds"), 0.0),
        (queue("dead"), 2.0),
        (queue("paused"), 0.0),
        ("taskq_slots".into(), 7.0),
        ("taskq_held".into(), 1.0),
        ("taskq_lost_verdicts_total".into(), 0.0),
        ("taskq_broker_up".into(), 1.0),
    ] {
        assert_eq!(metrics.of(&name), expected, "{name}");
    }
    let ran = metrics.of("taskq_task_run_seconds_sum{task=\"nap\"}");
    assert!((0.15..5.0).contains(&ran), "5 × 30 ms: {ran}");
    assert!(metrics.of("taskq_broker_call_seconds_count{call=\"beat\"}") >= 1.0);
    assert!(metrics.of("taskq_broker_call_seconds_count{call=\"finish\"}") >= 1.0);
    assert!(metrics.of("process_resident_memory_bytes") > 1e6);

    // What waits behind a full worker is seen waiting, and for how long.
    for _ in 0..10 {
        stage.send("nap", json!({"ms": 60_000})).await;
    }
    let full = metrics_when(address, |m| {
        m.get(&queue("waiting")) == Some(4.0) && m.of(&queue("oldest_age_seconds")) > 0.0
    });
    assert_eq!(full.of("taskq_running"), 7.0);
    worker.child.kill().unwrap();
}

/// A free address for a worker of this process.
fn free() -> SocketAddr {
    ([127, 0, 0, 1], private_redis::free_port()).into()
}

async fn until_it_is(address: SocketAddr, path: &'static str, status: u16) -> crate::look::Answer {
    tokio::task::spawn_blocking(move || until_status(address, path, status))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_from_its_first_claim_until_it_stops() {
    let (address, go, gate) = (free(), Arc::new(Notify::new()), Gate::default());
    let (wait, held) = (go.clone(), gate.clone());
    let broker = MemoryBroker::new();
    let mut bench = Bench::with(broker.clone(), &[&HELD], |b| {
        b.health_addr(address.to_string())
            .state(held)
            .on_start(move |_| async move {
                wait.notified().await;
                Ok::<_, String>(())
            })
    });
    let starts = until_it_is(address, "/ready", 503).await;
    assert!(problems(&starts).contains("it starts"), "{starts:?}");
    assert_eq!(
        until_it_is(address, "/live", 200).await.json("problems"),
        json!([])
    );
    until_it_is(address, "/metrics", 200).await;
    go.notify_one();
    until_it_is(address, "/ready", 200).await;
    send(&broker, Message::new("held")).await;
    gate.runs(1).await;
    bench.stop.cancel();
    let stops = until_it_is(address, "/ready", 503).await;
    assert!(problems(&stops).contains("it stops"), "{stops:?}");
    let live = until_it_is(address, "/live", 200).await;
    assert!(
        live.json("loops")["heartbeat"]["limit_s"].is_number(),
        "{live:?}"
    );
    gate.let_go(1);
    bench.end().await.unwrap();
    let gone = tokio::task::spawn_blocking(move || {
        while get(address, "/live").is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_tasks_is_not_ready() {
    let address = free();
    let mut bench = Bench::with(MemoryBroker::new(), &[], |b| {
        b.health_addr(address.to_string())
    });
    until_it_is(address, "/live", 200).await;
    let answer = until_it_is(address, "/ready", 503).await;
    let said = tokio::time::timeout(Duration::from_secs(20), async {
        let mut said = answer;
        while problems(&said).contains("it starts") {
            said = until_it_is(address, "/ready", 503).await;
        }
        said
    });
    let said = said.await.unwrap();
    assert!(
        problems(&said).contains("no task is registered"),
        "{said:?}"
    );
    bench.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_broker_loses_is_counted() {
    let address = free();
    let flaky = Flaky::default();
    let (broker, faults, gate) = (flaky.inner.clone(), flaky.faults.clone(), Gate::default());
    let held = gate.clone();
    let mut bench = Bench::at(&flaky, &[&HELD], |b| {
        b.health_addr(address.to_string())
            .state(held)
            .lease(Duration::from_millis(200))
    });
    send(&broker, Message::new("held")).await;
    gate.runs(1).await;
    faults.deaf_to_beats.store(true, Ordering::SeqCst);
    // Another worker takes over what this one held.
    let lost = tokio::task::spawn_blocking(move || {
        metrics_when(address, |m| {
            m.get("taskq_lost_verdicts_total").is_some_and(|n| n >= 1.0)
        })
    });
    let heir = Bench::with(broker.clone(), &[&HELD], |b| {
        b.state(Gate::default())
            .node("heir@test")
            .lease(Duration::from_millis(200))
    });
    let metrics: Metrics = lost.await.unwrap();
    assert!(metrics.of("taskq_lost_sessions_total") >= 1.0);
    faults.deaf_to_beats.store(false, Ordering::SeqCst);
    // It may have claimed what it had lost before the heir did.
    gate.let_go(2);
    bench.stop().await.unwrap();
    drop(heir);
}

/// Whoever revoked it has told its end already: it is counted by its task all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_and_told_counts_for_its_task() {
    let (address, broker) = (free(), MemoryBroker::new());
    let id = send(&broker, Message::new("held")).await;
    let celery = crate::bench::celery();
    let what = [Revocation::Id(id)];
    broker.revoke(&celery, &what).await.unwrap();
    assert_eq!(broker.mark_revoked(&celery, &[id]).await.unwrap(), [id]);
    let mut bench = Bench::with(broker, &[&HELD], |b| {
        b.health_addr(address.to_string()).state(Gate::default())
    });
    until_it_is(address, "/live", 200).await;
    let counted = tokio::task::spawn_blocking(move || {
        let revoked = |m: &Metrics, task: &str| {
            m.get(&format!(
                "taskq_task_ends_total{{end=\"revoked\",task=\"{task}\"}}"
            ))
        };
        let metrics = metrics_when(address, |m| {
            ["held", ""]
                .iter()
                .any(|task| revoked(m, task) == Some(1.0))
        });
        revoked(&metrics, "held")
    });
    assert_eq!(counted.await.unwrap(), Some(1.0));
    bench.stop().await.unwrap();
}

/// One queue's trouble is told of that queue; one that is left is told of no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_can_not_be_read_hides_no_other() {
    let address = free();
    let flaky = Flaky::default();
    let (broker, faults) = (flaky.inner.clone(), flaky.faults.clone());
    let mut bench = Bench::at(&flaky, &[&HELD], |b| {
        b.health_addr(address.to_string())
            .queues(["celery", "geo"])
            .state(Gate::default())
    });
    until_it_is(address, "/ready", 200).await;
    let once = async |is: fn(&Metrics) -> bool| {
        let looks = tokio::task::spawn_blocking(move || metrics_when(address, is));
        looks.await.unwrap()
    };
    const READABLE: &str = "taskq_queue_readable{queue=\"geo\"}";
    const OF_GEO: [&str; 2] = [
        "taskq_queue_waiting{queue=\"geo\"}",
        "taskq_queue_sent_total{queue=\"geo\"}",
    ];
    let both = once(|m| m.get(READABLE) == Some(1.0)).await;
    assert!(OF_GEO.iter().all(|name| both.get(name) == Some(0.0)));

    *faults.unreadable.lock().unwrap() = Some("geo".parse().unwrap());
    let one = once(|m| m.get(READABLE) == Some(0.0)).await;
    assert_eq!(one.of("taskq_broker_up"), 1.0);
    assert_eq!(one.of("taskq_queue_readable{queue=\"celery\"}"), 1.0);
    assert_eq!(one.of("taskq_queue_waiting{queue=\"celery\"}"), 0.0);
    assert_eq!(one.of("taskq_queue_sent_total{queue=\"celery\"}"), 0.0);
    assert!(OF_GEO.iter().all(|name| one.get(name).is_none()));

    *faults.unreadable.lock().unwrap() = None;
    let both = once(|m| m.get(READABLE) == Some(1.0)).await;
    assert!(OF_GEO.iter().all(|name| both.get(name) == Some(0.0)));

    let queue = "geo".parse().unwrap();
    crate::control::ask(&broker, Command::CancelConsumer { queue }, &[]).await;
    let left = once(|m| m.get(READABLE).is_none()).await;
    assert!(OF_GEO.iter().all(|name| left.get(name).is_none()));
    assert_eq!(left.of("taskq_queue_readable{queue=\"celery\"}"), 1.0);
    bench.stop().await.unwrap();
}

/// What none of our code should do. The heartbeat has a thread of its own: the lease stands, and only this tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_own_loop_is_stuck_does_not_live() {
    let address = free();
    let flaky = Flaky::default();
    let faults = flaky.faults.clone();
    let mut bench = Bench::at(&flaky, &[&HELD], |b| {
        b.health_addr(address.to_string())
            .lease(Duration::from_secs(1))
    });
    until_it_is(address, "/ready", 200).await;
    faults.blocks.store(true, Ordering::SeqCst);
    let dead = until_it_is(address, "/live", 503).await;
    assert!(
        problems(&dead).contains("the loop `calls` has not turned for"),
        "{dead:?}"
    );
    until_it_is(address, "/ready", 200).await;
    // Its numbers can not be asked; the answer comes nevertheless.
    assert_eq!(get_now(address, "/metrics").await.status, 200);
    faults.blocks.store(false, Ordering::SeqCst);
    until_it_is(address, "/live", 200).await;
    bench.stop().await.unwrap();
}

async fn get_now(address: SocketAddr, path: &'static str) -> crate::look::Answer {
    let asked = tokio::task::spawn_blocking(move || get(address, path));
    asked.await.unwrap().unwrap()
}

#[test]
fn an_address_that_can_not_be_had_is_a_sentence_and_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, sentence) in [
        (&*taken, "give another with --health-addr"),
        ("nonsense", "is no HOST:PORT"),
        ("127.0.0.1:http", "is no HOST:PORT"),
        (":8080", "is no HOST:PORT"),
        ("::1:8080", "is no HOST:PORT"),
    ] {
        let (status, log) = Process::start(&["-b", "memory://", "--health-addr", address]).end();
        assert_eq!(status, Some(2), "{address}: {log}");
        assert!(log.contains(sentence), "{address}: {log}");
    }
}
