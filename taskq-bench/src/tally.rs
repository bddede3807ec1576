//! The tally: which tasks ran in this process, kept so cheaply that the measured path does not feel it.
//!
//! One bit and two counters per task, in memory; written to a file when the worker has stopped.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The variable that names the file for the report.
pub const REPORT_VARIABLE: &str = "TASKQ_BENCH_REPORT";

/// Tasks are numbered below this.
pub(crate) const MOST: u32 = 1 << 22;

static TALLY: LazyLock<Tally> = LazyLock::new(Tally::new);

/// What a worker process saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Runs, repeated ones included.
    pub(crate) ran: u64,
    /// Runs of a task that had run before.
    pub(crate) again: u64,
    /// Runs of tasks whose number nobody gave.
    pub(crate) strange: u64,
    /// When the first one began: ns since the epoch; 0 when none did.
    pub(crate) first_ns: u64,
    /// The numbers of those that ran, 64 to a word.
    pub(crate) seen: Vec<u64>,
    /// Number and pickup time (ns) of each probe.
    pub(crate) pickups: Vec<(u32, u64)>,
}

#[derive(Debug)]
pub(crate) struct Tally {
    ran: AtomicU64,
    again: AtomicU64,
    strange: AtomicU64,
    first_ns: AtomicU64,
    seen: Vec<AtomicU64>,
    pickups: Mutex<Vec<(u32, u64)>>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            ran: AtomicU64::new(0),
            again: AtomicU64::new(0),
            strange: AtomicU64::new(0),
            first_ns: AtomicU64::new(0),
            seen: (0..MOST / 64).map(|_| AtomicU64::new(0)).collect(),
            pickups: Mutex::default(),
        }
    }

    pub(crate) fn ran(&self, index: u32) {
        if self.ran.fetch_add(1, Relaxed) == 0 {
            self.first_ns.store(now_ns(), Relaxed);
        }
        match self.seen.get(index as usize / 64) {
            Some(word) => {
                let bit = 1 << (index % 64);
                if word.fetch_or(bit, Relaxed) & bit != 0 {
                    self.again.fetch_add(1, Relaxed);
                }
            }
            None => {
                self.strange.fetch_add(1, Relaxed);
            }
        }
    }

    fn picked_up(&self, index: u32, sent_ns: u64) {
        let took = now_ns().saturating_sub(sent_ns);
        self.ran(index);
        self.pickups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((index, took));
    }

    pub(crate) fn report(&self) -> Report {
        let mut seen: Vec<u64> = self.seen.iter().map(|word| word.load(Relaxed)).collect();
        seen.truncate(
            seen.iter()
                .rposition(|&w| w != 0)
                .map_or(0, |last| last + 1),
        );
        Report {
            ran: self.ran.load(Relaxed),
            again: self.again.load(Relaxed),
            strange: self.strange.load(Relaxed),
            first_ns: self.first_ns.load(Relaxed),
            seen,
            pickups: self
                .pickups
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

/// Makes the tally, so that the first task does not have to.
pub fn begin() {
    LazyLock::force(&TALLY);
}

/// Writes the report to the file that [`REPORT_VARIABLE`] names; without one it does nothing.
///
/// # Errors
/// The file can not be written.
pub fn tell() -> io::Result<()> {
    match std::env::var_os(REPORT_VARIABLE) {
        Some(path) => fs::write(path, serde_json::to_vec(&TALLY.report())?),
        None => Ok(()),
    }
}

pub(crate) fn ran(index: u32) {
    TALLY.ran(index);
}

pub(crate) fn picked_up(index: u32, sent_ns: u64) {
    TALLY.picked_up(index, sent_ns);
}

/// The wall clock, which the processes of one machine share.
pub(crate) fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}
