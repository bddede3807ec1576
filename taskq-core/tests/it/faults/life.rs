//! A worker and its lives: when a process dies or stops the next is started, as a supervisor does. Here a process is a
//! task of this one, which dies by being dropped.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use taskq_core::QueueName;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use super::Mix;
use super::books::Books;
use super::process::Process;
use super::site::{Site, Told};

/// What is done to a worker from outside.
#[async_trait]
pub(crate) trait Worker: Send {
    fn kill(&self);

    /// Asks it to stop: it returns or finishes what it holds.
    fn stop_warm(&self);

    /// It does nothing for so long.
    fn pause(&self, span: Duration);

    fn is_paused(&self) -> bool;

    /// The faults are over; none that is paused stays so.
    fn be_quiet(&self);

    async fn end(&mut self);
}

#[derive(Debug)]
pub(crate) struct Task {
    books: Arc<Books>,
    signals: Arc<Signals>,
    lives: JoinHandle<()>,
}

/// What a process hears.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) die: Notify,
    pub(crate) stop: Notify,
    /// It was paused when it was asked to stop.
    pub(crate) at_once: AtomicBool,
    pub(crate) paused_until: Mutex<Instant>,
}

impl Signals {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            die: Notify::new(),
            stop: Notify::new(),
            at_once: AtomicBool::new(false),
            paused_until: Mutex::new(Instant::now()),
        })
    }

    pub(crate) fn is_paused(&self) -> bool {
        Instant::now() < *self.paused_until.lock().unwrap()
    }
}

impl Task {
    pub(crate) fn start(site: Arc<Site>, books: Arc<Books>, number: usize, seed: u64) -> Self {
        let signals = Signals::new();
        let (signalled, kept) = (signals.clone(), books.clone());
        let lives = tokio::spawn(async move {
            for life in 0_usize.. {
                // Dropped at once when it dies: every call stops where it is.
                let process = process(site.clone(), signalled.clone(), number, life, seed);
                tokio::select! {
                    () = process.live() => kept.take(Told::Stopped),
                    () = signalled.die.notified() => { kept.deaths.fetch_add(1, Ordering::Relaxed); }
                }
            }
        });
        Self {
            books,
            signals,
            lives,
        }
    }
}

#[async_trait]
impl Worker for Task {
    fn kill(&self) {
        self.signals.die.notify_one();
    }

    fn stop_warm(&self) {
        self.signals.stop.notify_one();
    }

    fn pause(&self, span: Duration) {
        *self.signals.paused_until.lock().unwrap() = Instant::now() + span;
        self.books.pauses.fetch_add(1, Ordering::Relaxed);
    }

    fn is_paused(&self) -> bool {
        self.signals.is_paused()
    }

    fn be_quiet(&self) {}

    async fn end(&mut self) {
        self.lives.abort();
        drop((&mut self.lives).await);
    }
}

/// One life of a worker.
pub(super) fn process(
    site: Arc<Site>,
    signals: Arc<Signals>,
    number: usize,
    life: usize,
    seed: u64,
) -> Arc<Process> {
    Arc::new(Process {
        queues: queues(&site.queues, number, life),
        slots: slots(site.mix, number, life),
        site,
        signals,
        number,
        seed: AtomicU64::new((seed + number as u64) * 100_000 + life as u64 * 100),
        suspects: Semaphore::new(1),
        stopping: false.into(),
        beaten: taskq_core::clock::now_ms().into(),
    })
}

/// Some lives have fewer slots than there are queues. What takes more than one step to give back needs many.
pub(super) fn slots(mix: Mix, number: usize, life: usize) -> usize {
    let slots = [6, 2, 6, 1];
    match mix.flood {
        0 => slots[(number + life) % slots.len()],
        flood => flood / 2,
    }
}

/// The first worker listens everywhere; the others leave out a queue in every other life.
fn queues(all: &[QueueName], number: usize, life: usize) -> Vec<QueueName> {
    let mut queues = all.to_vec();
    if number > 0 && (number + life).is_multiple_of(2) {
        queues.remove(life % queues.len());
    }
    queues
}
