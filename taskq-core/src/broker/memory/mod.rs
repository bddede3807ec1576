//! The broker inside one process: for tests, examples and small tools. Nothing survives the process.
//!
//! It keeps the same promises as every broker (the conformance suite is run over it) by plain means: one lock
//! around one store, where Redis needs numbered calls because a call or its answer may get lost on the wire.

mod clock;
mod control;
mod fleet;

mod consumer;
mod dead;
mod events;
mod find;
mod finish;
mod give;
mod once;
mod purge;
mod queue;
mod reads;
mod records;
mod replay;
mod revoked;
mod session;
mod store;
mod stream;
mod waiters;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod wakeups;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Notify, broadcast};

use self::clock::{Clock, ceil_ms};
use self::consumer::MemoryConsumer;
use self::store::Store;
use super::marked::Marked;
use super::outgoing::BATCH_LIMIT;
use super::{Accepted, Broker, Consumer, ConsumerOptions, Outgoing, Served};
use crate::control::Request;
use crate::error::Error;
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};

const DAY_MS: u64 = 24 * 3_600_000;

/// What a foreign producer pushes may be too large to be read, within reason.
const RAW_LIMIT: usize = 16 << 20;

/// A broker inside this process. Cheap to clone; clones are the same broker.
///
/// It holds at most 1,000,000 messages of 1 GiB together in 1,000 queues; beyond that it refuses at once. So it does
/// beyond 100,000 idempotency keys in a queue. Of each queue's events it keeps a day, 10,000 or 8 MiB, whatever is least.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use taskq_core::broker::memory::MemoryBroker;
/// use taskq_core::broker::{Broker, ConsumerOptions, Due, Order, Outgoing};
/// use taskq_core::{Error, Message, QueueName};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
/// let broker = MemoryBroker::with_still_clock();
/// let queue = QueueName::default();
/// let message = Message::new("greet");
/// let later = Outgoing {
///     id: message.id,
///     body: message.encode()?.into(),
///     priority: 0,
///     due: Due::In(Duration::from_secs(3600)),
///     record: None,
///     once: None,
///     event: None,
/// };
/// broker.enqueue(&queue, &[later], Duration::from_secs(3)).await?;
///
/// let options = ConsumerOptions { queues: vec![queue.into()], order: Order::default(), lease: Duration::from_secs(10), node: "w1".into() };
/// let consumer = broker.consume(options).await?;
/// assert!(consumer.claim(1, Duration::ZERO).await?.is_empty());
/// broker.advance(Duration::from_secs(3600));
/// assert_eq!(consumer.claim(1, Duration::ZERO).await?.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

struct Shared {
    store: Mutex<Store>,
    clock: Clock,
    /// New with each broker: positions in the events of another are not ours.
    id: TaskId,
    /// Rung whenever a waiting claim, or a waiting reader of events, may find something.
    bell: Notify,
    /// Rung when the clock is moved: records turn REVOKED by time alone.
    moved: Notify,
    questions: broadcast::Sender<Request>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl MemoryBroker {
    /// An empty broker whose clock runs.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::running())
    }

    /// An empty broker whose clock moves only by [`advance`](Self::advance): for tests that must not wait.
    #[must_use]
    pub fn with_still_clock() -> Self {
        Self::with_clock(Clock::still())
    }

    /// The broker called `name` in this process; a new one when nobody holds it any more.
    #[must_use]
    pub fn named(name: &str) -> Self {
        static NAMED: Mutex<BTreeMap<String, Weak<Shared>>> = Mutex::new(BTreeMap::new());
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        named.retain(|_, broker| broker.strong_count() > 0);
        if let Some(shared) = named.get(name).and_then(Weak::upgrade) {
            return Self { shared };
        }
        let new = Self::new();
        named.insert(name.to_owned(), Arc::downgrade(&new.shared));
        new
    }

    /// Moves the clock: what is due then becomes ready, and leases, registrations and records age.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
        self.shared.bell.notify_waiters();
        self.shared.moved.notify_waiters();
    }

    /// Puts bytes at the back of a list of `queue` as they are, as a producer that knows nothing of taskq would.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) when the broker is full,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a priority over 9 or more than 16 MiB.
    pub fn push_raw(
        &self,
        queue: &QueueName,
        priority: u8,
        body: impl Into<Bytes>,
    ) -> Result<(), Error> {
        let body = body.into();
        if priority > 9 || body.len() > RAW_LIMIT {
            return Err(Error::invalid(format!(
                "priority {priority} and {} bytes: use a priority from 0 to 9 and at most {RAW_LIMIT} bytes",
                body.len()
            )));
        }
        let message = Marked {
            body,
            priority,
            crashes: 0,
        };
        self.shared.lock().push_raw(queue, message)?;
        self.shared.bell.notify_waiters();
        Ok(())
    }

    fn with_clock(clock: Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                store: Mutex::default(),
                clock,
                id: TaskId::random(),
                bell: Notify::new(),
                moved: Notify::new(),
                questions: broadcast::Sender::new(control::BACKLOG),
            }),
        }
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    /// Needs no `deadline`: it accepts or refuses at once.
    async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        _deadline: Duration,
    ) -> Result<Accepted, Error> {
        let now = self.shared.clock.now_ms();
        let accepted = self.shared.lock().enqueue(queue, batch, now)?;
        self.shared.bell.notify_waiters();
        Ok(accepted)
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error> {
        let ConsumerOptions {
            queues: all,
            order,
            lease,
            node,
        } = options;
        let mut queues: Vec<Served> = Vec::with_capacity(all.len());
        for served in all {
            if queues.iter().all(|q| q.queue != served.queue) {
                queues.push(served);
            }
        }
        if queues.is_empty() || lease.is_zero() {
            return Err(Error::invalid(
                "a consumer needs at least one queue and a lease longer than nothing",
            ));
        }
        let now = self.shared.clock.now_ms();
        let opened = self.shared.lock().open(&queues, ceil_ms(lease), now)?;
        let shared = self.shared.clone();
        Ok(Arc::new(MemoryConsumer::new(
            shared, opened, node, queues, order,
        )))
    }

    async fn register(
        &self,
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl: Duration,
    ) -> Result<(), Error> {
        let now = self.shared.clock.now_ms();
        let mut store = self.shared.lock();
        store.fleet.register(card, tasks, ceil_ms(ttl), now)?;
        drop(store);
        self.shared.bell.notify_waiters();
        Ok(())
    }

    async fn withdraw(&self, worker: &str) -> Result<(), Error> {
        let now = self.shared.clock.now_ms();
        self.shared.lock().fleet.withdraw(worker, now);
        self.shared.bell.notify_waiters();
        Ok(())
    }
}
