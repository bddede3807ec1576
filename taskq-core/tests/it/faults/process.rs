//! A worker process in small: it claims, runs, finishes, beats and sweeps, each beside the others, and stops on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::value::to_raw_value;
use taskq_core::broker::{
    Consumer, ConsumerOptions, Delivery, End, Finished, Order, RevokeCause, Served, Verdict,
    connect,
};
use taskq_core::clock::now_ms;
use taskq_core::{Error, Failure, Message, QueueName, Record, State, TaskId};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::life::Signals;
use super::place::Halves;
use super::site::{Heard, Site, Told};
use super::world::LEASE;

/// Where connections fall silent, calls are given up after this long: before the broker's own deadline of half a lease.
const PATIENCE: Duration = LEASE.checked_div(5).unwrap().checked_mul(2).unwrap();

/// How long a process that stops waits for what it holds.
const GRACE: Duration = LEASE.checked_mul(2).unwrap();

/// So many verdicts at most wait for a queue's next finish.
pub(super) const UNTOLD: usize = 64;

#[derive(Debug)]
pub(super) struct Process {
    pub(super) site: Arc<Site>,
    pub(super) signals: Arc<Signals>,
    pub(super) number: usize,
    pub(super) queues: Vec<QueueName>,
    pub(super) slots: usize,
    pub(super) seed: AtomicU64,
    pub(super) suspects: Semaphore,
    pub(super) stopping: AtomicBool,
    /// When a beat was answered last.
    pub(super) beaten: AtomicU64,
}

/// A verdict on its way to the broker, and the id and run of a message that it ends as SUCCESS.
struct Judged {
    id: TaskId,
    verdict: Verdict,
    done: Option<(TaskId, u64)>,
}

impl Process {
    /// Returns after a warm stop; any other end is a death, by dropping this.
    pub(super) async fn live(self: Arc<Self>) {
        let broker = connect(&self.site.url).await.unwrap();
        let options = ConsumerOptions {
            queues: self.queues.iter().cloned().map(Served::from).collect(),
            order: Order::default(),
            lease: LEASE,
            node: "w".into(),
        };
        let consumer = loop {
            match broker.consume(options.clone()).await {
                Ok(consumer) => break consumer,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        };
        let (mut upkeep, mut work) = (JoinSet::new(), JoinSet::new());
        upkeep.spawn(self.clone().beat(consumer.clone()));
        upkeep.spawn(self.clone().sweep(consumer.clone()));
        upkeep.spawn(self.clone().leave(consumer.clone()));
        let mut verdicts = Vec::new();
        for queue in &self.queues {
            let (verdict, judged) = mpsc::channel(UNTOLD);
            verdicts.push((queue.clone(), verdict));
            work.spawn(self.clone().finish(consumer.clone(), queue.clone(), judged));
        }
        work.spawn(self.clone().fetch(consumer.clone(), verdicts));
        tokio::select! {
            () = self.signals.stop.notified() => {}
            Some(ended) = work.join_next() => self.must_not_end(ended),
            Some(ended) = upkeep.join_next() => self.must_not_end(ended),
        }
        let paused = self.signals.is_paused() || self.signals.at_once.load(Ordering::Relaxed);
        self.awake().await;
        self.tell_if_late();
        if paused && self.rng().random_bool(0.8) {
            // At once, before a beat tells it what became of its session: the others may have it in hand.
            drop(consumer.close().await);
        } else {
            self.stop(consumer, work).await;
        }
    }

    fn must_not_end(&self, ended: Result<(), tokio::task::JoinError>) {
        self.site.broken(format!("a part ended: {ended:?}"));
    }

    /// Retires, finishes or returns what is held, closes; now and then it ends half way.
    async fn stop(&self, consumer: Arc<dyn Consumer>, mut work: JoinSet<()>) {
        let mut rng = self.rng();
        self.stopping.store(true, Ordering::Relaxed);
        if consumer.retire().await.is_ok() && rng.random_bool(0.3) {
            // Killed after all: nobody is charged for that.
            self.signals.die.notify_one();
            std::future::pending::<()>().await;
        }
        let settled = async { while work.join_next().await.is_some() {} };
        drop(timeout(GRACE, settled).await);
        if rng.random_bool(0.25) {
            let soon = Duration::from_micros(rng.random_range(0..2000));
            drop(timeout(soon, consumer.close()).await);
            return;
        }
        for _ in 0..20 {
            if consumer.close().await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Tells that no beat was answered for half a lease. Until now, when it ends as well.
    fn tell_if_late(&self) {
        let now = now_ms();
        let last = self.beaten.swap(now, Ordering::Relaxed);
        if u128::from(now.saturating_sub(last)) > LEASE.as_millis() / 2 {
            self.site.tell(Told::Late(last, now));
        }
    }

    fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed.fetch_add(1, Ordering::Relaxed))
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// A paused process does nothing.
    async fn awake(&self) {
        while !self.site.is_quiet() && self.signals.is_paused() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The answer to a call, unless it is given up from outside.
    async fn patiently<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Option<T> {
        if self.site.mix.mute {
            timeout(PATIENCE, call).await.ok()?.ok()
        } else {
            call.await.ok()
        }
    }

    async fn beat(self: Arc<Self>, consumer: Arc<dyn Consumer>) {
        loop {
            self.awake().await;
            if self.patiently(consumer.beat()).await.is_some() {
                self.site.heard(self.number, Heard::Beat);
                self.tell_if_late();
            }
            sleep(LEASE / 5).await;
        }
    }

    async fn sweep(self: Arc<Self>, consumer: Arc<dyn Consumer>) {
        // A stop that meets a store in hand needs a sweeper that left it so.
        let mix = self.site.mix;
        let deadly = if mix.warm && mix.pause { 0.5 } else { 0.3 };
        let (mut rng, born) = (self.rng(), Instant::now());
        loop {
            sleep(LEASE / 4 + Duration::from_millis(rng.random_range(0..100))).await;
            self.awake().await;
            // One that lives for less than a lease gives nothing back.
            let is_old = born.elapsed() > LEASE * 5 / 4;
            if mix.sweeper && is_old && !self.site.is_quiet() && rng.random_bool(0.5) {
                let most = [1_000, 5_000, 30_000][rng.random_range(0..3)];
                let soon = Duration::from_micros(rng.random_range(0..most));
                self.die_sweeping(&*consumer, soon).await;
            } else if !self.site.is_quiet() && rng.random_bool(deadly) {
                // The sweeper dies half way: between any two of its calls, which are closer than a timer's grain.
                let (since, soon) = (Instant::now(), rng.random_range(0..5000));
                let dies = async {
                    while since.elapsed() < Duration::from_micros(soon) {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! { _ = consumer.sweep() => {}, () = dies => {} }
            } else if self.patiently(consumer.sweep()).await.is_some() {
                self.site.heard(self.number, Heard::Sweep);
            }
        }
    }

    /// The whole process dies that much after a sweep began, if the sweep is not over by then. Where there is enough to be
    /// given back in several steps, it dies behind the first of them.
    async fn die_sweeping(&self, consumer: &dyn Consumer, soon: Duration) {
        let is_flooded = self.site.mix.flood > 0;
        let dies = async {
            if is_flooded {
                self.half_done().await;
            } else {
                sleep(soon).await;
            }
        };
        // The look goes first: what was there before the sweep is none of it.
        tokio::select! {
            biased;
            () = dies => {
                if is_flooded {
                    self.site.tell(Told::DiesSweeping);
                }
                self.signals.die.notify_one();
                std::future::pending::<()>().await;
            }
            _ = consumer.sweep() => {}
        }
    }

    /// Until of a session a part was given back that had not been when this began.
    async fn half_done(&self) {
        let halves = Halves::of(&self.site.url);
        let before = halves.now();
        while halves.now().is_subset(&before) {
            tokio::task::yield_now().await;
        }
    }

    /// Leaves a queue now and then, and takes from it again; gives both calls up half way.
    async fn leave(self: Arc<Self>, consumer: Arc<dyn Consumer>) {
        let mut rng = self.rng();
        let mut ms = move |most: u64| Duration::from_millis(rng.random_range(0..most));
        while self.site.mix.leave && !self.stops() {
            sleep(ms(150)).await;
            self.awake().await;
            let queue = &self.queues[self.rng().random_range(0..self.queues.len())];
            if !self.site.is_quiet() {
                let detach = timeout(ms(20) * 20, consumer.detach(queue)).await;
                if let Ok(Ok(true)) = detach {
                    self.site.tell(Told::Left);
                }
                sleep(ms(100)).await;
            }
            while !self.stops()
                && !matches!(
                    timeout(ms(20) * 20, consumer.attach(queue.clone().into())).await,
                    Ok(Ok(()))
                )
            {
                sleep(ms(30)).await;
            }
        }
        std::future::pending().await
    }

    async fn finish(
        self: Arc<Self>,
        consumer: Arc<dyn Consumer>,
        queue: QueueName,
        mut judged: mpsc::Receiver<Judged>,
    ) {
        let mut batch = Vec::new();
        while judged.recv_many(&mut batch, 20).await > 0 {
            self.awake().await;
            let ids = batch.iter().map(|j| j.id).collect();
            let done: Vec<_> = batch.iter().filter_map(|j| j.done).collect();
            let verdicts: Vec<_> = batch.drain(..).map(|j| j.verdict).collect();
            let (n, since) = (verdicts.len(), now_ms());
            let mut answer = self.patiently(consumer.finish(&queue, verdicts)).await;
            match answer {
                Some(Finished { applied, lost: 0 }) if applied == n => self.site.tell(Told::Done {
                    since,
                    at: now_ms(),
                    ended: done,
                }),
                _ => self.site.tell(Told::Lost(ids)),
            }
            // A finish given up half way is settled by the next, though it has nothing of its own to say.
            while answer.is_none() {
                answer = self.patiently(consumer.finish(&queue, Vec::new())).await;
            }
        }
    }

    async fn fetch(
        self: Arc<Self>,
        consumer: Arc<dyn Consumer>,
        verdicts: Vec<(QueueName, mpsc::Sender<Judged>)>,
    ) {
        let slots = Arc::new(Semaphore::new(self.slots));
        let mut running = JoinSet::new();
        let mut rng = self.rng();
        loop {
            self.awake().await;
            drop(slots.acquire().await);
            while let Some(ended) = running.try_join_next() {
                self.must_be_fine(ended);
            }
            // After it retired a consumer answers only what it had claimed before.
            let last = self.stops();
            let claim = consumer.claim(slots.available_permits(), Duration::from_millis(200));
            let claimed = if !self.site.is_quiet() && rng.random_bool(0.05) {
                // The claim is given up half way; the next one must answer the same.
                let soon = Duration::from_millis(rng.random_range(0..3));
                timeout(soon, claim).await.ok().and_then(Result::ok)
            } else {
                self.patiently(claim).await
            };
            if last && claimed.as_ref().is_none_or(Vec::is_empty) {
                break;
            }
            let Some(deliveries) = claimed else {
                sleep(Duration::from_millis(30)).await;
                continue;
            };
            self.site.heard(self.number, Heard::Claim);
            for delivery in deliveries {
                let Ok(slot) = slots.clone().try_acquire_owned() else {
                    let what = "a claim answered more than it was asked for";
                    self.site.broken(what.into());
                    return;
                };
                let to = verdicts.iter().find(|(queue, _)| *queue == delivery.queue);
                let (process, verdicts) = (self.clone(), to.expect("a queue of ours").1.clone());
                running.spawn(async move {
                    process.run(delivery, verdicts).await;
                    drop(slot);
                });
            }
        }
        while let Some(ended) = running.join_next().await {
            self.must_be_fine(ended);
        }
    }

    fn must_be_fine(&self, ended: Result<(), tokio::task::JoinError>) {
        if ended.is_err() {
            self.site.broken(format!("a run ended: {ended:?}"));
        }
    }

    async fn run(&self, delivery: Delivery, verdicts: mpsc::Sender<Judged>) {
        let mut rng = self.rng();
        let message = Message::decode(&delivery.body).expect("only messages that decode were sent");
        let covered = delivery.revoked.covers(&message);
        self.site.tell(Told::Claimed {
            id: message.id,
            at: delivery.claimed_at,
            crashes: delivery.crashes,
            covered,
        });
        let _alone = if delivery.suspect {
            self.suspects.acquire().await.ok()
        } else {
            None
        };
        if covered {
            let judged = revoked(&delivery, &message);
            return drop(verdicts.send(judged).await);
        }
        let run = self.site.next_run();
        if message.task == "poison" {
            self.signals.die.notify_one();
            std::future::pending::<()>().await;
        }
        sleep(rng.random_range(Duration::ZERO..self.site.longest_run)).await;
        self.awake().await;
        let judged = self.judge(&delivery, message, run, &mut rng);
        // Only a process that is dying has no finisher.
        drop(verdicts.send(judged).await);
    }

    /// A fifth runs again; the rest ends as its kind does: SUCCESS, or FAILURE, of which the dead set keeps an entry for
    /// each end. A process that stops returns half of what it holds.
    fn judge(
        &self,
        delivery: &Delivery,
        mut message: Message,
        run: u64,
        rng: &mut StdRng,
    ) -> Judged {
        let record = |state| Record::new(message.id, &message.task, &delivery.queue, state);
        let (end, record, done) = if self.stops() && rng.random_bool(0.5) {
            (End::Return, None, None)
        } else if message.retries < 3 && rng.random_bool(0.2) {
            let record = record(State::Retry);
            message.retries += 1;
            let ms = if rng.random_bool(0.5) { 0 } else { 100 };
            let after = Duration::from_millis(ms);
            let body = Bytes::from(message.encode().unwrap());
            (End::Retry { after, body }, Some(record), None)
        } else if message.task == "succeed" {
            let result = Some(to_raw_value(&run).unwrap());
            let record = Record {
                result,
                ..record(State::Success)
            };
            (End::Done, Some(record), Some((message.id, run)))
        } else {
            let error = Some(Failure::new("Meant", "it was meant to fail"));
            let record = Record {
                error,
                ..record(State::Failure)
            };
            let (state, reason) = (State::Failure, "it was meant to fail".into());
            (End::Dead { state, reason }, Some(record), None)
        };
        let receipt = delivery.receipt;
        let verdict = Verdict {
            receipt,
            end,
            record,
            event: None,
        };
        let id = message.id;
        Judged { id, verdict, done }
    }
}

/// It does not run.
fn revoked(delivery: &Delivery, message: &Message) -> Judged {
    let record = Record::new(message.id, &message.task, &delivery.queue, State::Revoked);
    let verdict = Verdict {
        receipt: delivery.receipt,
        end: End::Revoked(RevokeCause::Requested),
        record: Some(record),
        event: None,
    };
    Judged {
        id: message.id,
        verdict,
        done: None,
    }
}
