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
    /// When each was claimed, and with how many crashes: a line of another process may be read later.
    claims: HashMap<TaskId, Vec<(u64, u8)>>,
    lost: HashMap<TaskId, u64>,
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
    /// Deliveries with a crash more than the one before.
    pub(crate) charged: usize,
    /// Those of them about which no process was away by itself.
    pub(crate) unexplained: usize,
    /// How often a process was away for half a lease, …
    pub(crate) late: usize,
    /// … and how often by itself.
    #[expect(dead_code, reason = "read by its Debug form")]
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
                sums.claims.entry(id).or_default().push((at, crashes));
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
        let starved: Vec<_> = sums.late.iter().filter(|late| alone(late)).collect();
        let charged = sums.charged();
        // What it held is given back until about a lease after it is back, and claimed at once.
        let margin = 2 * LEASE.as_millis() as u64;
        let is_explained = |at: u64| {
            let mut about = starved.iter();
            about.any(|&&(from, to)| (from..=to + margin).contains(&at))
        };
        Added {
            runs: sums.claims.values().map(|claims| claims.len() as u64).sum(),
            lost: sums.lost.values().sum(),
            charged: charged.len(),
            unexplained: charged.iter().filter(|&&at| !is_explained(at)).count(),
            late: sums.late.len(),
            starved: starved.len(),
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
        let runs = sums.claims.iter();
        let runs = runs.map(|(id, claims)| (id, claims.len() as u64));
        let over = runs.filter(|(id, runs)| *runs > most(id));
        over.map(|(id, runs)| format!("{id} ran {runs} times, {} are explained", most(id)))
            .collect()
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.told.lock().unwrap()
    }
}

impl Sums {
    /// When crashes were charged: a message that was charged carries its crash to later claims, too.
    fn charged(&self) -> Vec<u64> {
        let mut charged = Vec::new();
        for claims in self.claims.values() {
            let (mut claims, mut so_far) = (claims.clone(), 0);
            claims.sort_unstable();
            for (at, crashes) in claims {
                if crashes > so_far {
                    charged.push(at);
                }
                so_far = crashes;
            }
        }
        charged
    }
}

fn count(n: &AtomicU64) {
    n.fetch_add(1, Ordering::Relaxed);
}

/// As many calls as [`Heard`] knows.
pub(crate) const CALLS: usize = Heard::Sweep as usize + 1;

#[test]
fn who_was_away_alone_explains_what_is_charged_about_then() {
    let books = Books::new();
    let claimed = |id, at, crashes| {
        books.take(Told::Claimed {
            id,
            at,
            crashes,
            covered: false,
        });
    };
    let unexplained = || books.added().unexplained;
    books.take(Told::Late(10_000, 10_600));
    let (early, about, late) = (TaskId::random(), TaskId::random(), TaskId::random());
    // It carries the crash on.
    claimed(about, 20_000, 1);
    claimed(about, 12_600, 1);
    assert_eq!((books.added().charged, unexplained()), (1, 0));
    claimed(late, 12_601, 1);
    assert_eq!(unexplained(), 1);
    claimed(early, 9_999, 1);
    assert_eq!(unexplained(), 2);
    claimed(about, 21_000, 2);
    assert_eq!((books.added().charged, unexplained()), (4, 3));
}
