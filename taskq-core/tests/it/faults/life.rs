//! A worker and its lives: when a process dies or stops the next is started, as a supervisor does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use super::process::Process;
use super::world::Shared;

/// Slots of successive lives: some have fewer than there are queues.
const SLOTS: [usize; 4] = [6, 2, 6, 1];

#[derive(Debug)]
pub(crate) struct Worker {
    signals: Arc<Signals>,
    lives: JoinHandle<()>,
}

/// What is done to a process from outside.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) die: Notify,
    pub(crate) stop: Notify,
    pub(crate) paused_until: Mutex<Instant>,
}

impl Worker {
    pub(crate) fn start(shared: Arc<Shared>, number: usize, seed: u64) -> Self {
        let signals = Arc::new(Signals {
            die: Notify::new(),
            stop: Notify::new(),
            paused_until: Mutex::new(Instant::now()),
        });
        let signalled = signals.clone();
        let lives = tokio::spawn(async move {
            for life in 0_usize.. {
                // Dropped at once when it dies: every call stops where it is.
                let process = Process {
                    shared: shared.clone(),
                    signals: signalled.clone(),
                    number,
                    queues: queues(&shared, number, life),
                    slots: SLOTS[(number + life) % SLOTS.len()],
                    seed: AtomicU64::new((seed + number as u64) * 100_000 + life as u64 * 100),
                    suspects: Semaphore::new(1),
                    stopping: false.into(),
                };
                tokio::select! {
                    () = Arc::new(process).live() => { shared.warm_stops.fetch_add(1, Ordering::Relaxed); }
                    () = signalled.die.notified() => { shared.deaths.fetch_add(1, Ordering::Relaxed); }
                }
            }
        });
        Self { signals, lives }
    }

    pub(crate) fn kill(&self) {
        self.signals.die.notify_one();
    }

    pub(crate) fn stop_warm(&self) {
        self.signals.stop.notify_one();
    }

    pub(crate) fn pause(&self, span: Duration) {
        *self.signals.paused_until.lock().unwrap() = Instant::now() + span;
    }

    pub(crate) fn is_paused(&self) -> bool {
        Instant::now() < *self.signals.paused_until.lock().unwrap()
    }

    pub(crate) async fn end(&mut self) {
        self.lives.abort();
        drop((&mut self.lives).await);
    }
}

/// The first worker listens everywhere; the others leave out a queue in every other life.
fn queues(shared: &Shared, number: usize, life: usize) -> Vec<taskq_core::QueueName> {
    let mut queues = shared.queues.to_vec();
    if number > 0 && (number + life).is_multiple_of(2) {
        queues.remove(life % queues.len());
    }
    queues
}
