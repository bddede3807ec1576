//! Limits as worker processes over Redis keep them, against tasks that do what they like.

use std::time::{Duration, Instant};

use serde_json::json;
use taskq_worker::control::{Command, Request};
use taskq_worker::retry::Fixed;
use taskq_worker::task::Cancelled;
use taskq_worker::{Context, QueueName, Record, Signature, State, TaskId, task};

use crate::redis::Stage;

const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Fixed = Fixed(Duration::from_millis(5));

/// Sees its soft limit, and then forgets about it.
#[task(name = "timed.dawdles", max_retries = 1, retry = SOON, crate = taskq_worker)]
async fn dawdles(context: Context) {
    let told = context.within_limits(tokio::time::sleep(HOUR)).await;
    if told.is_err() && context.cancelled_by() == Some(Cancelled::SoftTimeLimit) {
        tracing::warn!("attempt {} has seen its soft limit", context.attempt());
    }
    tokio::time::sleep(HOUR).await;
}

/// A plain function without end.
#[task(name = "timed.holds", time_limit = "300ms", max_retries = 0, crate = taskq_worker)]
fn holds() {
    std::thread::sleep(HOUR);
}

/// An async function that never awaits, without end.
#[task(name = "timed.spins", time_limit = "300ms", max_retries = 0, crate = taskq_worker)]
async fn spins() {
    std::thread::sleep(HOUR);
}

/// May take an hour, and does.
#[task(name = "timed.sleeps", time_limit = "1h", max_retries = 0, crate = taskq_worker)]
async fn sleeps() {
    tokio::time::sleep(HOUR).await;
}

async fn send(
    stage: &Stage,
    task: &str,
    limit: impl FnOnce(Signature<()>) -> Signature<()>,
) -> TaskId {
    let call = limit(Signature::by_name(task).queue("celery"));
    stage.dispatcher.send(call).await.unwrap().id
}

fn error_of(record: &Record) -> String {
    crate::bench::error_of(record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_task_sees_its_soft_limit_and_is_dropped_at_its_hard_one() {
    let stage = Stage::new().await;
    let mut worker = stage.worker(&[
        "-c",
        "2",
        "--soft-time-limit",
        "100ms",
        "--time-limit",
        "2s",
    ]);
    let id = send(&stage, "timed.dawdles", |call| call).await;
    worker.logs("attempt 1 has seen its soft limit");
    let line = worker.logs("TimeLimitExceeded");
    assert!(line.contains("attempt 1 failed"), "{line}");
    worker.logs("attempt 2 has seen its soft limit");
    let record = stage.finals(&[id], || {}).await.remove(0);
    assert_eq!((record.state, record.attempts), (State::Failure, 2));
    let text = "TimeLimitExceeded: it ran longer than its time limit, 2s";
    assert_eq!(error_of(&record), text);
    worker.signal("TERM");
    let (status, log) = worker.end();
    assert_eq!(status, Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_past_its_hard_limit_harms_no_neighbour() {
    let stage = Stage::new().await;
    let mut worker = stage.worker(&["-c", "1", "--grace", "1h"]);
    let holds = send(&stage, "timed.holds", |call| call).await;
    let mut naps = Vec::new();
    for _ in 0..20 {
        naps.push(stage.send("nap", json!({"ms": 1})).await);
    }
    // There is one slot, and that function still has its thread.
    let records = stage.finals(&naps, || {}).await;
    assert!(
        records
            .iter()
            .all(|r| r.state == State::Success && r.crashes == 0)
    );
    let line = worker.logs("timed.holds goes on although its time limit, 300ms, was over");
    assert!(line.contains(&holds.to_string()), "{line}");
    let record = stage.record(holds).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_tasks_on_all_threads_end_the_process_and_nothing_is_lost() {
    let stage = Stage::new().await;
    let threads = std::thread::available_parallelism().unwrap().get();
    let slots = (threads + 2).to_string();
    let mut worker = stage.worker(&["-c", &slots, "--grace", "300ms"]);
    worker.logs("is ready");
    let done = stage.send("nap", json!({"ms": 1})).await;
    stage.finals(&[done], || {}).await;
    let unfinished = send(&stage, "timed.sleeps", |call| call).await;
    let since = Instant::now();
    let queue = QueueName::default();
    while stage.backend.depth(&queue).await.unwrap().in_flight == 0 {
        assert!(since.elapsed().as_secs() < 20, "it does not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut endless = Vec::new();
    for _ in 0..threads {
        endless.push(send(&stage, "timed.spins", |call| call).await);
    }
    let (status, log) = worker.end();
    assert_eq!(status, Some(70), "{log}");
    assert!(log.contains("error: timed.spins ("), "{log}");
    let mut cut = 0;
    for id in &endless {
        let record = stage.record(*id).await;
        assert_eq!(record.crashes, 0);
        // One that had no thread before the end goes back.
        if record.state != State::Queued {
            assert_eq!(record.state, State::Failure);
            assert!(error_of(&record).starts_with("TimeLimitExceeded"));
            cut += 1;
        }
    }
    assert!(cut > 0, "{log}");
    assert_eq!(stage.record(done).await.state, State::Success);
    let record = stage.record(unfinished).await;
    assert_eq!((record.state, record.crashes), (State::Queued, 0));
    let depth = stage.backend.depth(&queue).await.unwrap();
    let back = 1 + endless.len() as u64 - cut;
    assert_eq!((depth.waiting, depth.in_flight), (back, 0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messages_limit_counts_before_the_order_and_that_before_the_tasks() {
    let stage = Stage::new().await;
    let mut worker = stage.worker(&["-c", "4"]);
    worker.logs("is ready");
    let own = send(&stage, "timed.sleeps", |call| {
        call.time_limit(Duration::from_millis(100))
    });
    let own = own.await;
    let record = stage.finals(&[own], || {}).await.remove(0);
    assert!(error_of(&record).ends_with("limit, 100ms"), "{record:?}");

    let request = Request {
        id: TaskId::random().to_string(),
        reply_to: String::new(),
        destination: Vec::new(),
        command: Command::TimeLimit {
            task: "timed.sleeps".to_owned(),
            soft_ms: None,
            hard_ms: Some(200),
        },
    };
    let mut replies = stage.backend.ask(request).await.unwrap();
    let reply = tokio::time::timeout(Duration::from_secs(20), replies.next()).await;
    let body = reply.unwrap().unwrap().body;
    assert_eq!(
        body,
        json!({"ok": "time limits of timed.sleeps: soft none, hard 200ms"})
    );
    let ordered = send(&stage, "timed.sleeps", |call| call).await;
    let record = stage.finals(&[ordered], || {}).await.remove(0);
    assert!(error_of(&record).ends_with("limit, 200ms"), "{record:?}");
}
