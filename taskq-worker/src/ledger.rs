//! The ledger: every delivery this process holds, from its claim until the broker has acknowledged its verdict.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use taskq_core::broker::{Delivery, End, Receipt, Verdict};
use taskq_core::{Message, QueueName, Record};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::tally::Tally;

/// Verdicts that may wait for their acknowledgement beside those of running tasks.
const UNACKNOWLEDGED: usize = 512;

/// Who takes a delivery's entry out settles it: once, by the run that ended or by the stop that gives it back.
#[derive(Debug)]
pub(crate) struct Ledger {
    entries: Mutex<HashMap<Receipt, Entry>>,
    room: Arc<Semaphore>,
    size: usize,
    finishers: HashMap<QueueName, mpsc::Sender<Settled>>,
    lost: AtomicU64,
    tally: Tally,
}

#[derive(Debug)]
struct Entry {
    queue: QueueName,
    lost: CancellationToken,
    cancelled: CancellationToken,
    room: OwnedSemaphorePermit,
    run: Option<Run>,
}

/// A task function under way.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) message: Arc<Message>,
    pub(crate) queue: QueueName,
    pub(crate) started_ms: u64,
    pub(crate) started: Instant,
}

/// A verdict on its way to the broker. Its room in the ledger is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Settled {
    verdict: Verdict,
    room: OwnedSemaphorePermit,
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
    /// A ledger for `slots` tasks at once, and what each queue's finisher receives from.
    pub(crate) fn new(
        slots: usize,
        queues: &[QueueName],
        tally: Tally,
    ) -> (Self, Vec<(QueueName, mpsc::Receiver<Settled>)>) {
        let size = slots + UNACKNOWLEDGED;
        let mut finishers = HashMap::new();
        let mut receivers = Vec::new();
        for queue in queues {
            // Every verdict in the channel has its room in the ledger: it is never full.
            let (send, receive) = mpsc::channel(size);
            finishers.insert(queue.clone(), send);
            receivers.push((queue.clone(), receive));
        }
        let ledger = Self {
            entries: Mutex::default(),
            room: Arc::new(Semaphore::new(size)),
            size,
            finishers,
            lost: AtomicU64::new(0),
            tally,
        };
        (ledger, receivers)
    }

    /// Room for deliveries; each claim needs one permit per message.
    pub(crate) fn room(&self) -> &Arc<Semaphore> {
        &self.room
    }

    /// Enters a delivery.
    pub(crate) fn enter(self: &Arc<Self>, delivery: &Delivery, room: OwnedSemaphorePermit) -> Held {
        let cancelled = delivery.lost.child_token();
        let entry = Entry {
            queue: delivery.queue.clone(),
            lost: delivery.lost.clone(),
            cancelled: cancelled.clone(),
            room,
            run: None,
        };
        self.entries().insert(delivery.receipt, entry);
        Held {
            ledger: Arc::clone(self),
            receipt: delivery.receipt,
            cancelled,
            open: true,
        }
    }

    /// What runs right now, longest first.
    pub(crate) fn running(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = self
            .entries()
            .values()
            .filter_map(|e| e.run.clone())
            .collect();
        runs.sort_by_key(|r| r.started);
        runs
    }

    /// Deliveries without a verdict.
    pub(crate) fn open(&self) -> usize {
        self.entries().len()
    }

    /// Deliveries whose verdict is not acknowledged, those without one included.
    pub(crate) fn unsettled(&self) -> usize {
        self.size - self.room.available_permits()
    }

    /// Waits until all is acknowledged. Nothing must be claimed meanwhile.
    pub(crate) async fn settled(&self) {
        let all = u32::try_from(self.size).unwrap_or(u32::MAX);
        // An error would mean a closed semaphore; this one never is.
        drop(self.room.acquire_many(all).await);
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
        let tokens: Vec<_> = self
            .entries()
            .values()
            .map(|e| e.cancelled.clone())
            .collect();
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
        let entries: Vec<_> = self.entries().drain().collect();
        for (receipt, entry) in entries {
            self.hand_over(receipt, entry, End::Return, None);
        }
    }

    fn settle(&self, receipt: Receipt, end: End, record: Option<Record>) -> bool {
        let entry = self.entries().remove(&receipt);
        let Some(entry) = entry else { return false };
        self.hand_over(receipt, entry, end, record)
    }

    fn hand_over(&self, receipt: Receipt, entry: Entry, end: End, record: Option<Record>) -> bool {
        if entry.lost.is_cancelled() {
            self.count_lost(1);
            return false;
        }
        self.tally.ends(&end);
        let settled = Settled {
            verdict: Verdict {
                receipt,
                end,
                record,
                event: None,
            },
            room: entry.room,
        };
        let handed = self
            .finishers
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

    fn entries(&self) -> MutexGuard<'_, HashMap<Receipt, Entry>> {
        // No code that can panic runs under the lock.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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
    receipt: Receipt,
    cancelled: CancellationToken,
    open: bool,
}

impl Held {
    /// Fires when the run no longer counts.
    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// The task's function starts.
    pub(crate) fn runs(&self, run: Run) {
        self.ledger.tally.begins(&run.message.task);
        if let Some(entry) = self.ledger.entries().get_mut(&self.receipt) {
            entry.run = Some(run);
        }
    }

    /// Hands the verdict over; false when it can not count any more: lost, or given back by the stop.
    pub(crate) fn settle(mut self, end: End, record: Option<Record>) -> bool {
        self.open = false;
        self.ledger.settle(self.receipt, end, record)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.open {
            self.ledger.settle(self.receipt, End::Return, None);
        }
    }
}
