//! What a program does before the first claim and behind the last verdict.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskq_worker::broker::Inspect;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::{Builder, Message, RunError, task};
use tokio::sync::Notify;

use crate::bench::{Bench, celery, send, until};
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD};
use crate::process::Process;

#[derive(Debug, Clone, Default)]
struct Notes(Arc<Mutex<Vec<&'static str>>>);

impl Notes {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

/// A start and a stop hook that note their name, reaching the notes through the worker's state.
fn noting(builder: Builder, start: &'static str, stop: &'static str) -> Builder {
    builder
        .on_start(move |state: task::State| async move {
            state.get::<Notes>().ok_or("no notes")?.note(start);
            Ok::<_, &str>(())
        })
        .on_stop(move |state: task::State| async move {
            state.get::<Notes>().unwrap().note(stop);
        })
}

#[tokio::test]
async fn nothing_is_claimed_before_the_start_and_all_is_told_before_the_stop() {
    let flaky = Flaky::default();
    let (broker, faults) = (flaky.inner.clone(), flaky.faults.clone());
    let (notes, gate, go) = (Notes::default(), Gate::default(), Arc::new(Notify::new()));
    let (state, held, wait) = (notes.clone(), gate.clone(), go.clone());
    let finished = Arc::new(AtomicUsize::new(0));
    let (count, seen) = (finished.clone(), faults.clone());
    let mut bench = Bench::at(&flaky, &[&HELD], |b| {
        let b = b.state(state).state(held).on_start(move |_| async move {
            wait.notified().await;
            Ok::<_, String>(())
        });
        noting(noting(b, "start 1", "stop 1"), "start 2", "stop 2").on_stop(move |_| async move {
            count.store(seen.verdicts().len(), Ordering::SeqCst);
        })
    });
    send(&broker, Message::new("held")).await;
    // The hook waits; a worker that did not would claim within this time.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(faults.claims.load(Ordering::SeqCst), 0);
    assert_eq!(notes.all(), [""; 0]);
    go.notify_one();
    gate.runs(1).await;
    assert_eq!(notes.all(), ["start 1", "start 2"]);
    bench.stop.cancel();
    gate.let_go(1);
    bench.end().await.unwrap();
    assert_eq!(notes.all(), ["start 1", "start 2", "stop 2", "stop 1"]);
    assert_eq!(finished.load(Ordering::SeqCst), 1, "its verdict was told");
}

#[tokio::test]
async fn the_error_of_a_start_hook_is_the_end() {
    for panics in [false, true] {
        let (broker, notes) = (MemoryBroker::new(), Notes::default());
        let id = send(&broker, Message::new("held")).await;
        let state = notes.clone();
        let mut bench = Bench::with(broker.clone(), &[&HELD], |b| {
            let b = noting(b.state(state), "start", "stop");
            b.on_start(move |_| async move {
                assert!(!panics, "no keys");
                Err("no keys")
            })
        });
        let error = bench.end().await.unwrap_err();
        assert!(matches!(error, RunError::Start(_)) && !error.is_usage());
        let text = error.to_string();
        assert!(text.starts_with("the worker does not start: ") && text.ends_with("no keys"));
        assert_eq!(notes.all(), ["start"], "what did not start does not stop");
        assert_eq!(broker.depth(&celery()).await.unwrap().waiting, 1, "{id}");
        assert!(broker.workers().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_stop_ends_a_start_that_takes_its_time() {
    let begun = Arc::new(Notify::new());
    let begins = begun.clone();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.on_start(move |_| async move {
            begins.notify_one();
            std::future::pending::<Result<(), String>>().await
        })
    });
    begun.notified().await;
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_hook_that_panics_does_not_keep_the_others_from_running() {
    let notes = Notes::default();
    let state = notes.clone();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        noting(b.state(state), "start", "stop").on_stop(|_| async { panic!("a stop hook's bug") })
    });
    // Behind the hooks.
    until(async || (!bench.broker.workers().await.unwrap().is_empty()).then_some(())).await;
    bench.stop().await.unwrap();
    assert_eq!(notes.all(), ["start", "stop"]);
}

/// What the child of the process tests is completed with.
pub(crate) fn complete(builder: Builder) -> Builder {
    match std::env::var("TASKQ_TEST_START") {
        Err(_) => builder,
        Ok(error) => builder.on_start(move |_| async move { Err(error) }),
    }
}

#[test]
fn a_program_whose_start_hook_fails_exits_with_1_and_its_sentence() {
    let mut command = crate::process::command(&["-b", "memory://"]);
    let (status, log) = Process::of(command.env("TASKQ_TEST_START", "the model is missing")).end();
    assert_eq!(status, Some(1), "{log}");
    let sentence = "error: the worker does not start: the model is missing";
    assert!(log.contains(sentence), "{log}");
}
