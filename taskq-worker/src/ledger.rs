//! The ledger: every delivery this process holds, from its claim until the broker has acknowledged its verdict.

mod starter;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use taskq_core::broker::{Delivery, End, Receipt, Verdict};
use taskq_core::event::Attempt;
use taskq_core::task::{Cancelled, Heard, ProgressSink, RunKey};
use taskq_core::{Message, Progress, QueueName, Record};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::book::{Book, Claim, Entry, Key, Next, Telling};
use crate::config::MOST_SLOTS;
use crate::cutoff::{Cutoff, Leash, Stray};
use crate::instant;
use crate::permits::Permits;
use crate::report;
use crate::round::Round;
use crate::tally::Tally;
use crate::verdict::{Began, Call};
#[cfg(test)]
use {
    crate::limits::TimeLimits,
    taskq_core::task::{Surroundings, TaskDef},
};

/// Verdicts that may wait for their acknowledgement beside those of running tasks.
const UNACKNOWLEDGED: usize = 512;

/// Who takes a delivery's entry out settles it: once, by the run that ended or by the stop that gives it back.
#[derive(Debug)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
    /// Rings for the teller.
    begun: Notify,
    /// Rings for the watchdog.
    sooner: Notify,
    /// Rings when something was revoked.
    pub(crate) revoked: Notify,
    room: Permits,
    /// Of each queue that it ever took from.
    finishers: RwLock<HashMap<QueueName, mpsc::Sender<Settled>>>,
    lost: AtomicU64,
    tally: Tally,
    /// The node name that verdicts carry.
    node: Arc<str>,
}

/// A task function under way.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) message: Arc<Message>,
    pub(crate) queue: QueueName,
    pub(crate) crashes: u8,
    pub(crate) received: u64,
    pub(crate) began: Began,
    pub(crate) leash: Leash,
}

/// What became of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// It is on its way to the broker.
    Counts,
    /// The run was cut off, and has been settled without it.
    CutOff,
    /// The delivery was lost, or the stop has given it back.
    Void,
}

/// A verdict on its way to the broker. Its room in the ledger is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Settled {
    verdict: Verdict,
    room: OwnedSemaphorePermit,
}

impl Run {
    pub(crate) fn call<'a>(&'a self, worker: &'a str) -> Call<'a> {
        Call {
            message: &self.message,
            queue: &self.queue,
            crashes: self.crashes,
            worker,
            received: self.received,
            began: Some(self.began),
            context: Some(&self.leash.context),
        }
    }

    /// How far it has got, if it tells.
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.leash.context.last_progress()
    }

    /// Whether what is told of it now tells how far it has got; from here on that is no news.
    pub(crate) fn takes_progress(&self) -> bool {
        let news = self.leash.context.take_news();
        news || self.leash.context.has_progress()
    }

    /// Whether its record says STARTED.
    pub(crate) fn says_started(&self) -> bool {
        self.call("").says_started()
    }

    /// The record that says that it runs, if it is to have one.
    pub(crate) fn record(&self, worker: &str) -> Option<Record> {
        self.call(worker).started()
    }

    /// What is told of it while it is under way.
    pub(crate) fn event(&self) -> Attempt {
        Attempt {
            message: Arc::clone(&self.message),
            received: Some(self.received),
            started: Some(self.began.ms),
            runtime: None,
            said: None,
            traceback: None,
        }
    }
}

impl Settled {
    pub(crate) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The verdict, and the room to give up once it is acknowledged.
    pub(crate) fn split(self) -> (Verdict, OwnedSemaphorePermit) {
        (self.verdict, self.room)
    }
}

impl Ledger {
    /// A ledger for `slots` tasks at once, of no queue yet.
    pub(crate) fn new(slots: usize, node: Arc<str>, tally: Tally) -> Self {
        Self {
            book: Mutex::default(),
            begun: Notify::new(),
            sooner: Notify::new(),
            revoked: Notify::new(),
            room: Permits::new(slots + UNACKNOWLEDGED),
            finishers: RwLock::default(),
            lost: AtomicU64::new(0),
            node,
            tally,
        }
    }

    /// Lets deliveries of a queue in: what its finisher receives from; `None` if it has one already.
    pub(crate) fn admit(&self, queue: &QueueName) -> Option<mpsc::Receiver<Settled>> {
        let finishers = self.finishers.write();
        let mut finishers = finishers.unwrap_or_else(PoisonError::into_inner);
        if finishers.contains_key(queue) {
            return None;
        }
        // Every verdict in the channel has its room in the ledger: it is never full.
        let (send, receive) = mpsc::channel(MOST_SLOTS + UNACKNOWLEDGED);
        finishers.insert(queue.clone(), send);
        Some(receive)
    }

    /// Undoes an admission of which nothing came.
    pub(crate) fn dismiss(&self, queue: &QueueName) {
        let finishers = self.finishers.write();
        let mut finishers = finishers.unwrap_or_else(PoisonError::into_inner);
        finishers.remove(queue);
    }

    /// Of how many queues it lets deliveries in.
    pub(crate) fn queues(&self) -> usize {
        let finishers = self.finishers.read();
        finishers.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Room for deliveries; each claim needs one permit per message.
    pub(crate) fn room(&self) -> &Permits {
        &self.room
    }

    /// From now on it is for so many tasks at once.
    pub(crate) fn resize(&self, slots: usize) {
        self.room.resize(slots + UNACKNOWLEDGED);
    }

    /// Enters a delivery.
    pub(crate) fn enter(
        self: &Arc<Self>,
        delivery: &Delivery,
        room: OwnedSemaphorePermit,
        slot: OwnedSemaphorePermit,
    ) -> Held {
        let (receipt, queue) = (delivery.receipt, delivery.queue.clone());
        let mut entry = Entry::new(receipt, queue, delivery.lost.clone(), room, slot);
        entry.claim = Some(Claim {
            body: delivery.body.clone(),
            priority: delivery.priority,
            at: delivery.claimed_at,
        });
        let cancelled = entry.cancelled.clone();
        let key = self.book().enter(entry);
        Held {
            ledger: Arc::clone(self),
            key,
            cancelled,
            open: true,
        }
    }

    /// What runs right now, longest first.
    pub(crate) fn running(&self) -> Vec<Run> {
        let book = self.book();
        let mut runs: Vec<Run> = book.entries().filter_map(|e| e.run.clone()).collect();
        drop(book);
        runs.sort_by_key(|r| r.began.at);
        runs
    }

    /// Up to `most` of what is claimed and has not started, in no order.
    pub(crate) fn reserved(&self, most: usize) -> Vec<(QueueName, Claim)> {
        let book = self.book();
        let unstarted = book
            .entries()
            .filter_map(|e| Some((e.queue.clone(), e.claim.clone()?)));
        unstarted.take(most).collect()
    }

    /// How many functions are under way, and how many have ended.
    pub(crate) fn load(&self) -> (usize, u64) {
        let book = self.book();
        (book.running(), book.processed())
    }

    /// Returns once `n` runs have ended.
    pub(crate) async fn have_ended(&self, n: u64) {
        let bell = Arc::new(Notify::new());
        self.book().ring_after(n, Arc::clone(&bell));
        bell.notified().await;
    }

    /// Deliveries without a verdict.
    pub(crate) fn open(&self) -> usize {
        self.book().len()
    }

    /// Deliveries whose verdict is not acknowledged, those without one included.
    pub(crate) fn unsettled(&self) -> usize {
        self.room.out()
    }

    /// Waits until all is acknowledged. Nothing must be claimed meanwhile.
    pub(crate) async fn settled(&self) {
        self.room.all_back().await;
    }

    /// How many verdicts did not count because the delivery had been lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Counts verdicts that did not count.
    pub(crate) fn count_lost(&self, n: usize) {
        self.lost.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// What has been run and how it ended.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Tells every run that it no longer counts; their futures are dropped.
    pub(crate) fn cancel_all(&self) {
        // Cancelling wakes tasks that come here: not under the lock.
        let of = |e: &Entry| (e.run.as_ref().map(|r| r.leash.clone()), e.cancelled.clone());
        let all: Vec<_> = self.book().entries().map(of).collect();
        for (leash, token) in all {
            if let Some(leash) = leash {
                leash.context.cancel(Cancelled::Stopping);
            }
            token.cancel();
        }
    }

    /// Cancels every run when dropped: the worker was abandoned, nobody waits for verdicts any more.
    pub(crate) fn cancel_on_drop(self: &Arc<Self>) -> CancelOnDrop {
        CancelOnDrop(Arc::clone(self))
    }

    /// Gives back everything that has no verdict yet.
    pub(crate) fn return_all(&self) {
        let entries = self.book().drain();
        for entry in entries {
            self.give_back(entry);
        }
    }

    /// What is to be told of next; of nothing, [`begun`](Self::begun) tells when that changes.
    pub(crate) fn look(&self) -> Next {
        self.book().look()
    }

    /// Whether a run is to be told of at once; unlike [`look`](Self::look) it changes nothing.
    pub(crate) fn any_at_once(&self) -> bool {
        self.book().any_at_once()
    }

    /// Rings when a run is to be told of at once, or when there was none at all.
    pub(crate) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Rings when something is to be done about a run sooner than before.
    pub(crate) async fn watchdog_rung(&self) {
        self.sooner.notified().await;
    }

    pub(crate) fn ring_watchdog(&self) {
        self.sooner.notify_one();
    }

    /// Takes up to `most` runs to be told of: those to be told of at once, those that run since `until` or longer, and those
    /// that have got further.
    pub(crate) fn untold(self: &Arc<Self>, until: Instant, most: usize) -> Vec<Round> {
        let mut rounds: HashMap<QueueName, Round> = HashMap::new();
        let now = instant::now();
        let mut book = self.book();
        for _ in 0..most {
            let Some((key, entry)) = book.next_untold(until, now) else {
                break;
            };
            let Some(run) = entry.run.clone() else {
                continue;
            };
            let before = std::mem::replace(&mut entry.telling, Telling::UnderWay);
            rounds
                .entry(run.queue.clone())
                .or_insert_with(|| Round::new(Arc::clone(self), run.queue.clone()))
                .add(key, run, before);
        }
        drop(book);
        rounds.into_values().collect()
    }

    /// A run's telling is over: what has ended meanwhile gets its verdict now. `again`: its record is still to be written.
    pub(crate) fn telling_over(&self, key: Key, telling: Telling, again: bool) {
        let mut book = self.book();
        let Some(entry) = book.get_mut(key) else {
            return;
        };
        entry.telling = telling;
        if let Some(verdict) = entry.parked.take() {
            let entry = book.remove(key);
            drop(book);
            if let Some(entry) = entry {
                self.hand_over(entry, *verdict);
            }
        } else if again {
            book.again(key);
        }
    }

    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Settles a run without it: what it answers later counts for nothing. Says whether the verdict counts; `None`: it
    /// had one.
    pub(crate) fn settle_as_stray(&self, key: Key, verdict: Verdict, stray: Stray) -> Option<bool> {
        let mut book = self.book();
        book.cut_and_running(key)?;
        book.strays_off(key, stray);
        Some(self.conclude(book, key, verdict))
    }

    fn settle(&self, key: Key, verdict: Verdict) -> Settlement {
        let mut book = self.book();
        if let Some(stray) = book.stray_ends(key) {
            drop(book);
            report::stray_ended(&stray);
            return Settlement::CutOff;
        }
        if self.conclude(book, key, verdict) {
            Settlement::Counts
        } else {
            Settlement::Void
        }
    }

    /// The slot is free from here on, and the verdict on its way, unless its run is being told of.
    fn conclude(&self, mut book: MutexGuard<'_, Book>, key: Key, verdict: Verdict) -> bool {
        let Some(entry) = book.get_mut(key) else {
            return false;
        };
        let slot = entry.slot.take();
        if entry.telling == Telling::UnderWay && !entry.lost.is_cancelled() {
            entry.parked = Some(Box::new(verdict));
            book.ends(key);
            drop(book);
            drop(slot);
            return true;
        }
        let entry = book.remove(key);
        drop(book);
        drop(slot);
        entry.is_some_and(|entry| self.hand_over(entry, verdict))
    }

    /// Without a verdict of its run.
    fn give_back(&self, mut entry: Entry) {
        let receipt = entry.receipt;
        let verdict = match (entry.parked.take(), &entry.run) {
            (Some(parked), _) => *parked,
            (None, Some(run)) => run.call(&self.node).cut().verdict(receipt),
            // It never got to run: what it says is not known here.
            (None, None) => Verdict {
                receipt,
                end: End::Return,
                record: None,
                event: None,
            },
        };
        self.hand_over(entry, verdict);
    }

    fn hand_over(&self, entry: Entry, mut verdict: Verdict) -> bool {
        if entry.lost.is_cancelled() {
            self.count_lost(1);
            return false;
        }
        self.tally.ends(&verdict);
        if let Some(event) = &mut verdict.event
            && matches!(entry.telling, Telling::Done | Telling::UnderWay)
        {
            (event.received, event.started) = (None, None);
        }
        let settled = Settled {
            verdict,
            room: entry.room,
        };
        let finishers = self.finishers.read();
        let handed = finishers
            .unwrap_or_else(PoisonError::into_inner)
            .get(&entry.queue)
            .is_some_and(|finisher| finisher.try_send(settled).is_ok());
        if !handed {
            tracing::error!(
                queue = %entry.queue,
                "a verdict found no finisher; its message comes back when this worker stops"
            );
        }
        handed
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        // No code that can panic runs under the lock.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProgressSink for Ledger {
    fn has_news(&self, of: RunKey) {
        let ring = self.book().has_news(of.into());
        if ring {
            self.begun.notify_one();
        }
    }
}

/// See [`Ledger::cancel_on_drop`].
#[derive(Debug)]
pub(crate) struct CancelOnDrop(Arc<Ledger>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel_all();
    }
}

/// The right to settle one delivery. Dropped without a verdict (a bug, or the runtime ends), it gives the message back.
#[derive(Debug)]
pub(crate) struct Held {
    ledger: Arc<Ledger>,
    key: Key,
    cancelled: CancellationToken,
    open: bool,
}

impl Held {
    /// Fires when the run no longer counts.
    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Where the run's progress goes.
    pub(crate) fn heard(&self) -> Heard {
        Heard {
            by: Arc::clone(&self.ledger) as Arc<dyn ProgressSink>,
            as_of: self.key.into(),
        }
    }

    pub(crate) fn receipt(&self) -> Receipt {
        self.key.receipt()
    }

    /// Whether it was revoked since it was claimed, before it began.
    pub(crate) fn is_revoked(&self) -> bool {
        let mut book = self.ledger.book();
        book.get_mut(self.key).is_some_and(|e| e.revoked)
    }

    /// Why the run was cut off, if it was.
    pub(crate) fn cutoff(&self) -> Option<Cutoff> {
        self.ledger.book().get_mut(self.key)?.cutoff
    }

    /// Hands the verdict over.
    pub(crate) fn settle(mut self, verdict: Verdict) -> Settlement {
        self.open = false;
        self.ledger.settle(self.key, verdict)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.open {
            let mut book = self.ledger.book();
            book.stray_ends(self.key);
            let entry = book.remove(self.key);
            drop(book);
            if let Some(entry) = entry {
                self.ledger.give_back(entry);
            }
        }
    }
}

#[cfg(test)]
impl Run {
    /// A run that has begun.
    pub(crate) fn of(message: Message, limits: TimeLimits) -> Self {
        static T: TaskDef = TaskDef::new("t", &[], |_, _| unreachable!("it is not run"));
        let queue = QueueName::default();
        let around = Surroundings::new(queue.clone(), "w@test");
        Self {
            queue,
            crashes: 0,
            received: 1,
            began: Began::now(),
            leash: Leash {
                def: &T,
                context: taskq_core::Context::new(&message, around),
                limits,
                droppable: true,
            },
            message: Arc::new(message),
        }
    }
}
