//! One consumer: a session at each of its queues.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::store::{Store, reopen};
use super::{BATCH_LIMIT, Shared};
use crate::broker::shares;
use crate::broker::{Consumer, Delivery, Finished, Order, Served, Start, Swept, Verdict};
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;

/// A claim waits at most this long, whatever it was asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct MemoryConsumer {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    /// The node name that its events carry.
    pub(super) node: Arc<str>,
    /// Locked before the store.
    queues: Mutex<Vec<Taken>>,
    order: Order,
    /// The shortest lease in force.
    lease_ms: AtomicU64,
    retired: AtomicBool,
}

/// A queue that the consumer takes from, or did.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) served: Served,
    /// Nothing more is taken; what is held runs to its verdict.
    leaves: bool,
    /// Whose turn it is: see [`shares`].
    pub(super) pass: u64,
}

impl From<Served> for Taken {
    fn from(served: Served) -> Self {
        Self {
            served,
            leaves: false,
            pass: 0,
        }
    }
}

impl Taken {
    /// Its pass once so many messages more were taken.
    pub(super) fn pass_after(&self, taken: u64) -> u64 {
        self.pass + shares::stride(self.served.weight) * taken
    }
}

impl MemoryConsumer {
    pub(super) fn new(
        shared: Arc<Shared>,
        (number, lease_ms): (u64, u64),
        node: Arc<str>,
        queues: Vec<Served>,
        order: Order,
    ) -> Self {
        Self {
            shared,
            number,
            node,
            queues: Mutex::new(queues.into_iter().map(Taken::from).collect()),
            order,
            lease_ms: AtomicU64::new(lease_ms),
            retired: AtomicBool::new(false),
        }
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    fn queues(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease_ms(&self) -> u64 {
        self.lease_ms.load(Ordering::Relaxed)
    }

    /// Closes the sessions of queues that were left and of which nothing is held, and forgets them.
    fn part(&self, queues: &mut Vec<Taken>, store: &mut Store, now: u64) {
        queues.retain(|taken| {
            let name = &taken.served.queue;
            let session = store.queues.get(name);
            let session = session.and_then(|queue| queue.sessions.get(&self.number));
            let stays = !taken.leaves || session.is_some_and(|s| !s.held.is_empty());
            if !stays {
                store.close(self.number, &self.node, name, now);
            }
            stays
        });
    }

    /// Claims at once; else says when the next message is due, if that comes by itself.
    fn try_claim(&self, max: usize) -> Result<Vec<Delivery>, Option<Instant>> {
        let now = self.shared.clock.now_ms();
        let mut queues = self.queues();
        let mut store = self.shared.lock();
        // Asked under the lock: a claim beside `retire` must not open a session that would be charged.
        if self.is_retired() {
            return Ok(Vec::new());
        }
        self.part(&mut queues, &mut store, now);
        let all = queues.iter().map(|taken| &taken.served.queue);
        let permit = store.has_permit(self.number, all);
        let mut taken: Vec<&mut Taken> = queues.iter_mut().filter(|t| !t.leaves).collect();
        let lease_ms = self.lease_ms();
        let got = store.claim(
            self.number,
            lease_ms,
            &mut taken,
            self.order,
            max,
            permit,
            now,
        );
        if !got.is_empty() {
            return Ok(got);
        }
        let due = taken
            .iter()
            .filter_map(|t| store.queues.get(&t.served.queue)?.next_due());
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
        let now = self.shared.clock.now_ms();
        let mut queues = self.queues();
        let mut store = self.shared.lock();
        let finished = store.finish(self.number, &self.node, queue, verdicts, now);
        self.part(&mut queues, &mut store, now);
        drop((store, queues));
        self.shared.bell.notify_waiters();
        Ok(finished)
    }

    async fn started(&self, queue: &QueueName, runs: Vec<Start>) -> Result<(), Error> {
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
        let mut queues = self.queues();
        let mut store = self.shared.lock();
        self.part(&mut queues, &mut store, now);
        for taken in &*queues {
            if let Some(queue) = store.queues.get_mut(&taken.served.queue) {
                if self.is_retired() && !queue.sessions.contains_key(&self.number) {
                    continue;
                }
                reopen(queue, self.number, self.lease_ms(), now).beat(now);
            }
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        let now = self.shared.clock.now_ms();
        let mut all = Swept::default();
        let queues = self.queues();
        let mut store = self.shared.lock();
        for taken in &*queues {
            let swept = store.sweep(self.number, &self.node, &taken.served.queue, now);
            all.returned += swept.returned;
            all.dead += swept.dead;
        }
        store.expire(now);
        drop((store, queues));
        self.shared.bell.notify_waiters();
        Ok(all)
    }

    async fn retire(&self) -> Result<(), Error> {
        let queues = self.queues();
        let mut store = self.shared.lock();
        self.retired.store(true, Ordering::SeqCst);
        for taken in &*queues {
            let session = store.queues.get_mut(&taken.served.queue);
            if let Some(s) = session.and_then(|q| q.sessions.get_mut(&self.number)) {
                s.retired = true;
            }
        }
        drop((store, queues));
        self.shared.bell.notify_waiters();
        Ok(())
    }

    async fn close(&self) -> Result<(), Error> {
        let now = self.shared.clock.now_ms();
        let queues = self.queues();
        let mut store = self.shared.lock();
        self.retired.store(true, Ordering::SeqCst);
        for taken in &*queues {
            store.close(self.number, &self.node, &taken.served.queue, now);
        }
        drop((store, queues));
        self.shared.bell.notify_waiters();
        Ok(())
    }

    async fn attach(&self, served: Served) -> Result<(), Error> {
        let now = self.shared.clock.now_ms();
        let mut queues = self.queues();
        if self.is_retired() {
            return Err(Error::new(
                ErrorKind::Refused,
                "this consumer has begun to stop: it takes from no more queues",
            ));
        }
        let there = queues.iter_mut().find(|t| t.served.queue == served.queue);
        if let Some(taken) = there {
            *taken = Taken {
                served,
                leaves: false,
                pass: taken.pass,
            };
        } else {
            let mut store = self.shared.lock();
            let lease_ms = store.join(self.number, &served.queue, self.lease_ms(), now)?;
            self.lease_ms.fetch_min(lease_ms, Ordering::Relaxed);
            queues.push(Taken::from(served));
        }
        drop(queues);
        self.shared.bell.notify_waiters();
        Ok(())
    }

    async fn detach(&self, queue: &QueueName) -> Result<bool, Error> {
        let now = self.shared.clock.now_ms();
        let mut queues = self.queues();
        let mut taken = queues.iter_mut();
        let Some(taken) = taken.find(|t| t.served.queue == *queue && !t.leaves) else {
            return Ok(false);
        };
        taken.leaves = true;
        self.part(&mut queues, &mut self.shared.lock(), now);
        Ok(true)
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms())
    }
}
