//! Who waits for which records; each leaves with its watch.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use crate::broker::{Wanted, Watch};
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};
use crate::record::Record;

/// One watch waits for at most this many.
const MAX_WANTED: usize = 10_000;

/// All watches together wait for at most this many.
const MAX_WAITING: usize = 1_000_000;

/// So often what is awaited is read again: what turns REVOKED with time rings for nobody.
const READ_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Waiters {
    by_id: HashMap<TaskId, Vec<Wait>>,
    waiting: usize,
}

/// One task that one watch waits for.
#[derive(Debug)]
struct Wait {
    /// `None`: whichever queue it is.
    queue: Option<QueueName>,
    waiter: Arc<Waiter>,
}

#[derive(Debug, Default)]
struct Waiter {
    bell: Notify,
    /// What became final, and is not looked at yet. No id comes twice: ringing ends the wait.
    rung: Mutex<Vec<TaskId>>,
}

impl Waiters {
    /// To be called for each record that became final.
    pub(super) fn ring(&mut self, id: TaskId, queue: &QueueName) {
        let Some(all) = self.by_id.get_mut(&id) else {
            return;
        };
        let before = all.len();
        all.retain(
            |Wait {
                 queue: wanted,
                 waiter,
             }| {
                let other = wanted.as_ref().is_some_and(|wanted| wanted != queue);
                if !other {
                    lock(&waiter.rung).push(id);
                    waiter.bell.notify_one();
                }
                other
            },
        );
        self.waiting -= before - all.len();
        if all.is_empty() {
            self.by_id.remove(&id);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.waiting == 0
    }

    fn add(&mut self, id: TaskId, queue: Option<QueueName>, waiter: &Arc<Waiter>) {
        self.by_id.entry(id).or_default().push(Wait {
            queue,
            waiter: waiter.clone(),
        });
        self.waiting += 1;
    }

    fn remove(&mut self, id: TaskId, waiter: &Arc<Waiter>) {
        let Some(all) = self.by_id.get_mut(&id) else {
            return;
        };
        let before = all.len();
        all.retain(|other| !Arc::ptr_eq(&other.waiter, waiter));
        self.waiting -= before - all.len();
        if all.is_empty() {
            self.by_id.remove(&id);
        }
    }
}

/// Waits for final records.
pub(super) struct MemoryWatch {
    shared: Arc<Shared>,
    waiter: Arc<Waiter>,
    /// What is not answered yet, and where to look for it.
    pending: HashMap<TaskId, Option<QueueName>>,
    /// What is worth a look.
    candidates: VecDeque<TaskId>,
    until: Instant,
    read_again: Instant,
}

impl MemoryWatch {
    pub(super) fn new(
        shared: &Arc<Shared>,
        wanted: Vec<Wanted>,
        within: Duration,
    ) -> Result<Self, Error> {
        if wanted.len() > MAX_WANTED {
            return Err(Error::invalid(format!(
                "{} tasks are too many for one watch: wait for at most {MAX_WANTED} at once",
                wanted.len()
            )));
        }
        let mut pending = HashMap::new();
        for Wanted { id, queue } in wanted {
            // Wanted of two queues it is looked for everywhere.
            pending
                .entry(id)
                .and_modify(|known| {
                    if *known != queue {
                        *known = None;
                    }
                })
                .or_insert(queue.clone());
        }
        let now = Instant::now();
        let waiter = Arc::new(Waiter::default());
        let mut store = shared.lock();
        if store.waiters.waiting + pending.len() > MAX_WAITING {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("more than {MAX_WAITING} tasks are waited for: drop a watch"),
            ));
        }
        for (id, queue) in &pending {
            store.waiters.add(*id, queue.clone(), &waiter);
        }
        drop(store);
        Ok(Self {
            shared: shared.clone(),
            waiter,
            candidates: pending.keys().copied().collect(),
            pending,
            // A wait beyond what the clock can tell is a wait without end.
            until: now
                .checked_add(within)
                .unwrap_or_else(|| now + Duration::from_secs(86_400 * 365)),
            read_again: now + READ_AGAIN,
        })
    }

    /// The next candidate that is final.
    fn look(&mut self) -> Option<Record> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        self.candidates.extend(lock(&self.waiter.rung).drain(..));
        while let Some(id) = self.candidates.pop_front() {
            let Some(queue) = self.pending.get(&id) else {
                continue;
            };
            if let Some(record) = store.final_record(id, queue.as_ref(), now) {
                self.pending.remove(&id);
                store.waiters.remove(id, &self.waiter);
                return Some(record);
            }
        }
        None
    }

    fn look_at_all_again(&mut self) {
        self.candidates = self.pending.keys().copied().collect();
        self.read_again = Instant::now() + READ_AGAIN;
    }
}

#[async_trait]
impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<Option<Record>, Error> {
        let shared = self.shared.clone();
        let waiter = self.waiter.clone();
        loop {
            // Armed before the look: a clock that is moved between look and wait is not missed.
            let mut moved = std::pin::pin!(shared.moved.notified());
            moved.as_mut().enable();
            // Asked before the look: the last look is at the end of the time, not before it.
            let over = Instant::now() >= self.until;
            if over {
                self.look_at_all_again();
            }
            if let Some(record) = self.look() {
                return Ok(Some(record));
            }
            if over || self.pending.is_empty() {
                return Ok(None);
            }
            tokio::select! {
                () = waiter.bell.notified() => {}
                () = moved => self.look_at_all_again(),
                () = sleep_until(self.until.min(self.read_again)) => self.look_at_all_again(),
            }
        }
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        let mut store = self.shared.lock();
        for id in self.pending.keys() {
            store.waiters.remove(*id, &self.waiter);
        }
    }
}

fn lock(rung: &Mutex<Vec<TaskId>>) -> std::sync::MutexGuard<'_, Vec<TaskId>> {
    rung.lock().unwrap_or_else(PoisonError::into_inner)
}
