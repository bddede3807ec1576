//! What all processes have told, and what is wrong about it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use taskq_core::TaskId;
use taskq_core::clock::now_ms;

use super::acks::Acks;
use super::operator::Orders;
use super::site::{Heard, Told};
use super::world::LEASE;

/// A message runs once, and again for each of its retries.
const RUNS_WITHOUT_FAULTS: u64 = 4;

#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) acks: Acks,
    pub(crate) orders: Orders,
    pub(crate) deaths: AtomicU64,
    pub(crate) warm_stops: AtomicU64,
    /// How often a process left a queue.
    pub(crate) leaves: AtomicU64,
    /// How often a process died in the middle of a sweep.
    pub(crate) sweepers: AtomicU64,
    pub(crate) pauses: AtomicU64,
    /// Which worker's calls were answered since the run is quiet: a bit for each.
    pub(crate) heard: AtomicU64,
    told: Mutex<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    runs: HashMap<TaskId, u64>,
    lost: HashMap<TaskId, u64>,
    /// Deliveries that came with a crash.
    charged: Vec<TaskId>,
    /// What kept all processes alike from the broker.
    outages: Vec<(u64, u64)>,
    late: Vec<(u64, u64)>,
}

/// What was told, added up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Added {
    pub(crate) runs: u64,
    /// Verdicts that did not count.
    #[expect(dead_code, reason = "read by its Debug form")]
    pub(crate) lost: u64,
    /// Deliveries with a crash.
    pub(crate) charged: usize,
    /// How often a process was away for half a lease, …
    pub(crate) late: usize,
    /// … and how often by itself.
    pub(crate) starved: usize,
}

impl Books {
    pub(crate) fn new() -> Self {
        Self {
            acks: Acks::default(),
            orders: Orders::default(),
            deaths: AtomicU64::new(0),
            warm_stops: AtomicU64::new(0),
            leaves: AtomicU64::new(0),
            sweepers: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            told: Mutex::default(),
        }
    }

    pub(crate) fn take(&self, told: Told) {
        match told {
            Told::Begun => {}
            Told::Heard(worker, what) => {
                let bit = 1 << (3 * worker + what as usize);
                self.heard.fetch_or(bit, Ordering::Relaxed);
            }
            Told::Claimed {
                id,
                at,
                crashes,
                covered,
            } => {
                self.acks.claimed(id, at);
                if let Some(wrong) = self.orders.claimed(id, at, covered) {
                    self.acks.broken(wrong);
                }
                let mut sums = self.sums();
                *sums.runs.entry(id).or_default() += 1;
                if crashes > 0 {
                    sums.charged.push(id);
                }
            }
            Told::Done { since, at, ended } => self.acks.applied(since, at, &ended),
            Told::Lost(ids) => {
                let mut sums = self.sums();
                for id in ids {
                    *sums.lost.entry(id).or_default() += 1;
                }
            }
            Told::Late(from, to) => self.sums().late.push((from, to)),
            Told::Left => count(&self.leaves),
            Told::DiesSweeping => count(&self.sweepers),
            Told::Stopped => count(&self.warm_stops),
            Told::Broken(what) => self.acks.broken(what),
        }
    }

    /// Nobody could reach the broker since `from`.
    pub(crate) fn was_out(&self, from: u64) {
        self.sums().outages.push((from, now_ms()));
    }

    pub(crate) fn added(&self) -> Added {
        let sums = self.sums();
        let alone = |&(from, to): &(u64, u64)| {
            let shared = |&(a, b): &(u64, u64)| b.min(to).saturating_sub(a.max(from));
            let excused: u64 = sums.outages.iter().map(shared).sum();
            u128::from(to.saturating_sub(from).saturating_sub(excused)) > LEASE.as_millis() / 2
        };
        Added {
            runs: sums.runs.values().sum(),
            lost: sums.lost.values().sum(),
            charged: sums.charged.len(),
            late: sums.late.len(),
            starved: sums.late.iter().filter(|late| alone(late)).count(),
        }
    }

    /// Messages that ran more often than what befell their processes tells.
    ///
    /// A process that died or stopped gives back what it held once; so does a session that was lost, whose verdicts its
    /// process has heard not to count; a copy that is put back brings all runs up to it again.
    pub(crate) fn ran_too_often(&self) -> Vec<String> {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let ends = read(&self.deaths) + read(&self.warm_stops);
        let rounds = 1 + self.acks.rollbacks();
        let sums = self.sums();
        let most = |id: &TaskId| {
            let rounds = rounds + self.orders.replays(*id);
            rounds * RUNS_WITHOUT_FAULTS + ends + sums.lost.get(id).copied().unwrap_or(0)
        };
        let over = sums.runs.iter().filter(|(id, runs)| **runs > most(id));
        over.map(|(id, runs)| format!("{id} ran {runs} times, {} are explained", most(id)))
            .collect()
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.told.lock().unwrap()
    }
}

fn count(n: &AtomicU64) {
    n.fetch_add(1, Ordering::Relaxed);
}

/// As many calls as [`Heard`] knows.
pub(crate) const CALLS: usize = Heard::Sweep as usize + 1;
