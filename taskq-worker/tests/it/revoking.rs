//! What a worker does with what was revoked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{Control, Inspect};
use taskq_worker::control::{Command, Request};
use taskq_worker::revocation::Revocation;
use taskq_worker::task::{Running, TaskDef};
use taskq_worker::{Failure, Message, Outcome, QueueName, State, TaskId};
use tokio::sync::Semaphore;

use crate::bench::{Bench, celery, error_of, send, until};
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD, HELD_BLOCKING};

static BEGUN: AtomicUsize = AtomicUsize::new(0);
static FAIL: Semaphore = Semaphore::const_new(0);

/// Fails once it is let go, and is to be tried again at once.
static FAILS: TaskDef = TaskDef::new("fails", &[], |_, _| {
    Ok(Running::Async(Box::pin(async {
        BEGUN.fetch_add(1, Ordering::SeqCst);
        FAIL.acquire().await.unwrap().forget();
        Outcome::Retry {
            after: Some(Duration::ZERO),
            error: Failure::new("Error", "not this time"),
        }
    })))
});

/// Tells the workers; the answer of the one there is.
async fn tell(broker: &MemoryBroker, command: Command) -> Value {
    let patience = Duration::from_secs(1);
    until(async || {
        let request = Request {
            id: TaskId::random().to_string(),
            reply_to: String::new(),
            destination: Vec::new(),
            command: command.clone(),
        };
        let mut replies = broker.ask(request).await.unwrap();
        let reply = tokio::time::timeout(patience, replies.next()).await.ok()?;
        Some(reply.unwrap().body)
    })
    .await
}

fn order(id: TaskId, terminate: bool) -> Command {
    Command::Revoke {
        what: vec![Revocation::Id(id)],
        queue: None,
        terminate,
    }
}

async fn revoke(broker: &MemoryBroker, what: Revocation) {
    broker.revoke(&celery(), &[what]).await.unwrap();
}

#[tokio::test]
async fn what_was_revoked_never_begins() {
    let broker = MemoryBroker::new();
    let (by_id, by_task) = (Message::new("held"), Message::new("unknown"));
    let gate = Gate::default();
    for message in [&by_id, &by_task] {
        send(&broker, message.clone()).await;
    }
    let neighbour = send(&broker, Message::new("held")).await;
    revoke(&broker, Revocation::Id(by_id.id)).await;
    revoke(&broker, Revocation::Task("unknown".into())).await;
    let bench = Bench::with(broker, &[&HELD], |b| b.state(gate.clone()));
    gate.let_go(2);
    assert_eq!(bench.end_of(neighbour).await.state, State::Success);
    for message in [by_id, by_task] {
        let record = bench.end_of(message.id).await;
        assert_eq!((record.state, record.attempts), (State::Revoked, 0));
        assert_eq!(record.started, None);
        assert_eq!(error_of(&record), "Revoked: it was revoked before it ran");
    }
    let stats = tell(&bench.broker, Command::Stats).await;
    assert_eq!(stats["total"], json!({"held": 1}));
    assert_eq!(
        (&stats["revoked"], &stats["failed"]),
        (&json!(2), &json!(0))
    );
    let depth = bench.broker.depth(&celery()).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight, depth.dead), (0, 0, 0));
}

#[tokio::test]
async fn what_is_held_and_has_not_begun_never_does() {
    // As if they had crashed before, they run one at a time.
    let flaky = Flaky::default();
    flaky.faults.crashes.store(2, Ordering::SeqCst);
    let gate = Gate::default();
    let bench = Bench::at(&flaky, &[&HELD], |b| b.state(gate.clone()));
    let ids = [
        bench.send(Message::new("held")).await,
        bench.send(Message::new("held")).await,
    ];
    until(async || {
        let held = bench.broker.depth(&celery()).await.unwrap().in_flight;
        (held == 2 && gate.running() == 1).then_some(())
    })
    .await;
    let active = tell(&bench.broker, Command::Active).await;
    let runs = active[0]["id"].as_str().unwrap().to_owned();
    let (first, second) = match ids[0].to_string() == runs {
        true => (ids[0], ids[1]),
        false => (ids[1], ids[0]),
    };
    let answer = tell(&bench.broker, order(second, true)).await;
    assert_eq!(answer["running"], json!([]));
    assert_eq!(answer["terminated"], json!([]));
    assert!(answer["ok"].is_string());
    gate.let_go(2);
    assert_eq!(bench.end_of(first).await.state, State::Success);
    let record = bench.end_of(second).await;
    assert_eq!((record.state, record.attempts), (State::Revoked, 0));
    let stats = tell(&bench.broker, Command::Stats).await;
    assert_eq!(stats["total"], json!({"held": 1}));
}

#[tokio::test]
async fn what_runs_goes_on_or_is_cut_off() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.state(gate.clone()));
    let id = bench.send(Message::new("held")).await;
    let other = bench.send(Message::new("held")).await;
    gate.runs(2).await;
    let elsewhere = Command::Revoke {
        what: vec![Revocation::Id(id)],
        queue: Some(QueueName::new("elsewhere").unwrap()),
        terminate: true,
    };
    let answer = tell(&bench.broker, elsewhere).await;
    assert_eq!(answer["terminated"], json!([]));
    let answer = tell(&bench.broker, order(id, false)).await;
    assert_eq!(answer["running"], json!([id]));
    assert_eq!(gate.running(), 2);
    let answer = tell(&bench.broker, order(id, true)).await;
    assert_eq!(answer["terminated"], json!([id]));
    assert_eq!(answer["running"], json!([]));
    let record = bench.end_of(id).await;
    assert_eq!(record.state, State::Revoked);
    assert_eq!(
        error_of(&record),
        "Terminated: it was revoked while it ran, and cut off"
    );
    gate.let_go(1);
    assert_eq!(bench.end_of(other).await.state, State::Success);
}

#[tokio::test]
async fn what_failed_meanwhile_is_not_run_again() {
    let bench = Bench::start(&[&FAILS]);
    let id = bench.send(Message::new("fails")).await;
    until(async || (BEGUN.load(Ordering::SeqCst) == 1).then_some(())).await;
    revoke(&bench.broker, Revocation::Id(id)).await;
    let answer = tell(&bench.broker, order(id, false)).await;
    assert_eq!(answer["running"], json!([id]));
    FAIL.add_permits(1);
    let record = bench.end_of(id).await;
    assert_eq!((record.state, record.attempts), (State::Revoked, 1));
    assert_eq!(BEGUN.load(Ordering::SeqCst), 1);
}

/// The runtime has one thread for plain functions, and another function is on it.
#[test]
fn what_is_revoked_before_its_thread_is_free_ends_at_once_and_does_not_run() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let gate = Gate::default();
        let bench = Bench::with(MemoryBroker::new(), &[&HELD_BLOCKING], |b| {
            b.state(gate.clone())
        });
        let first = bench.send(Message::new("held_blocking")).await;
        gate.runs(1).await;
        let waits = bench.send(Message::new("held_blocking")).await;
        until(async || {
            let reserved = tell(&bench.broker, Command::Reserved).await;
            (reserved[0]["id"] == json!(waits)).then_some(())
        })
        .await;
        let answer = tell(&bench.broker, order(waits, true)).await;
        assert_eq!(answer["terminated"], json!([]));
        // While the other is on the thread still.
        assert_eq!(bench.end_of(waits).await.state, State::Revoked);
        assert_eq!(gate.running(), 1);
        let last = bench.send(Message::new("held_blocking")).await;
        gate.let_go(3);
        for id in [first, last] {
            assert_eq!(bench.end_of(id).await.state, State::Success);
        }
        assert_eq!(gate.begun(), 2);
    });
}

/// A claim is under way when it is revoked: what the claim brings would be DEAD, whatever its task is, and nobody wants it.
#[tokio::test]
async fn what_can_not_run_and_is_revoked_while_it_is_claimed_is_not_dead() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    faults.hold_claims.store(true, Ordering::SeqCst);
    let bench = Bench::at(&flaky, &[&HELD], |b| b);
    let [revoked, other] = [
        bench.send(Message::new("nobodys")).await,
        bench.send(Message::new("nobodys")).await,
    ];
    let claimed = async || bench.broker.depth(&celery()).await.unwrap().in_flight == 2;
    until(async || claimed().await.then_some(())).await;
    let answer = tell(&bench.broker, order(revoked, false)).await;
    assert!(answer.get("ok").is_some(), "{answer}");
    faults.hold_claims.store(false, Ordering::SeqCst);
    assert_eq!(bench.end_of(revoked).await.state, State::Revoked);
    assert_eq!(bench.end_of(other).await.state, State::Dead);
}
