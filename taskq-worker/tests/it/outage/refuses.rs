//! Redis is there and refuses: while it loads its data, and while it is a replica.

use std::time::Duration;

use private_redis::RedisServer;
use taskq_client::ErrorKind;

use super::stage::{PATIENCE, SOON, Stage, now_ms, within};

/// Keys that a restart has to load, a millisecond each.
const DUMMIES: usize = 3_000;

/// A restart with much data answers LOADING for several leases: work resumes by itself, nothing runs again.
#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for() {
    let slow = [
        "--key-load-delay",
        "1000",
        "--loading-process-events-interval-bytes",
        "1024",
    ];
    let mut stage = Stage::new(&slow).await;
    let workers = ["first", "second"].map(|name| stage.worker(name, &["-c", "10"]));
    let fill =
        format!("EVAL \"for i=1,{DUMMIES} do redis.call('SET','dummy:'..i,i) end return 1\" 0");
    assert_eq!(stage.server.command(&fill), ":1");
    stage.send_mixed("celery", 200).await;
    stage
        .until("work is under way", || {
            (stage.runs().ended.len() > 30).then_some(())
        })
        .await;
    let [first, second] = &workers;
    let gone = stage
        .take_away(&[first, second], RedisServer::shut_down)
        .await;
    stage.server.restart_loading();
    let began = now_ms();
    let loading = || (stage.server.info("loading") == "0").then_some(());
    within(PATIENCE, "the data is loaded", loading).await;
    let back = now_ms();
    let resumed = within(SOON, "work resumes", || stage.runs().begun_since(back)).await;
    eprintln!(
        "Redis loaded for {} ms: work resumed {} ms after it",
        back - began,
        resumed - back
    );
    let refused = stage.server.info("errorstat_LOADING");
    let refused: u64 = refused.trim_start_matches("count=").parse().unwrap();
    // One answer went to the question whether it is there.
    assert!(refused > 1, "no worker has met LOADING");
    let meanwhile = stage.runs().ended_since(gone);
    assert!(!meanwhile.is_empty(), "nothing ended while Redis was away");
    stage.all_succeed().await;
    assert_eq!(stage.runs().doubled(), [].into());
    for worker in workers {
        let log = worker.end().await;
        assert!(!log.contains("did not count"), "{log}");
    }
}

/// A server that has become a replica refuses every write, longer than a lease: the worker says so, a send is told
/// the remedy, and all goes on once it is a primary again.
#[tokio::test]
async fn a_server_that_became_a_replica_is_named_and_waited_for() {
    let stage = Stage::new(&[]).await;
    let workers = ["first", "second"].map(|name| stage.worker(name, &["-c", "10"]));
    stage.send_mixed("celery", 200).await;
    stage
        .until("work is under way", || {
            (stage.runs().ended.len() > 30).then_some(())
        })
        .await;
    let nowhere = format!("REPLICAOF 127.0.0.1 {}", private_redis::free_port());
    assert_eq!(stage.server.command(&nowhere), "+OK");
    let gone = now_ms();
    for worker in &workers {
        worker
            .logs("it is a replica: point the URL at the primary")
            .await;
    }
    stage
        .until("what runs ends meanwhile", || {
            (stage.runs().open() == 0).then_some(())
        })
        .await;
    let meanwhile = stage.runs().ended_since(gone);
    assert_eq!(stage.send("celery", 1, 0, 0).await, 0);
    {
        let sent = stage.sent();
        let error = sent.errors.last().unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains("it is a replica"), "{error}");
    }
    stage
        .until("every lease is past", || {
            let live = format!("ZCOUNT taskq:{{celery}}:leases {} +inf", now_ms());
            (stage.server.command(&live) == ":0").then_some(())
        })
        .await;
    assert_eq!(stage.server.command("REPLICAOF NO ONE"), "+OK");
    let back = now_ms();
    let resumed = within(SOON, "work resumes", || stage.runs().begun_since(back)).await;
    eprintln!(
        "Redis was a replica for {:.1} s: work resumed {} ms after it, {} verdicts had waited",
        Duration::from_millis(back - gone).as_secs_f64(),
        resumed - back,
        meanwhile.len()
    );
    stage.all_succeed().await;
    assert_eq!(stage.runs().doubled(), [].into());
    for worker in workers {
        let log = worker.end().await;
        assert!(!log.contains("did not count"), "{log}");
    }
}
