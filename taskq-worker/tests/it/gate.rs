//! A task that a test holds: it says that it runs, and ends when it is let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use taskq_worker::Outcome;
use taskq_worker::task::{Running, TaskDef};
use tokio::sync::Semaphore;

use crate::bench::{PATIENCE, json, until};

/// Shared by a test and its tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    running: AtomicUsize,
    most: AtomicUsize,
    begun: AtomicUsize,
    dropped: AtomicUsize,
    open: Semaphore,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            open: Semaphore::new(0),
        }
    }
}

/// Waits for the gate.
pub(crate) static HELD: TaskDef = TaskDef::new("held", &[], |context, _| {
    let gate = context.state::<Gate>().unwrap();
    Ok(Running::Async(Box::pin(async move {
        let run = Inside::new(&gate);
        gate.0.open.acquire().await.unwrap().forget();
        run.leave();
        Outcome::Done(json(json!("let go")))
    })))
});

/// The same on a thread of the blocking pool: it does not see that it is cancelled.
pub(crate) static HELD_BLOCKING: TaskDef = TaskDef::new("held_blocking", &[], |context, _| {
    let gate = context.state::<Gate>().unwrap();
    Ok(Running::Blocking(Box::new(move || {
        let run = Inside::new(&gate);
        // A bound, so that a test that fails ends nevertheless.
        let began = std::time::Instant::now();
        while gate.0.open.try_acquire().map(|p| p.forget()).is_err()
            && began.elapsed() < 2 * PATIENCE
        {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        run.leave();
        Outcome::Done(json(json!("let go")))
    })))
});

struct Inside(Gate, bool);

impl Inside {
    fn new(gate: &Gate) -> Self {
        let counts = &gate.0;
        let running = counts.running.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most.fetch_max(running, Ordering::SeqCst);
        counts.begun.fetch_add(1, Ordering::SeqCst);
        Self(gate.clone(), false)
    }

    fn leave(mut self) {
        self.1 = true;
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let counts = &self.0.0;
        counts.running.fetch_sub(1, Ordering::SeqCst);
        if !self.1 {
            counts.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Gate {
    /// Lets `n` runs end.
    pub(crate) fn let_go(&self, n: usize) {
        self.0.open.add_permits(n);
    }

    /// Waits to be let go, as a task does.
    pub(crate) async fn pass(&self) {
        self.0.open.acquire().await.unwrap().forget();
    }

    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    /// How many ran at once at most.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    /// How many runs began.
    pub(crate) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    /// How many runs were dropped before their end.
    pub(crate) fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// Waits until `n` run.
    pub(crate) async fn runs(&self, n: usize) {
        until(async || (self.running() == n).then_some(())).await;
    }
}
