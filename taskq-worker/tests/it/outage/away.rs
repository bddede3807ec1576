//! Redis stops for a while and comes back: as it was, or as it was some time before.

use std::time::{Duration, Instant};

use private_redis::RedisServer;

use super::stage::{SOON, Stage, now_ms, within};

/// Nothing that was answered is forgotten by a kill. Its backlog of connections is soon full, as with many workers.
const KEEPS_ALL: &[&str] = &[
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--tcp-backlog",
    "4",
];

/// How it goes away.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Away {
    /// Killed, and started again with all its data: its connections break.
    Killed,
    /// Stopped, and let go on: its connections stay open and mute.
    Paused,
}

/// How long the longer of the outages is: `TASKQ_OUTAGE_SECONDS`, else many leases.
fn long() -> Duration {
    let given = std::env::var("TASKQ_OUTAGE_SECONDS").ok();
    Duration::from_secs(given.map_or(10, |s| s.parse().expect("TASKQ_OUTAGE_SECONDS: seconds")))
}

/// The workers' lease: `TASKQ_OUTAGE_LEASE`, else 2 s.
fn lease() -> String {
    std::env::var("TASKQ_OUTAGE_LEASE").unwrap_or_else(|_| "2".to_owned())
}

/// Redis is away for `length` under load. Work goes on by itself, and what ended meanwhile is kept, not run again.
async fn away(how: Away, length: Duration) {
    let mut stage = Stage::new(KEEPS_ALL).await;
    let lease = ["--lease", &*lease(), "-c", "20"].map(str::to_owned);
    let more: Vec<&str> = lease.iter().map(String::as_str).collect();
    let (first, second) = (stage.worker("first", &more), stage.worker("second", &more));
    stage.send_mixed("celery", 300).await;
    let feed = stage.feed("celery", Duration::from_millis(20), 400);
    stage
        .until("work is under way", || {
            (stage.runs().ended.len() > 60).then_some(())
        })
        .await;

    let gone_ms = stage
        .take_away(&[&first, &second], |server| match how {
            Away::Killed => server.kill(),
            Away::Paused => server.pause(),
        })
        .await;
    let gone = Instant::now();
    stage
        .until("what runs ends while Redis is away", || {
            (stage.runs().open() == 0).then_some(())
        })
        .await;
    let meanwhile = stage.runs().ended_since(gone_ms);
    assert!(!meanwhile.is_empty(), "nothing ended while Redis was away");
    tokio::time::sleep(length.saturating_sub(gone.elapsed())).await;
    match how {
        Away::Killed => stage.server.restart(),
        Away::Paused => stage.server.resume(),
    }
    let (back, back_ms) = (Instant::now(), now_ms());

    let resumed = within(SOON, "work resumes", || stage.runs().begun_since(back_ms)).await;
    let held: Vec<_> = {
        let sent = stage.sent();
        meanwhile
            .iter()
            .filter_map(|n| sent.accepted.get(n).copied())
            .collect()
    };
    assert!(
        !held.is_empty(),
        "of what ended meanwhile nothing is known to be accepted"
    );
    for id in &held {
        let handle = stage.client.handle::<u64>(*id);
        let left = SOON.saturating_sub(back.elapsed());
        handle
            .wait(left)
            .await
            .expect("what ended meanwhile is kept");
    }
    eprintln!(
        "Redis {how:?} for {:.1} s: work resumed {} ms after its return, {} verdicts that had waited were kept after {} ms",
        gone.elapsed().as_secs_f64() - back.elapsed().as_secs_f64(),
        resumed - back_ms,
        held.len(),
        back.elapsed().as_millis(),
    );
    feed.stop().await;
    stage.all_succeed().await;
    let runs = stage.runs();
    assert_eq!(
        runs.doubled(),
        [].into(),
        "run again although nothing was lost"
    );
    for worker in [first, second] {
        let log = worker.end().await;
        assert!(!log.contains("did not count"), "{log}");
        assert!(!log.contains("session lost"), "{log}");
    }
}

#[tokio::test]
async fn killed_for_5_seconds_it_is_waited_for_and_nothing_runs_again() {
    away(Away::Killed, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn paused_for_5_seconds_it_is_waited_for_and_nothing_runs_again() {
    away(Away::Paused, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn killed_for_many_leases_it_is_waited_for_and_nothing_runs_again() {
    away(Away::Killed, long()).await;
}

#[tokio::test]
async fn paused_for_many_leases_it_is_waited_for_and_nothing_runs_again() {
    away(Away::Paused, long()).await;
}

/// Redis comes back as it was some time before: what it forgot to be finished runs again, and the runs that do not
/// count are counted.
#[tokio::test]
async fn after_a_rollback_what_was_forgotten_runs_again_and_is_counted() {
    let mut stage = Stage::new(&[]).await;
    let worker = stage.worker("w", &["-c", "10"]);
    assert_eq!(stage.send_mixed("celery", 200).await, 200);
    let ended = |n: usize| (stage.runs().ended.len() >= n).then_some(());
    stage.until("work is under way", || ended(20)).await;
    let dump = stage.server.dump();
    let dumped_ms = now_ms();
    let known = stage.runs().ended.len();
    stage
        .until("more has ended since", || ended(known + 40))
        .await;
    let gone_ms = stage.take_away(&[&worker], RedisServer::kill).await;
    stage
        .until("what runs ends while Redis is away", || {
            (stage.runs().open() == 0).then_some(())
        })
        .await;
    let before = stage.runs();
    let waiting = before.ended_since(gone_ms);
    assert!(!waiting.is_empty(), "nothing ended while Redis was away");
    stage.server.restart_from(&dump);
    let back = now_ms();
    let resumed = within(SOON, "work resumes", || stage.runs().begun_since(back)).await;
    eprintln!(
        "Redis put back to an older dump: work resumed {} ms after its return",
        resumed - back
    );

    stage.all_succeed().await;
    stage
        .until("nothing runs any more", || {
            (stage.runs().open() == 0).then_some(())
        })
        .await;
    let runs = stage.runs();
    // What the dump knew as waiting ran after it, and once more.
    let forgotten = before
        .begun
        .iter()
        .filter(|(_, at)| at.iter().all(|t| *t > dumped_ms));
    let forgotten: Vec<u64> = forgotten.map(|(n, _)| *n).collect();
    assert!(!forgotten.is_empty());
    for n in &forgotten {
        assert_eq!(runs.ends(*n), 2, "{n} ended before Redis forgot it");
    }
    let most = runs.ended.values().map(Vec::len).max();
    assert_eq!(most, Some(2), "a rollback costs one more run");
    for record in stage.records().await {
        assert_eq!(
            record.crashes, 0,
            "a living worker gave it back: {record:?}"
        );
    }
    let log = worker.end().await;
    let lost = log.lines().rev().find_map(|line| {
        let (before, _) = line.split_once(" runs did not count")?;
        before.split_whitespace().last()?.parse::<usize>().ok()
    });
    let lost = lost.unwrap_or_else(|| panic!("no count of lost runs:\n{log}"));
    assert!(
        lost >= waiting.len(),
        "{lost} of {} were counted:\n{log}",
        waiting.len()
    );
    eprintln!("{} ran again, {lost} runs did not count", forgotten.len());
}
