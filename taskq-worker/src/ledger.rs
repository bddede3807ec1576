//! The ledger: every delivery this process holds, from its claim until the broker has acknowledged its verdict.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use taskq_core::broker::{Delivery, End, Receipt, Verdict};
use taskq_core::event::Attempt;
use taskq_core::{Message, QueueName, Record};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::book::{Book, Entry, Key, Next, Telling, When};
use crate::config::MOST_SLOTS;
use crate::permits::Permits;
use crate::round::Round;
use crate::tally::Tally;
use crate::verdict::{Began, Call};

/// Verdicts that may wait for their acknowledgement beside those of running tasks.
const UNACKNOWLEDGED: usize = 512;

/// Who takes a delivery's entry out settles it: once, by the run that ended or by the stop that gives it back.
#[derive(Debug)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
    /// Rings for the teller.
    begun: Notify,
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
}

/// A verdict on its way to the broker. Its room in the ledger is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Settled {
    verdict: Verdict,
    room: OwnedSemaphorePermit,
}

impl Run {
    fn call<'a>(&'a self, worker: &'a str) -> Call<'a> {
        Call {
            message: &self.message,
            queue: &self.queue,
            crashes: self.crashes,
            worker,
            received: self.received,
            began: Some(self.began),
        }
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
    pub(crate) fn enter(self: &Arc<Self>, delivery: &Delivery, room: OwnedSemaphorePermit) -> Held {
        let (receipt, queue) = (delivery.receipt, delivery.queue.clone());
        let entry = Entry::new(receipt, queue, delivery.lost.clone(), room);
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

    /// How many functions are under way, and how many have ended.
    pub(crate) fn load(&self) -> (usize, u64) {
        let book = self.book();
        (book.running(), book.processed())
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
        let tokens: Vec<_> = self.book().entries().map(|e| e.cancelled.clone()).collect();
        for token in tokens {
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

    /// Takes up to `most` runs to be told of: those to be told of at once, and those that run since `until` or longer.
    pub(crate) fn untold(self: &Arc<Self>, until: Instant, most: usize) -> Vec<Round> {
        let mut rounds: HashMap<QueueName, Round> = HashMap::new();
        let mut book = self.book();
        for _ in 0..most {
            let Some((key, entry)) = book.next_untold(until) else {
                break;
            };
            let Some(run) = entry.run.clone() else {
                continue;
            };
            let before = std::mem::replace(&mut entry.telling, Telling::UnderWay);
            rounds
                .entry(run.queue.clone())
                .or_insert_with(|| Round::new(Arc::clone(self), run.queue.clone()))
                .add(key, run, before == Telling::No);
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

    fn settle(&self, key: Key, verdict: Verdict) -> bool {
        let mut book = self.book();
        let Some(entry) = book.get_mut(key) else {
            return false;
        };
        if entry.telling == Telling::UnderWay && !entry.lost.is_cancelled() {
            entry.parked = Some(Box::new(verdict));
            book.ends(key);
            return true;
        }
        let entry = book.remove(key);
        drop(book);
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
        self.tally.ends(&verdict.end);
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

    fn book(&self) -> MutexGuard<'_, Book> {
        // No code that can panic runs under the lock.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The task's function starts. False, and it must not: the stop has given its message back already.
    #[must_use]
    pub(crate) fn runs(&self, run: Run) -> bool {
        let message = Arc::clone(&run.message);
        let when = if run.says_started() {
            When::AtOnce
        } else {
            When::IfLong
        };
        let Some(ring) = self.ledger.book().begins(self.key, run, when) else {
            return false;
        };
        self.ledger.tally.begins(&message.task);
        if ring {
            self.ledger.begun.notify_one();
        }
        true
    }

    /// Hands the verdict over; false when it can not count any more: lost, or given back by the stop.
    pub(crate) fn settle(mut self, verdict: impl FnOnce(Receipt) -> Verdict) -> bool {
        self.open = false;
        self.ledger.settle(self.key, verdict(self.key.receipt()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.open {
            let entry = self.ledger.book().remove(self.key);
            if let Some(entry) = entry {
                self.ledger.give_back(entry);
            }
        }
    }
}
