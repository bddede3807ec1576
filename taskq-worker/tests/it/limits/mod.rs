//! How long a run may take, and what becomes of it then.

mod processes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{Control, Inspect};
use taskq_worker::control::{Command, Request};
use taskq_worker::retry::Fixed;
use taskq_worker::task::{Cancelled, Running, TaskDef};
use taskq_worker::{Builder, Message, Outcome, RunError, State, TaskId};
use tokio::time::Instant;

use crate::bench::{Bench, PATIENCE, celery, error_of, json, until};
use crate::control::ask;
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD, HELD_BLOCKING};
use crate::kit::Kit;

const SOON: Fixed = Fixed(Duration::from_millis(5));
const EXCEEDED: &str = "TimeLimitExceeded: it ran longer than its time limit, 20ms";

/// A message with limits of its own, in ms.
fn limited(task: &str, soft: Option<u64>, hard: Option<u64>) -> Message {
    let mut message = Message::new(task);
    (message.soft_time_limit, message.time_limit) = (soft, hard);
    message.max_retries = Some(0);
    message
}

/// One that runs past its limit of 20 ms.
async fn strays(bench: &Bench, gate: &Gate) -> TaskId {
    let id = bench.send(limited("held_blocking", None, Some(20))).await;
    let record = bench.end_of(id).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 1));
    assert_eq!(error_of(&record), EXCEEDED);
    // Its time began to pass on its thread: it is in there, or comes at once.
    gate.runs(1).await;
    id
}

fn slots(gate: &Gate, slots: usize) -> impl FnOnce(Builder) -> Builder + use<> {
    let gate = gate.clone();
    move |builder| builder.state(gate).concurrency(slots)
}

#[tokio::test(start_paused = true)]
async fn async_code_past_its_hard_limit_is_dropped_and_counts_as_failed() {
    let gate = Gate::default();
    let kit = Kit::with(&[&HELD], slots(&gate, 1));
    let began = Instant::now();
    let record = kit.end_of(limited("held", None, Some(20))).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 1));
    assert_eq!(error_of(&record), EXCEEDED);
    assert_eq!(began.elapsed(), Duration::from_millis(20));
    assert_eq!(gate.dropped(), 1);
    // Its slot is free again.
    gate.let_go(1);
    let next = kit.end_of(Message::new("held")).await;
    assert_eq!(next.state, State::Success);
}

static AGAIN: TaskDef = TaskDef::new("again", &[], HELD.run)
    .retry(&SOON)
    .max_retries(2)
    .time_limit(Duration::from_millis(20));

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_runs_again_by_its_tasks_policy() {
    let gate = Gate::default();
    let kit = Kit::with(&[&AGAIN], slots(&gate, 1));
    let began = Instant::now();
    let record = kit.end_of(Message::new("again")).await;
    assert_eq!(began.elapsed(), Duration::from_millis(3 * 20 + 2 * 5));
    assert_eq!((record.state, record.attempts), (State::Failure, 3));
    assert_eq!(error_of(&record), EXCEEDED);
    assert_eq!((gate.begun(), gate.running()), (3, 0));
}

#[tokio::test]
async fn a_function_past_its_hard_limit_gives_its_slot_away_and_its_answer_does_not_count() {
    let gate = Gate::default();
    let tasks: &[&'static TaskDef] = &[&HELD_BLOCKING, &HELD];
    let mut bench = Bench::with(MemoryBroker::new(), tasks, slots(&gate, 1));
    let id = strays(&bench, &gate).await;

    // The only slot is another's now.
    let next = bench.send(Message::new("held")).await;
    gate.runs(2).await;
    gate.let_go(2);
    gate.runs(0).await;
    assert_eq!(bench.end_of(next).await.state, State::Success);
    bench.stop().await.unwrap();
    let record = bench.end_of(id).await;
    assert_eq!(
        (record.state, record.result.is_none()),
        (State::Failure, true)
    );
    let depth = bench.broker.depth(&celery()).await.unwrap();
    assert_eq!((depth.in_flight, depth.waiting, depth.dead), (0, 0, 1));
}

/// With all threads taken by what goes on after its limit, a function waits for one. None of its time passes meanwhile.
#[test]
fn a_function_that_waits_for_a_thread_has_not_begun() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let gate = Gate::default();
        let tasks: &[&'static TaskDef] = &[&HELD_BLOCKING, &HELD];
        let mut bench = Bench::with(MemoryBroker::new(), tasks, slots(&gate, 2));
        strays(&bench, &gate).await;
        let id = bench.send(limited("held_blocking", None, Some(20))).await;
        let told = async |command: Command| {
            until(async || ask(&bench.broker, command.clone(), &[]).await).await
        };
        until(async || (told(Command::Reserved).await[0]["id"] == json!(id)).then_some(())).await;
        // Behind it comes one whose time passes.
        let later = bench.send(limited("held", None, Some(20))).await;
        assert_eq!(error_of(&bench.end_of(later).await), EXCEEDED);
        assert_eq!(told(Command::Active).await, json!([]));
        assert_eq!(told(Command::Reserved).await[0]["id"], json!(id));
        gate.let_go(2);
        let record = bench.end_of(id).await;
        assert_eq!((record.state, record.attempts), (State::Success, 1));
        bench.stop().await.unwrap();
    });
}

/// What waits for a thread when the stop begins goes back at once when there is one: it never began.
#[test]
fn a_function_that_waits_for_a_thread_goes_back_when_its_worker_stops() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let gate = Gate::default();
        let mut bench = Bench::with(MemoryBroker::new(), &[&HELD_BLOCKING], slots(&gate, 2));
        bench.send(Message::new("held_blocking")).await;
        gate.runs(1).await;
        let waits = bench.send(Message::new("held_blocking")).await;
        let reserved = || ask(&bench.broker, Command::Reserved, &[]);
        until(async || (reserved().await?[0]["id"] == json!(waits)).then_some(())).await;
        bench.stop.cancel();
        let card = async || bench.broker.workers().await.unwrap().pop();
        until(async || card().await.filter(|card| card.stopping)).await;
        gate.let_go(2);
        bench.end().await.unwrap();
        assert_eq!(gate.begun(), 1);
        let depth = bench.broker.depth(&celery()).await.unwrap();
        assert_eq!((depth.waiting, depth.in_flight), (1, 0));
    });
}

/// Waits for its soft limit, and says what it learned.
static LISTENS: TaskDef = TaskDef::new("listens", &[], |context, _| {
    Ok(Running::Async(Box::pin(async move {
        let waited = context.within_limits(std::future::pending::<()>()).await;
        let said = waited.unwrap_err().to_string();
        let after = context.cancelled_by();
        // It was told, not cut off: it may take its time.
        tokio::task::yield_now().await;
        Outcome::Done(json(json!([said, after == Some(Cancelled::SoftTimeLimit)])))
    })))
});

/// Asks now and then.
static ASKS: TaskDef = TaskDef::new("asks", &[], |context, _| {
    Ok(Running::Blocking(Box::new(move || {
        let began = std::time::Instant::now();
        while context.cancelled_by().is_none() && began.elapsed() < 2 * PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        Outcome::Done(json(json!(format!("{:?}", context.cancelled_by()))))
    })))
});

#[tokio::test(start_paused = true)]
async fn what_ends_at_its_soft_limit_succeeds() {
    let (kit, began) = (Kit::of(&[&LISTENS]), Instant::now());
    let record = kit.end_of(limited("listens", Some(20), Some(60_000))).await;
    assert_eq!(began.elapsed(), Duration::from_millis(20));
    assert_eq!(
        record.result.unwrap().get(),
        r#"["the soft time limit is over",true]"#
    );
}

#[tokio::test]
async fn a_function_can_ask_whether_its_soft_limit_is_over() {
    let bench = Bench::start(&[&ASKS]);
    let asks = bench.send(limited("asks", Some(20), None)).await;
    let record = bench.end_of(asks).await;
    assert_eq!(record.result.unwrap().get(), r#""Some(SoftTimeLimit)""#);
}

/// What its context said last, told although nobody listens to its answer.
#[derive(Clone, Default)]
struct Heard(Arc<AtomicBool>);

static HEARS: TaskDef = TaskDef::new("hears", &[], |context, _| {
    let heard = context.state::<Heard>().unwrap();
    Ok(Running::Blocking(Box::new(move || {
        let began = std::time::Instant::now();
        let hard = || context.cancelled_by() == Some(Cancelled::HardTimeLimit);
        while !hard() && began.elapsed() < 2 * PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        heard.0.store(hard(), Ordering::SeqCst);
        Outcome::Done(json(json!(null)))
    })))
});

#[tokio::test]
async fn a_function_can_ask_whether_its_hard_limit_is_over() {
    let heard = Heard::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HEARS], |b| b.state(heard.clone()));
    let id = bench.send(limited("hears", Some(10), Some(20))).await;
    assert_eq!(bench.end_of(id).await.state, State::Failure);
    until(async || heard.0.load(Ordering::SeqCst).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn the_workers_own_limit_is_for_those_who_have_none() {
    let (gate, began) = (Gate::default(), Instant::now());
    let state = gate.clone();
    let kit = Kit::with(&[&HELD], |b| {
        b.state(state)
            .time_limit(Duration::from_millis(20))
            .soft_time_limit(Duration::from_millis(10))
    });
    let record = kit.end_of(limited("held", None, None)).await;
    assert_eq!(error_of(&record), EXCEEDED);
    let long = Duration::from_secs(3_599);
    tokio::spawn(async move {
        tokio::time::sleep(long).await;
        gate.let_go(1);
    });
    let patient = kit.end_of(limited("held", None, Some(3_600_000))).await;
    assert_eq!(patient.state, State::Success);
    assert!(began.elapsed() > long, "{:?}", began.elapsed());
}

async fn order(broker: &MemoryBroker, task: &str, soft: Option<u64>, hard: Option<u64>) -> Value {
    until(async || {
        let request = Request {
            id: TaskId::random().to_string(),
            reply_to: String::new(),
            destination: Vec::new(),
            command: Command::TimeLimit {
                task: task.to_owned(),
                soft_ms: soft,
                hard_ms: hard,
            },
        };
        let mut replies = broker.ask(request).await.unwrap();
        let patience = Duration::from_millis(200);
        let reply = tokio::time::timeout(patience, replies.next()).await.ok()?;
        Some(reply.unwrap().body)
    })
    .await
}

#[tokio::test]
async fn an_order_counts_for_runs_that_begin_from_then_on() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD, &AGAIN], slots(&gate, 8));
    let before = bench.send(Message::new("held")).await;
    gate.runs(1).await;
    assert_eq!(
        order(&bench.broker, "held", Some(10), Some(20)).await,
        json!({"ok": "time limits of held: soft 10ms, hard 20ms"})
    );
    let after = bench.send(limited("held", None, None)).await;
    assert_eq!(error_of(&bench.end_of(after).await), EXCEEDED);
    gate.let_go(1);
    assert_eq!(bench.end_of(before).await.state, State::Success);

    // An order of none takes the task's own limit away.
    let none = order(&bench.broker, "again", None, None).await;
    assert_eq!(
        none,
        json!({"ok": "time limits of again: soft none, hard none"})
    );
    let id = bench.send(Message::new("again")).await;
    gate.runs(1).await;
    gate.let_go(1);
    let record = bench.end_of(id).await;
    assert_eq!((record.state, record.attempts), (State::Success, 1));
    for (task, soft, hard, words) in [
        (
            "nobody's",
            None,
            Some(5),
            "this worker has no task `nobody's`",
        ),
        (
            "held",
            Some(5),
            Some(5),
            "must be under the time limit, 5ms",
        ),
        ("held", None, Some(0), "give at least 1 ms"),
    ] {
        let refused = order(&bench.broker, task, soft, hard).await;
        let sentence = refused["error"].as_str().unwrap();
        assert!(sentence.contains(words), "{sentence}");
    }
}

/// The stop of a worker that is stuck has no grace, which drops its announcement half way: it is announced anew.
#[tokio::test]
async fn a_worker_that_is_stuck_announces_its_stop() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    faults.deaf_to_retire.store(true, Ordering::SeqCst);
    let gate = Gate::default();
    let mut bench = Bench::at(&flaky, &[&HELD_BLOCKING], |b| {
        b.state(gate.clone()).grace(Duration::ZERO)
    });
    bench.send(limited("held_blocking", None, Some(20))).await;
    let stuck = bench.end().await.unwrap_err();
    assert!(matches!(stuck, RunError::Stuck { .. }), "{stuck}");
    assert_eq!(faults.retired.load(Ordering::SeqCst), 1);
    gate.let_go(1);
}

#[tokio::test]
async fn what_goes_on_after_the_grace_ends_the_worker_and_costs_its_neighbours_nothing() {
    let gate = Gate::default();
    let configure = |b: Builder| b.state(gate.clone()).grace(Duration::ZERO);
    let tasks: &[&'static TaskDef] = &[&HELD_BLOCKING, &HELD];
    let mut bench = Bench::with(MemoryBroker::new(), tasks, configure);
    let neighbour = bench.send(Message::new("held")).await;
    gate.runs(1).await;
    let id = bench.send(limited("held_blocking", None, Some(20))).await;
    let stuck = bench.end().await.unwrap_err();
    let RunError::Stuck {
        task, id: which, ..
    } = &stuck
    else {
        panic!("{stuck}");
    };
    assert_eq!((task.as_str(), *which), ("held_blocking", id));
    assert!(
        stuck.to_string().contains("its time limit, 20ms, was over"),
        "{stuck}"
    );
    assert!(!stuck.is_usage());
    assert_eq!(error_of(&bench.end_of(id).await), EXCEEDED);
    // The neighbour goes back, and no crash is charged.
    let depth = bench.broker.depth(&celery()).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight), (1, 0));
    let record = bench.record_when(neighbour, |_| true).await;
    assert_eq!((record.state, record.crashes), (State::Queued, 0));
    assert!(bench.broker.workers().await.unwrap().is_empty());
    gate.let_go(1);
}

#[tokio::test]
async fn what_turns_out_to_be_stuck_during_the_stop_is_its_end() {
    let gate = Gate::default();
    let grace = Duration::from_secs(1);
    let configure = |b: Builder| b.state(gate.clone()).grace(grace);
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD_BLOCKING], configure);
    let id = strays(&bench, &gate).await;
    // It holds the stop up for as long as that waits for anybody.
    let neighbour = bench.send(Message::new("held_blocking")).await;
    gate.runs(2).await;
    let stuck = bench.stop().await.unwrap_err();
    assert!(
        matches!(&stuck, RunError::Stuck { id: which, .. } if *which == id),
        "{stuck}"
    );
    let record = bench.record_when(neighbour, |_| true).await;
    assert_eq!((record.state, record.crashes), (State::Queued, 0));
    gate.let_go(2);
}
