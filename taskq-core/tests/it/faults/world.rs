//! The run: a broker, producers and workers, the faults, and the wait for the end of it all.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taskq_core::broker::{Backend, connect};
use taskq_core::clock::now_ms;
use tokio::task::JoinHandle;

use super::Mix;
use super::books::{Added, Books, CALLS};
use super::child::Spawned;
use super::life::{Task, Worker};
use super::operator::{self, Came};
use super::place::{Copy, Kind, Place};
use super::produce::Producer;
use super::proxy::Lies;
use super::site::{Ear, Site};

pub(crate) const LEASE: Duration = Duration::from_secs(1);
const WORKERS: usize = 3;

/// Of processes that stood still together the last one wakes at most this much behind the first one.
const LATE: Duration = Duration::from_millis(200);

/// A copy that is put back lacks at least what came within this, ms.
const OLD: u64 = 100;

/// Only where the kernel tells machines apart a process has a lifeline.
const HAS_LIFELINES: bool = cfg!(target_os = "linux");

/// Not a measure: what has not ended by then never ends, and what has not happened never happens.
const SETTLE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(super) kind: Kind,
    rng: StdRng,
    pub(super) place: Place,
    /// Straight to the broker, past all that is in the way.
    pub(super) broker: Arc<dyn Backend>,
    pub(super) site: Arc<Site>,
    pub(super) books: Arc<Books>,
    workers: Vec<Box<dyn Worker>>,
    pub(super) producer: Arc<Producer>,
    sending: JoinHandle<()>,
    operator: Option<JoinHandle<()>>,
    counts: Counts,
}

/// What befell the broker.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    kills: u64,
    pauses: u64,
    outages: u64,
    rollbacks: u64,
    cut: u64,
}

/// What happened.
#[derive(Debug)]
#[expect(dead_code, reason = "read by its Debug form")]
pub(crate) struct Tally {
    pub(crate) accepted: usize,
    pub(crate) acknowledged: usize,
    pub(crate) lies: Lies,
    pub(crate) warm_stops: u64,
    pub(crate) leaves: u64,
    pub(crate) came: Came,
    pub(crate) deaths: u64,
    pub(crate) pauses: u64,
    pub(crate) sweepers: u64,
    pub(crate) outages: u64,
    pub(crate) rollbacks: u64,
    /// Lifelines that were taken away; those that processes which are gone left behind are among them.
    pub(crate) cut: u64,
    pub(crate) told: Added,
    forgotten: usize,
    settled_ms: u128,
}

impl World {
    pub(crate) async fn start(kind: Kind, mix: Mix, seed: u64, span: Duration) -> Self {
        let place = Place::start(kind, seed).await;
        let books = Arc::new(Books::new());
        let ear = Ear::Books(books.clone());
        let site = Arc::new(Site::new(mix, place.url(), 0, ear));
        let worker = |n| -> Box<dyn Worker> {
            let (books, seed) = (books.clone(), seed % 1_000_000_007);
            match kind {
                Kind::Server => Box::new(Task::start(site.clone(), books, n, seed)),
                Kind::File => Box::new(Spawned::start(&site, books, n, seed)),
            }
        };
        let workers = (0..WORKERS).map(worker).collect();
        let broker = connect(&place.direct_url()).await.unwrap();
        let through = connect(&place.url()).await.unwrap();
        let producer = Producer::new(site.clone(), books.clone(), through);
        let sending = tokio::spawn(producer.clone().produce(seed, span));
        let mut operator = None;
        if mix.meddle {
            let through = connect(&place.url()).await.unwrap();
            let (site, books) = (site.clone(), books.clone());
            operator = Some(tokio::spawn(operator::meddle(site, books, through, seed)));
        }
        Self {
            kind,
            rng: StdRng::seed_from_u64(seed),
            place,
            broker,
            site,
            books,
            workers,
            producer,
            sending,
            operator,
            counts: Counts::default(),
        }
    }

    /// Lets the faults happen for so long. What has not happened by the middle happens then.
    pub(crate) async fn suffer(&mut self, span: Duration) {
        let mix = self.site.mix;
        let permille = if mix.reply { 80 } else { 0 };
        self.place.faulty(permille, if mix.mute { 15 } else { 0 });
        let (began, mut copy) = (Instant::now(), None);
        let mut outage = Outage::default();
        // Where no crash may be charged, each process gets a beat through between two outages.
        let apart = if mix.is_chargeless() {
            LEASE / 2
        } else {
            Duration::ZERO
        };
        // A file is locked or its processes stand still; it is replaced or written over: each of them happens.
        let kinds = if self.kind == Kind::File { 2 } else { 1 };
        loop {
            if began.elapsed() >= span {
                let missing = self.has_yet_to_happen(kinds);
                if missing.is_empty() {
                    break;
                }
                assert!(
                    began.elapsed() < span + SETTLE,
                    "{SETTLE:?} after the faults were to end these have not happened: {missing:?}"
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            let is_late = began.elapsed() > span / 2;
            outage.end_if_due(&mut self.place, &self.books);
            let may = outage.may_begin(apart);
            if mix.outage && may && self.strikes(0.015, self.counts.outages / kinds, is_late) {
                let share = [30, 60, 70, 80, 90, 100, 150][self.rng.random_range(0..7)];
                // One of each kind is for longer than a lease.
                let is_first = self.counts.outages < kinds;
                let share = if is_first { 150 } else { share };
                self.counts.outages += 1;
                self.begin(&mut outage, LEASE * share / 100);
            }
            if self.kind == Kind::File
                && (mix.lease || self.strikes(0.02, self.counts.cut, is_late))
            {
                self.counts.cut += self.place.cut();
            }
            let one = self.rng.random_range(0..WORKERS);
            // Stops after a pause are of interest while the others sweep: alone with them, only the first worker pauses.
            let others_sweep = mix.pause && mix.warm && !mix.kill;
            if mix.pause && !others_sweep && self.strikes(0.03, self.counts.pauses, is_late) {
                let is_short = self.rng.random_bool(0.5) && self.counts.pauses > 0;
                let share = if is_short { 50 } else { 220 };
                self.counts.pauses += 1;
                self.workers[one].pause(LEASE * share / 100);
            }
            // A sweeper lives for more than a lease.
            let chance = if mix.flood > 0 { 0.01 } else { 0.02 };
            if mix.kill && self.strikes(chance, self.counts.kills, is_late) {
                self.counts.kills += 1;
                self.workers[one].kill();
            }
            if mix.warm && self.rng.random_bool(if others_sweep { 0.2 } else { 0.08 }) {
                let one = if others_sweep { 0 } else { one };
                if others_sweep && self.workers[one].is_paused() {
                    continue;
                }
                if mix.pause && self.rng.random_bool(0.7) {
                    // It wakes about when the others give back what it held, and stops at once.
                    let share = self.rng.random_range(95..135);
                    self.workers[one].pause(LEASE * share / 100);
                }
                self.workers[one].stop_warm();
            }
            // A file that somebody else holds is not one that a copy is written into.
            if mix.rollback && (self.kind == Kind::Server || outage.is_over()) {
                if copy.is_none() && is_late || self.rng.random_bool(0.05) {
                    copy = Some(self.place.copy());
                }
                if self.strikes(0.03, self.counts.rollbacks / kinds, is_late)
                    && let Some(older) = copy.take_if(|copy| copy.at + OLD <= now_ms())
                {
                    self.go_back_to(&older).await;
                }
            }
        }
        outage.end(&mut self.place, &self.books);
    }

    /// What makes a run of the mix mean anything and has not happened: a busy machine may have passed the time by itself.
    fn has_yet_to_happen(&self, kinds: u64) -> Vec<&'static str> {
        let (mix, counts, books) = (self.site.mix, self.counts, &self.books);
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let (lies, came) = (self.place.lies(), books.orders.came());
        let cuts = self.kind == Kind::File && HAS_LIFELINES;
        // A wire that loses the word of a pause may keep it up for long.
        let pauses_queues = mix.meddle && !mix.reply && !mix.mute;
        let all = [
            (true, self.producer.accepted() as u64, 21, "messages"),
            (
                mix.reply,
                lies.lost_replies + lies.late_requests,
                3,
                "lies of the wire",
            ),
            (mix.mute, lies.muted, 1, "a silence of the wire"),
            (mix.pause, read(&books.pauses), 1, "a pause"),
            (
                mix.kill || mix.poison > 0,
                read(&books.deaths),
                1,
                "a death",
            ),
            (mix.warm, read(&books.warm_stops), 1, "a stop on purpose"),
            (mix.outage, counts.outages, kinds, "outages of each kind"),
            (
                mix.rollback,
                counts.rollbacks,
                kinds,
                "rollbacks of each kind",
            ),
            (
                mix.flood > 0,
                read(&books.sweepers),
                1,
                "a sweep that was cut off",
            ),
            (cuts, counts.cut, 1, "a lifeline taken away"),
            (mix.leave, read(&books.leaves), 3, "queues left"),
            (
                mix.meddle,
                came.heard + came.purged + came.replayed,
                3,
                "revocations, purges or replays",
            ),
            (pauses_queues, came.pauses, 1, "a pause of a queue"),
        ];
        let missing = all
            .into_iter()
            .filter(|(of_mix, n, least, _)| *of_mix && n < least);
        missing.map(|(.., what)| what).collect()
    }

    /// Whether a fault happens now, of which there were so many.
    fn strikes(&mut self, chance: f64, so_far: u64, is_late: bool) -> bool {
        self.rng.random_bool(chance) || so_far == 0 && is_late
    }

    /// Nobody reaches the broker for so long: it is away or locked, or all processes stand still at once.
    fn begin(&mut self, outage: &mut Outage, span: Duration) {
        *outage = Outage::of(span + LATE);
        if self.kind == Kind::File && self.counts.outages.is_multiple_of(2) {
            for worker in &self.workers {
                // They wake one after the other: the first finds the others past their leases.
                worker.pause(span + self.rng.random_range(Duration::ZERO..LATE));
            }
        } else {
            self.place.outage(true);
            outage.is_at_the_broker = true;
        }
    }

    async fn go_back_to(&mut self, copy: &Copy) {
        self.books.acks.rollback_begins(copy.at);
        self.place.go_back_to(copy);
        self.books.acks.rollback_is_over();
        self.counts.rollbacks += 1;
        // From here on it is known which file lies at the path.
        let since = Instant::now();
        while self.kind == Kind::File
            && let Err(error) = self.broker.depth(&self.site.queues[0]).await
        {
            assert!(
                since.elapsed() < SETTLE,
                "the broker does not take the older copy for its file: {error}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// No more faults: everything accepted must end, once, and nothing must be left.
    pub(crate) async fn settle(&mut self) -> Tally {
        self.site.be_quiet();
        self.workers.iter().for_each(|worker| worker.be_quiet());
        self.place.faulty(0, 0);
        let since = Instant::now();
        (&mut self.sending).await.expect("the producer ends");
        if let Some(operator) = &mut self.operator {
            operator.await.expect("the operator ends");
        }
        let owed = self.producer.owed();
        let mut ended = HashMap::new();
        loop {
            self.look_for_ends(&owed, &mut ended).await;
            let missing = owed.keys().filter(|id| !ended.contains_key(id)).count();
            let mut left = Vec::new();
            for queue in &self.site.queues {
                if self.site.mix.meddle {
                    // An order to pause may have come through after the one that ended the pause.
                    self.broker.resume(queue).await.unwrap();
                }
                let depth = self.broker.depth(queue).await.unwrap();
                if depth.waiting + depth.suspects + depth.delayed + depth.in_flight > 0 {
                    left.push(format!("{queue}: {depth:?}"));
                }
            }
            let held = self.place.held();
            let heard = self.books.heard.load(Ordering::Relaxed);
            let deaf = (0..CALLS * WORKERS)
                .filter(|n| heard & (1 << n) == 0)
                .count();
            let late = self.place.holds_requests();
            if missing == 0 && left.is_empty() && held.is_none() && deaf == 0 && !late {
                break;
            }
            let (_, broken) = self.books.acks.told();
            assert!(
                since.elapsed() < SETTLE && broken.is_empty(),
                "{missing} accepted messages have not ended; left: {left:?}; held: {held:?}; \
                 {deaf} kinds of calls of all workers ({heard:b}) are not answered any more; broken: {broken:#?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let settled_ms = since.elapsed().as_millis();
        for worker in &mut self.workers {
            worker.end().await;
        }
        let acknowledged = self.reckon(&owed).await;
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Tally {
            accepted: self.producer.accepted(),
            acknowledged,
            lies: self.place.lies(),
            warm_stops: read(&self.books.warm_stops),
            leaves: read(&self.books.leaves),
            came: self.books.orders.came(),
            deaths: read(&self.books.deaths),
            pauses: read(&self.books.pauses),
            sweepers: read(&self.books.sweepers),
            outages: self.counts.outages,
            rollbacks: self.counts.rollbacks,
            cut: self.counts.cut,
            told: self.books.added(),
            forgotten: self.producer.accepted() - owed.len(),
            settled_ms,
        }
    }
}

/// A time in which nobody reaches the broker, or the one that was the last.
#[derive(Debug, Default)]
struct Outage {
    ends: Option<Instant>,
    began_at: u64,
    is_at_the_broker: bool,
    over: Option<Instant>,
}

impl Outage {
    fn of(span: Duration) -> Self {
        Self {
            ends: Some(Instant::now() + span),
            began_at: now_ms(),
            ..Self::default()
        }
    }

    fn is_over(&self) -> bool {
        self.ends.is_none()
    }

    fn may_begin(&self, apart: Duration) -> bool {
        self.is_over() && self.over.is_none_or(|over| over.elapsed() >= apart)
    }

    fn end_if_due(&mut self, place: &mut Place, books: &Books) {
        if self.ends.is_some_and(|end| Instant::now() >= end) {
            self.end(place, books);
        }
    }

    fn end(&mut self, place: &mut Place, books: &Books) {
        if self.ends.take().is_some() {
            if self.is_at_the_broker {
                place.outage(false);
            }
            books.was_out(self.began_at);
            self.over = Some(Instant::now());
        }
    }
}
