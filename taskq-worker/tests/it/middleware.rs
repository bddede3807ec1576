//! What stands around attempts: in which order, what it sees, and what becomes of its panics.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use serde_json::json;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::middleware::{Call, Middleware, Next};
use taskq_worker::task::{Running, TaskDef, TaskResult};
use taskq_worker::{Builder, Failure, Message, Outcome, State, async_trait};

use crate::bench::{Bench, error_of, json};
use crate::gate::{Gate, HELD_BLOCKING};

/// What was seen, in order.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Notes that it was entered and what came back.
struct Noting(&'static str, Seen);

#[async_trait]
impl Middleware for Noting {
    async fn around(&self, call: &Call, next: Next<'_>) -> TaskResult {
        let context = call.context();
        self.1.note(format!(
            "{} {} {}",
            self.0,
            call.task().name,
            context.attempt()
        ));
        let outcome = next.run().await;
        self.1.note(match &outcome {
            Outcome::Done(result) => format!("{} {result}", self.0),
            Outcome::Retry { error, .. } => format!("{} retry {}", self.0, error.message),
            other => format!("{} {other:?}", self.0),
        });
        outcome
    }
}

/// Panics at the word of a header: before or behind the function.
struct Panicking;

#[async_trait]
impl Middleware for Panicking {
    async fn around(&self, call: &Call, next: Next<'_>) -> TaskResult {
        let when = call.message().headers.get("panic").map(String::as_str);
        assert_ne!(when, Some("before"), "before the function");
        let outcome = next.run().await;
        assert_ne!(when, Some("behind"), "behind the function");
        outcome
    }
}

/// Refuses the calls of tenants that the worker's state names.
struct Admission;

#[derive(Debug)]
struct Blocked(HashSet<&'static str>);

#[async_trait]
impl Middleware for Admission {
    async fn around(&self, call: &Call, next: Next<'_>) -> TaskResult {
        let blocked = call.context().state::<Blocked>().unwrap();
        match call.context().headers().get("tenant") {
            Some(tenant) if blocked.0.contains(&**tenant) => {
                Outcome::Reject(format!("the tenant {tenant} is blocked"))
            }
            Some(tenant) if tenant == "later" => Outcome::Retry {
                after: None,
                error: Failure::new("Busy", "not now"),
            },
            _ => next.run().await,
        }
    }
}

static ASYNC: TaskDef = TaskDef::new("async", &[], |context, _| {
    let seen = context.state::<Seen>().unwrap();
    Ok(Running::Async(Box::pin(async move {
        seen.note("function");
        Outcome::Done(json(json!(1)))
    })))
})
.max_retries(0);

static PLAIN: TaskDef = TaskDef::new("plain", &[], |context, _| {
    let seen = context.state::<Seen>().unwrap();
    Ok(Running::Blocking(Box::new(move || {
        seen.note("function");
        Outcome::Done(json(json!(1)))
    })))
})
.max_retries(0);

static PANICS: TaskDef = TaskDef::new("panics", &[], |_, _| {
    Ok(Running::Async(Box::pin(async {
        panic!("the function's own")
    })))
})
.max_retries(0);

static PANICS_PLAIN: TaskDef = TaskDef::new("panics_plain", &[], |_, _| {
    Ok(Running::Blocking(Box::new(|| panic!("the function's own"))))
})
.max_retries(0);

fn bench(configure: impl FnOnce(Builder) -> Builder) -> (Bench, Seen) {
    let seen = Seen::default();
    let tasks = [&ASYNC, &PLAIN, &PANICS, &PANICS_PLAIN, &HELD_BLOCKING];
    let state = seen.clone();
    let bench = Bench::with(MemoryBroker::new(), &tasks, |b| configure(b.state(state)));
    (bench, seen)
}

fn with_header(task: &str, name: &str, value: &str) -> Message {
    let mut message = Message::new(task);
    message.headers.insert(name.to_owned(), value.to_owned());
    message
}

#[tokio::test]
async fn the_first_one_given_is_the_outermost() {
    let notes = Seen::default();
    let (outer, inner) = (
        Noting("outer", notes.clone()),
        Noting("inner", notes.clone()),
    );
    let (bench, seen) = bench(|b| b.middleware(outer).middleware(inner));
    for task in ["async", "plain"] {
        let record = bench.end_of(bench.send(Message::new(task)).await).await;
        assert_eq!(record.result.unwrap().get(), "1");
        assert_eq!(seen.take(), ["function"]);
        let (outer, inner) = (format!("outer {task} 1"), format!("inner {task} 1"));
        assert_eq!(notes.take(), [&*outer, &*inner, "inner 1", "outer 1"]);
    }
}

#[tokio::test]
async fn its_panic_fails_the_attempt_and_the_worker_goes_on() {
    let notes = Seen::default();
    let outer = Noting("outer", notes.clone());
    let (mut bench, seen) = bench(|b| b.middleware(outer).middleware(Panicking));
    for task in ["async", "plain"] {
        for when in ["before", "behind"] {
            let record = bench
                .end_of(bench.send(with_header(task, "panic", when)).await)
                .await;
            assert_eq!(
                (record.state, record.attempts),
                (State::Failure, 1),
                "{task} {when}"
            );
            let error = error_of(&record);
            assert!(
                error.starts_with("Panic: ") && error.contains(when),
                "{error}"
            );
            // Who stands further out sees it as what it is: a failure.
            let said = notes.take().pop().unwrap();
            assert!(
                said.starts_with("outer retry ") && said.contains(when),
                "{said}"
            );
            assert_eq!(seen.take().is_empty(), when == "before");
        }
    }
    let record = bench.end_of(bench.send(Message::new("async")).await).await;
    assert_eq!(record.state, State::Success);
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_panic_of_the_function_is_an_outcome_to_it() {
    let notes = Seen::default();
    let (bench, _) = bench(|b| b.middleware(Noting("outer", notes.clone())));
    for task in ["panics", "panics_plain"] {
        let record = bench.end_of(bench.send(Message::new(task)).await).await;
        assert_eq!(error_of(&record), "Panic: the function's own");
        assert_eq!(notes.take()[1], "outer retry the function's own");
    }
}

#[tokio::test]
async fn it_may_answer_without_the_function() {
    let (bench, seen) = bench(|b| b.state(Blocked(["evil"].into())).middleware(Admission));
    let record = bench
        .end_of(bench.send(with_header("async", "tenant", "evil")).await)
        .await;
    assert_eq!(record.state, State::Dead);
    assert_eq!(error_of(&record), "Rejected: the tenant evil is blocked");
    let record = bench
        .end_of(bench.send(with_header("plain", "tenant", "later")).await)
        .await;
    assert_eq!(
        (record.state, &*error_of(&record)),
        (State::Failure, "Busy: not now")
    );
    assert_eq!(seen.take(), [""; 0], "no function ran");
    let record = bench
        .end_of(bench.send(with_header("plain", "tenant", "good")).await)
        .await;
    assert_eq!(record.state, State::Success);
}

/// This test's runtime has one thread: a plain function that ran on it would stop the test.
#[tokio::test]
async fn a_plain_function_stays_on_a_thread_of_its_own() {
    let gate = Gate::default();
    let (held, notes) = (gate.clone(), Seen::default());
    let noting = Noting("outer", notes.clone());
    let (bench, _) = bench(|b| b.state(held).middleware(noting));
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(bench.send(Message::new("held_blocking")).await);
    }
    gate.runs(2).await;
    gate.let_go(2);
    for id in ids {
        assert_eq!(bench.end_of(id).await.state, State::Success);
    }
    assert_eq!(notes.take().len(), 4);
}

/// Waits for async code by itself, as one does from a thread of its own.
static BLOCKS_ON: TaskDef = TaskDef::new("blocks_on", &[], |_, _| {
    Ok(Running::Blocking(Box::new(|| {
        let n = tokio::runtime::Handle::current().block_on(async {
            tokio::task::yield_now().await;
            7
        });
        Outcome::Done(json(json!(n)))
    })))
})
.max_retries(0);

#[tokio::test]
async fn a_plain_function_behind_it_may_block_on_a_future() {
    let outer = Noting("outer", Seen::default());
    let inner = Noting("inner", Seen::default());
    let bench = Bench::with(MemoryBroker::new(), &[&BLOCKS_ON], |b| {
        b.middleware(outer).middleware(inner)
    });
    let record = bench
        .end_of(bench.send(Message::new("blocks_on")).await)
        .await;
    assert_eq!(record.state, State::Success, "{record:?}");
    assert_eq!(record.result.unwrap().get(), "7");
}
