//! The broker of one test, with a client and a worker bound to it.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use taskq_client::{Client, ClientBuilder};
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{Backend, Inspect, Results};
use taskq_core::{Error, QueueName, Record, TaskId};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::clock::Frozen;
use super::expected::{Expected, NotEnqueued};
use super::fault::{Fault, Faults};
use super::plan::Plan;
use super::process::Process;
use super::sent::Sent;
use super::tap::Tap;
use crate::worker::Builder;

/// What is sent inline may run for as long as it likes.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A broker of a test's own, with a [client](Self::client) and a worker bound to it. Clones are the same broker.
///
/// Nothing runs by itself: the test says when, with [`run`](Self::run), [`step`](Self::step), [`drain`](Self::drain) or
/// [`drain_all`](Self::drain_all); or it is made [inline](TestBrokerBuilder::inline), and runs what is sent at once. The
/// worker is a real one (registry, arguments, middleware, retry policy, time limits, state, hooks), but for its threads: it runs
/// on the test's runtime, one delivery at a time. The broker is the [`MemoryBroker`], which passes the
/// same conformance suite as every other.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use taskq_worker::testing::{Drained, TestBroker};
/// use taskq_worker::{Context, TaskError, task};
///
/// /// The first attempt fails.
/// #[task(name = "shop.pay")]
/// async fn pay(context: Context, euros: u32) -> Result<u32, TaskError> {
///     if context.attempt() == 1 {
///         return Err(TaskError::retry_after(Duration::from_secs(60), "the bank does not answer"));
///     }
///     Ok(euros)
/// }
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() {
///     let broker = TestBroker::new();
///     let handle = broker.client().send(pay::call(7)).await.unwrap();
///
///     assert_eq!(broker.drain().await, Drained { retried: 1, ..Drained::default() });
///     broker.advance(Duration::from_secs(60)).await;
///     assert_eq!(broker.drain().await, Drained { done: 1, ..Drained::default() });
///     assert_eq!(handle.wait(Duration::ZERO).await.unwrap(), 7);
/// }
/// ```
#[derive(Debug, Clone)]
pub struct TestBroker {
    pub(super) core: Arc<Core>,
}

pub(super) struct Core {
    pub(super) memory: MemoryBroker,
    pub(super) tap: Arc<Tap>,
    client: Client,
    pub(super) plan: Arc<Plan>,
    pub(super) inline: bool,
    pub(super) faults: Faults,
    /// Held by who runs deliveries.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Inline: something was sent while a delivery ran.
    pub(super) more: AtomicBool,
    pub(super) process: Mutex<Option<Arc<Process>>>,
    /// Until when the leases of crashed processes last.
    pub(super) crashed: Mutex<Vec<Instant>>,
    pub(super) frozen: Mutex<Frozen>,
}

impl TestBroker {
    /// An empty broker, and a worker of every task that is linked into the test.
    ///
    /// # Panics
    /// Where [`TestBrokerBuilder::build`] fails.
    #[must_use]
    pub fn new() -> Self {
        let built = Self::builder().build();
        built.unwrap_or_else(|e| panic!("the test's broker can not be made: {e}"))
    }

    /// For options.
    pub fn builder() -> TestBrokerBuilder {
        TestBrokerBuilder {
            inline: false,
            worker: Box::new(|worker| worker),
            client: Box::new(|client| client),
        }
    }

    /// The client bound to it; give it to the code under test.
    #[must_use]
    pub fn client(&self) -> Client {
        self.core.client.clone()
    }

    /// The broker itself, for code that wants more than a client, and for workers of the test's own.
    #[must_use]
    pub fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.core.tap) as Arc<dyn Backend>
    }

    /// Everything that was accepted so far, oldest first, whatever became of it; what an idempotency key kept out is not
    /// among it. The last 100,000 are remembered.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.core.tap.sent()
    }

    /// The record of `id`, if one is kept.
    ///
    /// # Panics
    /// When the record can not be read.
    pub async fn record(&self, id: TaskId) -> Option<Record> {
        let record = self.core.memory.record(id, None).await;
        record.unwrap_or_else(|e| panic!("the record of {id} can not be read: {e}"))
    }

    /// For how long what a crashed worker held stays held: [`advance`](Self::advance) by this, and it is due again.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.core.plan.config.lease
    }

    /// Puts a fault in the way of the next delivery, or for [`Fault::LostReply`] of the next send. Several wait for one
    /// delivery each.
    ///
    /// ```
    /// use taskq_worker::testing::{Drained, Fault, TestBroker};
    /// use taskq_worker::{Context, task};
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// #[derive(Default)]
    /// struct Charges(AtomicU32);
    ///
    /// #[task(name = "shop.charge")]
    /// async fn charge(context: Context) -> Result<(), taskq_worker::TaskError> {
    ///     context.state::<Charges>()?.0.fetch_add(1, Ordering::SeqCst); // not idempotent!
    ///     Ok(())
    /// }
    ///
    /// # /*
    /// #[taskq_worker::test(worker = |w| w.state(Charges::default()))]
    /// # */
    /// async fn a_crash_charges_twice(broker: TestBroker) {
    ///     broker.client().send(charge::call()).await.unwrap();
    ///     broker.inject(Fault::CrashBeforeFinish);
    ///     assert_eq!(broker.drain().await, Drained { crashed: 1, ..Drained::default() });
    ///
    ///     broker.advance(broker.lease()).await;
    ///     assert_eq!(broker.drain().await, Drained { done: 1, ..Drained::default() });
    ///     assert_eq!(broker.state::<Charges>().unwrap().0.load(Ordering::SeqCst), 2);
    /// }
    /// # fn main() { taskq_worker::testing::run_test(taskq_worker::testing::TestBroker::builder().worker(|w| w.state(Charges::default())), true, a_crash_charges_twice) }
    /// ```
    pub fn inject(&self, fault: Fault) {
        match fault {
            Fault::LostReply => self.core.tap.lose_an_answer(),
            fault => self.core.faults.put(None, fault),
        }
    }

    /// As [`inject`](Self::inject), for the next delivery of the task called `task`.
    ///
    /// # Panics
    /// For [`Fault::LostReply`], which is no fault of a delivery.
    pub fn inject_into(&self, task: &str, fault: Fault) {
        assert!(
            fault != Fault::LostReply,
            "a lost reply is a fault of the next send, whatever it sends: use `inject`"
        );
        self.core.faults.put(Some(task), fault);
    }

    /// What the worker shares among its tasks under the type `T`, if it was given that.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.core.plan.config.state.get::<T>()
    }

    /// What was sent and fits, or what was there instead; for [`assert_enqueued!`](crate::assert_enqueued).
    ///
    /// # Errors
    /// [`NotEnqueued`] lists what was sent and says what differs.
    pub fn find_enqueued(&self, expected: &Expected) -> Result<Vec<Sent>, NotEnqueued> {
        expected.among(self.sent(), &self.core.plan.config.registry)
    }

    /// Nothing that fits was sent; for [`refute_enqueued!`](crate::refute_enqueued).
    ///
    /// # Errors
    /// [`NotEnqueued`] lists what was sent, what fits first.
    pub fn find_none_enqueued(&self, unwanted: &Expected) -> Result<(), NotEnqueued> {
        unwanted.none_among(&self.sent(), &self.core.plan.config.registry)
    }

    /// Ends the worker: the hooks of the end run. What is claimed goes back. `#[taskq_worker::test]` does it after the test.
    ///
    /// # Panics
    /// When the worker can not be ended in order.
    pub async fn stop(&self) {
        let _turn = self.core.turn.lock().await;
        let process = super::tap::lock(&self.core.process).take();
        if let Some(process) = process {
            process.close().await;
        }
        self.core.plan.stop().await;
    }
}

impl Default for TestBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("inline", &self.inline)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// The queues that the worker takes from.
    pub(super) async fn queues(&self) -> Vec<QueueName> {
        match &self.plan.queues {
            Some(named) => named.iter().map(|s| s.queue.clone()).collect(),
            None => {
                let queues = self.memory.queues().await;
                queues.unwrap_or_else(|e| panic!("the test's broker does not tell its queues: {e}"))
            }
        }
    }
}

/// How a [`TestBroker`] is made.
#[must_use = "a builder does nothing until it is built"]
pub struct TestBrokerBuilder {
    inline: bool,
    worker: Box<dyn FnOnce(Builder) -> Builder>,
    client: Box<dyn FnOnce(ClientBuilder) -> ClientBuilder>,
}

impl TestBrokerBuilder {
    /// Runs what is due whenever something is sent, before `send` returns; what a task sends runs right after the task.
    ///
    /// What is delayed, retries included, runs when [`advance`](TestBroker::advance) gets to its time.
    ///
    /// ```
    /// use taskq_worker::task;
    /// use taskq_worker::testing::TestBroker;
    ///
    /// #[task(name = "math.sum")]
    /// async fn add(a: i64, b: i64) -> i64 { a + b }
    ///
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() {
    ///     let broker = TestBroker::builder().inline().build().unwrap();
    ///     let handle = broker.client().send(add::call(2, 3)).await.unwrap();
    ///     let record = handle.record().await.unwrap().unwrap();
    ///     assert_eq!(record.result.unwrap().get(), "5");
    /// }
    /// ```
    pub fn inline(mut self) -> Self {
        self.inline = true;
        self
    }

    /// Completes the worker: state, middleware, hooks, limits, the registry, the queues. Without queues it takes from all
    /// there are. What is about its threads and its broker (concurrency, health, `stop`, the URL) counts for nothing here.
    pub fn worker(mut self, complete: impl FnOnce(Builder) -> Builder + 'static) -> Self {
        self.worker = Box::new(complete);
        self
    }

    /// Completes the client: routes, the send deadline.
    pub fn client(
        mut self,
        complete: impl FnOnce(ClientBuilder) -> ClientBuilder + 'static,
    ) -> Self {
        self.client = Box::new(complete);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): outside a tokio runtime, without any task, or with what
    /// [`Builder::build`] refuses.
    pub fn build(self) -> Result<TestBroker, Error> {
        if Handle::try_current().is_err() {
            return Err(Error::invalid(
                "a test's broker goes by the clock of the test's tokio runtime, and here is none: make it inside the test",
            ));
        }
        let memory = MemoryBroker::new();
        let plan = Plan::new(Arc::new(memory.clone()), self.worker)?;
        let client = match self.inline {
            // What runs before a send is answered may send to the same queue.
            true => Client::builder().send_deadline(A_YEAR).one_by_one(),
            false => Client::builder(),
        };
        let client = (self.client)(client);
        let core = Arc::new_cyclic(|core: &Weak<Core>| {
            let tap = Arc::new(Tap::new(memory.clone(), core.clone()));
            Core {
                client: client.over(Arc::clone(&tap) as Arc<dyn Backend>),
                memory,
                tap,
                plan: Arc::new(plan),
                inline: self.inline,
                faults: Faults::default(),
                turn: tokio::sync::Mutex::default(),
                more: AtomicBool::new(false),
                process: Mutex::default(),
                crashed: Mutex::default(),
                frozen: Mutex::default(),
            }
        });
        Ok(TestBroker { core })
    }
}

impl fmt::Debug for TestBrokerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestBrokerBuilder")
            .field("inline", &self.inline)
            .finish_non_exhaustive()
    }
}
