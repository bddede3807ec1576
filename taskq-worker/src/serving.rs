//! What the worker takes from, and how many tasks it runs at once: both may change while it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use taskq_core::QueueName;
use taskq_core::broker::{Order, Served};
use tokio::sync::Notify;

use crate::config::Config;
use crate::permits::Permits;

/// See the module.
#[derive(Debug)]
pub(crate) struct Serving {
    queues: Mutex<Vec<Served>>,
    order: Order,
    slots: Permits,
    /// So many plain functions run at once at most, where that is known.
    threads: Option<usize>,
    /// The stop has begun: nothing is taken any more.
    stops: AtomicBool,
    /// Rings for the registration.
    changed: Notify,
}

impl Serving {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            queues: Mutex::new(config.queues.clone()),
            order: config.order,
            slots: Permits::new(config.slots),
            threads: config.threads,
            stops: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// The queues with their weights, in their order.
    pub(crate) fn queues(&self) -> Vec<Served> {
        self.all().clone()
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<QueueName> {
        self.all().iter().map(|s| s.queue.clone()).collect()
    }

    pub(crate) fn order(&self) -> Order {
        self.order
    }

    /// One for each task that runs.
    pub(crate) fn slots(&self) -> &Permits {
        &self.slots
    }

    /// So many plain functions run at once at most, where that is known.
    pub(crate) fn threads(&self) -> Option<usize> {
        self.threads
    }

    /// Takes note of a queue that came in addition; one that is there gets its new weight. What its weight was.
    pub(crate) fn add(&self, served: Served) -> Option<u32> {
        let mut all = self.all();
        let there = all.iter_mut().find(|s| s.queue == served.queue);
        let before = match there {
            Some(there) => Some(std::mem::replace(&mut there.weight, served.weight)),
            None => {
                all.push(served);
                None
            }
        };
        drop(all);
        self.changed.notify_one();
        before
    }

    /// Takes note of a queue that was left. Whether it was there.
    pub(crate) fn remove(&self, queue: &QueueName) -> bool {
        let mut all = self.all();
        let before = all.len();
        all.retain(|s| s.queue != *queue);
        let there = all.len() < before;
        drop(all);
        self.changed.notify_one();
        there
    }

    /// Changes the number of slots.
    pub(crate) fn resize(&self, slots: usize) {
        self.slots.resize(slots);
        self.changed.notify_one();
    }

    /// Takes note that the stop has begun.
    pub(crate) fn stop(&self) {
        self.stops.store(true, Ordering::SeqCst);
        self.changed.notify_one();
    }

    /// Whether the stop has begun.
    pub(crate) fn stops(&self) -> bool {
        self.stops.load(Ordering::SeqCst)
    }

    /// Returns when something has changed since the last time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn all(&self) -> MutexGuard<'_, Vec<Served>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The queues as `-Q` names them: with their weights where these say something.
pub(crate) fn shown(queues: &[Served]) -> String {
    let weighted = queues.iter().any(|s| s.weight != 1);
    let one = |s: &Served| match weighted {
        true => format!("{}={}", s.queue, s.weight),
        false => s.queue.to_string(),
    };
    queues.iter().map(one).collect::<Vec<_>>().join(", ")
}
