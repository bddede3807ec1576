//! What a worker process sees of the run, and what it tells of itself: to the books, or to the process that keeps them.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taskq_core::{QueueName, TaskId};

use super::Mix;
use super::books::Books;

/// The calls of a worker that must be answered again once the faults are over.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Heard {
    Claim,
    Beat,
    Sweep,
}

/// What a process tells. Times are ms by the clock of this machine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// Nothing but that it is there.
    Begun,
    /// A call of this worker was answered, and the run is quiet.
    Heard(usize, Heard),
    /// A delivery begins to run, or does not because it is known to be revoked.
    Claimed {
        id: TaskId,
        at: u64,
        crashes: u8,
        covered: bool,
    },
    /// A finish that was asked for and answered then was applied, whole: with the runs that ended as SUCCESS.
    Done {
        since: u64,
        at: u64,
        ended: Vec<(TaskId, u64)>,
    },
    /// Verdicts on these may not have counted: their session was lost.
    Lost(Vec<TaskId>),
    /// No beat was answered between these.
    Late(u64, u64),
    /// It left a queue.
    Left,
    /// It dies in the middle of a sweep: a part was given back. It counts if the rest is there once it is dead.
    DiesSweeping,
    /// It ends because it was asked to stop.
    Stopped,
    Broken(String),
}

/// Who hears what a process tells.
#[derive(Debug)]
pub(crate) enum Ear {
    /// The books are of the same process.
    Books(Arc<Books>),
    /// Lines on stdout are read by the process that has them; none follows the last word.
    Lines(Mutex<Lines>),
}

/// What may still be said.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    is_over: bool,
}

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) mix: Mix,
    pub(crate) queues: [QueueName; 3],
    pub(crate) url: String,
    /// No more faults, no more messages.
    quiet: AtomicBool,
    /// Numbers of runs: no two processes give the same.
    next_run: AtomicU64,
    /// What a run takes at most.
    pub(crate) longest_run: Duration,
    ear: Ear,
}

impl Site {
    pub(crate) fn new(mix: Mix, url: String, first_run: u64, ear: Ear) -> Self {
        Self {
            mix,
            queues: ["a", "b", "c"].map(|name| QueueName::new(name).unwrap()),
            url,
            quiet: AtomicBool::new(false),
            next_run: AtomicU64::new(first_run),
            longest_run: Duration::from_millis(match ear {
                // Whoever dies holds more than one step gives back.
                _ if mix.flood > 0 => 1_500,
                Ear::Books(_) => 20,
                // So that whoever is stopped or killed there holds something.
                Ear::Lines(_) => 80,
            }),
            ear,
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    pub(crate) fn be_quiet(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    pub(crate) fn next_run(&self) -> u64 {
        self.next_run.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn tell(&self, told: Told) {
        match &self.ear {
            Ear::Books(books) => books.take(told),
            Ear::Lines(lines) => lines.lock().unwrap().say(&told),
        }
    }

    pub(crate) fn heard(&self, worker: usize, what: Heard) {
        if self.is_quiet() {
            self.tell(Told::Heard(worker, what));
        }
    }

    pub(crate) fn broken(&self, what: String) {
        self.tell(Told::Broken(what));
    }
}

impl Lines {
    /// A line of its own, in one write: a process that is killed over it leaves a part that reads as nothing.
    fn say(&mut self, told: &Told) {
        if self.is_over {
            return;
        }
        self.is_over = matches!(told, Told::Stopped | Told::DiesSweeping);
        let line = format!("\n{}\n", serde_json::to_string(told).unwrap());
        let mut out = std::io::stdout().lock();
        // Who reads it may be gone: then this process ends as well.
        drop(out.write_all(line.as_bytes()).and_then(|()| out.flush()));
    }
}
