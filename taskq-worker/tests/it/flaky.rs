//! A broker whose calls fail, hang or are counted at the test's will.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{
    Backend, Broker, Consumer, ConsumerOptions, Control, DelayedMessage, Delivery, Depth, Finished,
    Inspect, Requests, Served, Start, Swept, Verdict, Wraps,
};
use taskq_worker::control::{Reply, Request};
use taskq_worker::fleet::{PublishedTask, WorkerCard};
use taskq_worker::revocation::Revocations;
use taskq_worker::{Error, ErrorKind, QueueName};

use crate::bench::until;

/// What is wrong at the moment.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Nobody answers.
    pub(crate) down: AtomicBool,
    /// Beats are answered, but do not arrive.
    pub(crate) deaf_to_beats: AtomicBool,
    /// The next announcement of a stop is not answered.
    pub(crate) deaf_to_retire: AtomicBool,
    /// Sessions do not close.
    pub(crate) never_closes: AtomicBool,
    /// Verdicts are refused for good.
    pub(crate) refuses_verdicts: AtomicBool,
    /// No queue can be added or cancelled.
    pub(crate) refuses_queues: AtomicBool,
    /// A queue that is to be added is not answered.
    pub(crate) hold_queues: AtomicBool,
    /// Calls that were not answered so.
    pub(crate) queues_held: AtomicUsize,
    /// A queue that is cancelled is left, and the answer says that nothing was taken from it.
    pub(crate) denies_queues: AtomicBool,
    /// Claims are not answered.
    pub(crate) hold_claims: AtomicBool,
    /// Verdicts are not acknowledged.
    pub(crate) hold_verdicts: AtomicBool,
    /// Runs that began are told to nobody, though the answer says otherwise.
    pub(crate) deaf_to_starts: AtomicBool,
    /// So many calls that tell of runs find nobody.
    pub(crate) loses_starts: AtomicUsize,
    /// Calls that tell of runs are not answered.
    pub(crate) hold_starts: AtomicBool,
    /// What was to be told of runs under way, in that order, lost calls included.
    pub(crate) starts: Mutex<Vec<Start>>,
    /// The verdicts, in the order in which they came.
    pub(crate) verdicts: Mutex<Vec<Verdict>>,
    /// Each delivery looks as if it had crashed this often.
    pub(crate) crashes: AtomicUsize,
    /// A sweep blocks the thread it is made on.
    pub(crate) blocks: AtomicBool,
    /// A key of this queue has the wrong type: nothing of it can be read.
    pub(crate) unreadable: Mutex<Option<QueueName>>,
    /// What lies in a queue is not told.
    pub(crate) hold_depths: AtomicBool,
    /// Calls that were not told so.
    pub(crate) depths_held: AtomicUsize,
    /// The next claim panics.
    pub(crate) panics: AtomicBool,
    /// Calls that nobody answered.
    pub(crate) refused: AtomicUsize,
    /// The lease in force, ms; 0 is the one that was asked for.
    pub(crate) lease_ms: AtomicU64,
    /// How long the last registration was to stand, ms.
    pub(crate) registered_ms: AtomicU64,
    pub(crate) beats: AtomicUsize,
    pub(crate) sweeps: AtomicUsize,
    pub(crate) claims: AtomicUsize,
    pub(crate) most_claimed: AtomicUsize,
    pub(crate) retired: AtomicUsize,
    pub(crate) published: AtomicUsize,
    pub(crate) claims_before_published: AtomicUsize,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Flaky {
    pub(crate) inner: MemoryBroker,
    pub(crate) faults: Arc<Faults>,
}

impl Flaky {
    pub(crate) fn new(inner: MemoryBroker) -> Self {
        Self {
            inner,
            faults: Arc::default(),
        }
    }
}

impl Faults {
    /// Nobody answers from here on; returns when calls have met that.
    pub(crate) async fn go_down(&self) {
        let before = self.refused.load(Ordering::SeqCst);
        self.down.store(true, Ordering::SeqCst);
        until(async || (self.refused.load(Ordering::SeqCst) > before + 2).then_some(())).await;
    }

    /// What was to be told of runs under way, so far.
    pub(crate) fn starts(&self) -> Vec<Start> {
        self.starts.lock().unwrap().clone()
    }

    /// The verdicts so far.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        self.verdicts.lock().unwrap().clone()
    }

    pub(crate) fn come_back(&self) {
        self.down.store(false, Ordering::SeqCst);
    }

    fn reach_queues(&self) -> Result<(), Error> {
        if self.refuses_queues.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Refused, "nobody at test:1"));
        }
        self.reach()
    }

    fn read(&self, queue: &QueueName) -> Result<(), Error> {
        match &*self.unreadable.lock().unwrap() {
            Some(unreadable) if unreadable == queue => {
                Err(Error::new(ErrorKind::WrongType, "a string, not a list"))
            }
            _ => Ok(()),
        }
    }

    fn reach(&self) -> Result<(), Error> {
        if self.down.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Unreachable, "nobody at test:1"));
        }
        Ok(())
    }
}

#[async_trait]
impl Wraps for Flaky {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error> {
        self.faults.reach()?;
        Ok(Arc::new(FlakyConsumer {
            inner: self.inner.consume(options).await?,
            faults: Arc::clone(&self.faults),
        }))
    }

    async fn register(
        &self,
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl: Duration,
    ) -> Result<(), Error> {
        self.faults.reach()?;
        if !tasks.is_empty() {
            self.faults.published.fetch_add(1, Ordering::SeqCst);
        }
        let ms = u64::try_from(ttl.as_millis()).unwrap();
        assert_eq!(ms, card.lease_ms, "the card says how long it stands");
        self.faults.registered_ms.store(ms, Ordering::SeqCst);
        self.inner.register(card, tasks, ttl).await
    }

    async fn withdraw(&self, worker: &str) -> Result<(), Error> {
        self.faults.reach()?;
        self.inner.withdraw(worker).await
    }

    async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        self.faults.reach()?;
        self.inner.workers().await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, Error> {
        if self.faults.hold_depths.load(Ordering::SeqCst) {
            self.faults.depths_held.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        self.faults.read(queue)?;
        self.inner.depth(queue).await
    }

    async fn delayed(&self, queue: &QueueName, limit: usize) -> Result<Vec<DelayedMessage>, Error> {
        self.faults.read(queue)?;
        self.inner.delayed(queue, limit).await
    }

    async fn revoked(&self, queue: &QueueName) -> Result<Arc<Revocations>, Error> {
        self.faults.read(queue)?;
        self.inner.revoked(queue).await
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        self.faults.reach()?;
        self.inner.listen().await
    }

    async fn reply(&self, request: &Request, reply: Reply) -> Result<(), Error> {
        self.faults.reach()?;
        self.inner.reply(request, reply).await
    }
}

#[derive(Debug)]
struct FlakyConsumer {
    inner: Arc<dyn Consumer>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Consumer for FlakyConsumer {
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let faults = &self.faults;
        faults.reach()?;
        assert!(!faults.panics.load(Ordering::SeqCst), "the claim's bug");
        if faults.published.load(Ordering::SeqCst) == 0 {
            faults
                .claims_before_published
                .fetch_add(1, Ordering::SeqCst);
        }
        faults.claims.fetch_add(1, Ordering::SeqCst);
        faults.most_claimed.fetch_max(max, Ordering::SeqCst);
        let mut deliveries = self.inner.claim(max, wait).await?;
        while faults.hold_claims.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for delivery in &mut deliveries {
            let crashes = faults.crashes.load(Ordering::SeqCst);
            delivery.crashes = delivery.crashes.max(u8::try_from(crashes).unwrap());
        }
        Ok(deliveries)
    }

    async fn finish(&self, queue: &QueueName, verdicts: Vec<Verdict>) -> Result<Finished, Error> {
        if self.faults.refuses_verdicts.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Protocol, "no such verdict"));
        }
        while self.faults.down.load(Ordering::SeqCst)
            || self.faults.hold_verdicts.load(Ordering::SeqCst)
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let copy = verdicts.clone();
        let finished = self.inner.finish(queue, verdicts).await?;
        self.faults.verdicts.lock().unwrap().extend(copy);
        Ok(finished)
    }

    async fn beat(&self) -> Result<(), Error> {
        self.faults.reach()?;
        self.faults.beats.fetch_add(1, Ordering::SeqCst);
        if self.faults.deaf_to_beats.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.inner.beat().await
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        while self.faults.blocks.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.faults.reach()?;
        self.faults.sweeps.fetch_add(1, Ordering::SeqCst);
        self.inner.sweep().await
    }

    async fn retire(&self) -> Result<(), Error> {
        if self.faults.deaf_to_retire.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.faults.reach()?;
        self.faults.retired.fetch_add(1, Ordering::SeqCst);
        self.inner.retire().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.faults.reach()?;
        if self.faults.never_closes.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Refused, "closed for today"));
        }
        self.inner.close().await
    }

    async fn attach(&self, served: Served) -> Result<(), Error> {
        self.faults.reach_queues()?;
        let held = usize::from(self.faults.hold_queues.load(Ordering::SeqCst));
        self.faults.queues_held.fetch_add(held, Ordering::SeqCst);
        while self.faults.hold_queues.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.inner.attach(served).await
    }

    async fn detach(&self, queue: &QueueName) -> Result<bool, Error> {
        // It is left, the answer gets lost.
        let took = self.inner.detach(queue).await?;
        self.faults.reach_queues()?;
        Ok(took && !self.faults.denies_queues.load(Ordering::SeqCst))
    }

    fn lease(&self) -> Duration {
        match self.faults.lease_ms.load(Ordering::SeqCst) {
            0 => self.inner.lease(),
            ms => Duration::from_millis(ms),
        }
    }

    async fn started(&self, queue: &QueueName, runs: Vec<Start>) -> Result<(), Error> {
        let faults = &self.faults;
        faults.reach()?;
        faults.starts.lock().unwrap().extend(runs.clone());
        while faults.hold_starts.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let lost = |n: usize| n.checked_sub(1);
        let update =
            |left: &AtomicUsize| left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lost);
        if update(&faults.loses_starts).is_ok() {
            return Err(Error::new(ErrorKind::Unreachable, "nobody at test:1"));
        }
        if faults.deaf_to_starts.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.inner.started(queue, runs).await
    }
}
