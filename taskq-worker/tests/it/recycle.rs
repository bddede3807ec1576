//! Workers that have done enough, as processes over Redis: they end by themselves, with nothing lost.

use std::sync::Mutex;

use serde_json::json;
use taskq_worker::{QueueName, State, task};

use crate::process::Process;
use crate::redis::Stage;

/// Keeps so many megabytes for ever.
#[task(name = "amass", crate = taskq_worker)]
fn amass(mb: usize) {
    static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    // Written to, so that it is really in memory.
    KEPT.lock().unwrap().push(vec![7; mb << 20]);
}

/// How many of the calls have run, and that the others wait untouched.
async fn settled(stage: &Stage, ids: &[taskq_worker::TaskId]) -> usize {
    let mut done = 0;
    for id in ids {
        let record = stage.record(*id).await;
        assert_eq!(record.crashes, 0, "{record:?}");
        match record.state {
            State::Success => done += 1,
            state => assert_eq!(state, State::Queued, "{record:?}"),
        }
    }
    let depth = stage.backend.depth(&QueueName::default()).await.unwrap();
    assert_eq!(depth.in_flight, 0);
    assert_eq!(depth.waiting, (ids.len() - done) as u64);
    done
}

#[tokio::test]
async fn after_so_many_runs_it_ends_and_has_finished_what_it_had_begun() {
    let stage = Stage::new().await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(stage.send("nap", json!({"ms": 10})).await);
    }
    let (status, log) = stage.worker(&["-c", "4", "--max-tasks", "10"]).end();
    assert_eq!(status, Some(0), "{log}");
    assert!(
        log.contains("10 runs have ended, which is --max-tasks: stopping"),
        "{log}"
    );
    let done = settled(&stage, &ids).await;
    // Those beside the tenth were under way or claimed already.
    assert!((10..10 + 2 * 4).contains(&done), "{done}");
    // A supervisor starts it again.
    let (status, _) = stage.worker(&["-c", "4", "--max-tasks", "1"]).end();
    assert_eq!(status, Some(0));
    assert!(settled(&stage, &ids).await > done);
}

#[tokio::test]
async fn repeated_attempts_are_runs_too() {
    let stage = Stage::new().await;
    let id = stage.send("flop", json!({})).await;
    let (status, log) = stage.worker(&["--max-tasks", "3"]).end();
    assert_eq!(status, Some(0), "{log}");
    let record = stage.record(id).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 3));
}

#[tokio::test]
async fn a_worker_that_has_grown_too_large_ends() {
    let stage = Stage::new().await;
    let mut worker = stage.worker(&["-c", "1", "--max-memory", "200MB"]);
    worker.logs("is ready");
    let small = stage.send("amass", json!({"mb": 1})).await;
    stage.finals(&[small], || {}).await;
    assert!(
        worker.child.try_wait().unwrap().is_none(),
        "1 MB is not too much"
    );
    let large = stage.send("amass", json!({"mb": 250})).await;
    let (status, log) = worker.end();
    assert_eq!(status, Some(0), "{log}");
    assert!(
        log.contains("resident, --max-memory is 200.0 MB: stopping"),
        "{log}"
    );
    assert_eq!(stage.record(large).await.state, State::Success);
}

#[test]
fn limits_that_can_not_be_kept_are_a_sentence_and_2() {
    for (args, sentence) in [
        (["--max-tasks", "0"], "--max-tasks is at least 1"),
        (["--max-tasks", "some"], "invalid value"),
        (["--max-memory", "512"], "is no amount of memory"),
        (["--max-memory", "1KB"], "resident before its first task"),
    ] {
        let (status, log) = Process::start(&[&["-b", "memory://"][..], &args].concat()).end();
        assert_eq!(status, Some(2), "{args:?}: {log}");
        assert!(log.contains(sentence), "{args:?}: {log}");
    }
}
