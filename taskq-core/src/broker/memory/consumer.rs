//! One consumer: a session at each of its queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::store::reopen;
use super::{BATCH_LIMIT, Shared};
use crate::broker::{Consumer, Delivery, Finished, Start, Swept, Verdict};
use crate::error::Error;
use crate::id::QueueName;

/// A claim waits at most this long, whatever it was asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct MemoryConsumer {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    /// The node name that its events carry.
    pub(super) node: Arc<str>,
    pub(super) queues: Vec<QueueName>,
    pub(super) lease_ms: u64,
    /// Which queue is asked first; moves with each claim, so that no full queue hides another.
    pub(super) turn: AtomicUsize,
    pub(super) retired: AtomicBool,
}

impl MemoryConsumer {
    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    fn in_turn(&self) -> Vec<&QueueName> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.queues.len().max(1);
        let (later, first) = self.queues.split_at(turn);
        first.iter().chain(later).collect()
    }

    fn check_ours(&self, queue: &QueueName) -> Result<(), Error> {
        if self.queues.contains(queue) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "this consumer does not listen at queue {queue}: name the queue that the delivery came from"
        )))
    }

    /// Claims at once; else says when the next message is due, if that comes by itself.
    fn try_claim(&self, max: usize) -> Result<Vec<Delivery>, Option<Instant>> {
        let queues = self.in_turn();
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        // Asked under the lock: a claim beside `retire` must not open a session that would be charged.
        if self.is_retired() {
            return Ok(Vec::new());
        }
        let got = store.claim(self.number, self.lease_ms, &queues, max, now);
        if !got.is_empty() {
            return Ok(got);
        }
        let due = queues
            .iter()
            .filter_map(|q| store.queues.get(*q)?.next_due());
        let wait = due.min().and_then(|due| self.shared.clock.until(due));
        Err(wait.and_then(|wait| Instant::now().checked_add(wait)))
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        loop {
            // Armed before the look: what arrives between look and wait is not missed.
            let mut bell = std::pin::pin!(self.shared.bell.notified());
            bell.as_mut().enable();
            if max == 0 {
                return Ok(Vec::new());
            }
            // From here to the return nothing awaits: a dropped claim has claimed nothing.
            let next_due = match self.try_claim(max) {
                Ok(got) => return Ok(got),
                Err(next_due) => next_due,
            };
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            let until = next_due.map_or(deadline, |due| due.min(deadline));
            // Rung or timed out, it looks again.
            drop(timeout_at(until, bell).await);
        }
    }

    async fn finish(&self, queue: &QueueName, verdicts: Vec<Verdict>) -> Result<Finished, Error> {
        self.check_ours(queue)?;
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        let finished = store.finish(self.number, &self.node, queue, verdicts, now);
        drop(store);
        self.shared.bell.notify_waiters();
        Ok(finished)
    }

    async fn started(&self, queue: &QueueName, runs: Vec<Start>) -> Result<(), Error> {
        self.check_ours(queue)?;
        if runs.len() > BATCH_LIMIT {
            return Err(Error::invalid(format!(
                "{} runs are too many for one call: tell of at most {BATCH_LIMIT} at once",
                runs.len()
            )));
        }
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        store.started(self.number, &self.node, queue, runs, now);
        drop(store);
        self.shared.bell.notify_waiters();
        Ok(())
    }

    async fn beat(&self) -> Result<(), Error> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        for name in &self.queues {
            if let Some(queue) = store.queues.get_mut(name) {
                if self.is_retired() && !queue.sessions.contains_key(&self.number) {
                    continue;
                }
                reopen(queue, self.number, self.lease_ms, now).beat(now);
            }
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        let now = self.shared.clock.now_ms();
        let mut all = Swept::default();
        let mut store = self.shared.lock();
        for name in &self.queues {
            let swept = store.sweep(self.number, &self.node, name, now);
            all.returned += swept.returned;
            all.dead += swept.dead;
        }
        store.expire(now);
        drop(store);
        self.shared.bell.notify_waiters();
        Ok(all)
    }

    async fn retire(&self) -> Result<(), Error> {
        let mut store = self.shared.lock();
        self.retired.store(true, Ordering::SeqCst);
        for name in &self.queues {
            let session = store.queues.get_mut(name);
            if let Some(s) = session.and_then(|q| q.sessions.get_mut(&self.number)) {
                s.retired = true;
            }
        }
        drop(store);
        self.shared.bell.notify_waiters();
        Ok(())
    }

    async fn close(&self) -> Result<(), Error> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        self.retired.store(true, Ordering::SeqCst);
        for name in &self.queues {
            store.close(self.number, &self.node, name, now);
        }
        drop(store);
        self.shared.bell.notify_waiters();
        Ok(())
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}
