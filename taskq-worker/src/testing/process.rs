//! One worker process, as far as a test needs it: a consumer, and the services that take a delivery to its verdict.
//!
//! Executor, ledger, teller, watchdog and responder are those of every worker. They run on the test's own runtime, so that
//! one clock counts for all of them; and deliveries are handed to them one by one, so that a test can stop in between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use taskq_core::broker::{
    Backend, Consumer, ConsumerOptions, Delivery, End, Finished, Requests, Served, Verdict, Wraps,
};
use taskq_core::dispatch::Dispatcher;
use taskq_core::fleet::{PublishedTask, WorkerCard};
use taskq_core::{Error, Message, QueueName, TaskId};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::plan::Plan;
use super::tap::{Tap, lock};
use crate::executor::Executor;
use crate::ledger::{Ledger, Settled};
use crate::registration::Registration;
use crate::responder::Responder;
use crate::responder::pool::Pool;
use crate::supervisor;
use crate::tally::Tally;
use crate::teller::Teller;
use crate::watchdog::Watchdog;

/// Its registration outlasts every test: nobody renews it.
const FOR_GOOD: Duration = Duration::from_secs(100 * 365 * 86_400);
/// The most that one claim brings.
const MOST: usize = 999;
/// How long a task that sends another waits for the broker.
const SEND: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Process {
    pub(super) consumer: Arc<dyn Consumer>,
    executor: Arc<Executor>,
    ledger: Arc<Ledger>,
    plan: Arc<Plan>,
    backend: Arc<dyn Backend>,
    /// How it is registered in the fleet.
    card: Mutex<WorkerCard>,
    /// What it publishes: clients that know tasks by name only take from it what they leave open.
    tasks: Vec<PublishedTask>,
    verdicts: tokio::sync::Mutex<HashMap<QueueName, mpsc::Receiver<Settled>>>,
    /// Ended when the process is dropped.
    _services: JoinSet<()>,
}

impl Process {
    /// Starts one that takes from `queues`.
    pub(super) async fn start(plan: &Arc<Plan>, tap: &Arc<Tap>, queues: Vec<Served>) -> Self {
        let backend: Arc<dyn Backend> = Arc::clone(tap) as Arc<dyn Backend>;
        let config = &plan.config;
        let serving = Arc::clone(&plan.serving);
        let Registration {
            mut card, tasks, ..
        } = Registration::new(Arc::clone(&backend), config, serving);
        card.queues = queues.iter().map(|s| s.queue.clone()).collect();
        let options = ConsumerOptions {
            queues,
            order: config.order,
            // What holds for a lease is over when that has passed, not a moment later.
            lease: config.lease - Duration::from_millis(1),
            node: Arc::clone(&config.node),
        };
        let consumer = backend.consume(options).await;
        let consumer = consumer.unwrap_or_else(|e| panic!("the test's worker did not start: {e}"));
        let tally = Tally::of(config.registry.iter().map(|def| def.name));
        let ledger = Ledger::new(config.slots, Arc::clone(&config.node), tally);
        let ledger = Arc::new(ledger);
        let executor = Executor {
            registry: config.registry.clone(),
            node: Arc::clone(&config.node),
            state: config.state.clone(),
            middleware: Arc::clone(&config.middleware),
            // Inline, what runs before a send is answered may send to the same queue.
            dispatcher: Dispatcher::one_by_one(Arc::clone(&backend), SEND),
            last_life: Semaphore::new(1),
            limits: Arc::clone(&plan.limits),
            stopping: config.stop.clone(),
        };
        let ears = Arc::new(Ears {
            backend: Arc::clone(&backend),
            hear: Notify::new(),
        });
        let process = Self {
            _services: services(
                plan,
                Arc::clone(&ears) as Arc<dyn Backend>,
                &consumer,
                &ledger,
            ),
            consumer,
            executor: Arc::new(executor),
            ledger,
            plan: Arc::clone(plan),
            backend,
            card: Mutex::new(card),
            tasks,
            verdicts: tokio::sync::Mutex::default(),
        };
        // Whoever finds it in the fleet gets an answer.
        ears.hear.notified().await;
        process.register().await;
        process
    }

    /// Takes from this queue as well.
    pub(super) async fn serve(&self, queue: &QueueName) {
        if lock(&self.card).queues.contains(queue) {
            return;
        }
        let attached = self.consumer.attach(queue.clone().into()).await;
        attached.unwrap_or_else(|e| panic!("the test's worker does not take from {queue}: {e}"));
        lock(&self.card).queues.push(queue.clone());
        self.register().await;
    }

    /// Tells the fleet that it is there, what it takes from, and which tasks it offers.
    async fn register(&self) {
        let card = lock(&self.card).clone();
        let registered = self.backend.register(&card, &self.tasks, FOR_GOOD).await;
        registered.unwrap_or_else(|e| panic!("the test's worker was not registered: {e}"));
    }

    /// Takes it out of the fleet.
    pub(super) async fn withdraw(&self) {
        let id = lock(&self.card).id.clone();
        let withdrawn = self.backend.withdraw(&id).await;
        withdrawn.unwrap_or_else(|e| panic!("the test's worker was not withdrawn: {e}"));
    }

    /// Claims up to `most` of what is due now.
    pub(super) async fn claim(&self, most: usize) -> Vec<Delivery> {
        self.take_back().await;
        self.beat().await;
        let claimed = self.consumer.claim(most, Duration::ZERO).await;
        claimed.unwrap_or_else(|e| panic!("a claim from the test's broker failed: {e}"))
    }

    /// Claims this one of all that are due now, and gives back what lay before it.
    pub(super) async fn claim_this(&self, id: TaskId) -> Option<Delivery> {
        let is_it = |d: &Delivery| Message::decode(&d.body).is_ok_and(|m| m.id == id);
        let (mut found, mut before) = (None, Vec::new());
        while found.is_none() {
            let mut claimed = self.claim(MOST).await;
            // It brings less than there is where its bytes are too many.
            if claimed.is_empty() {
                break;
            }
            let place = claimed.iter().position(is_it);
            found = place.map(|place| claimed.remove(place));
            before.append(&mut claimed);
        }
        self.give_back(before).await;
        found
    }

    pub(super) async fn beat(&self) {
        let beat = self.consumer.beat().await;
        beat.unwrap_or_else(|e| panic!("a heartbeat to the test's broker failed: {e}"));
    }

    /// Takes a delivery to its verdict, which is not told to the broker yet. `None`: the delivery was lost meanwhile.
    pub(super) async fn run(&self, delivery: Delivery) -> Option<Verdict> {
        let queue = delivery.queue.clone();
        let mut verdicts = self.verdicts.lock().await;
        if let Some(new) = self.ledger.admit(&queue) {
            verdicts.insert(queue.clone(), new);
        }
        let verdicts = verdicts.get_mut(&queue)?;
        let room = self.ledger.room().one().await?;
        let slot = self.plan.serving.slots().one().await?;
        let held = self.ledger.enter(&delivery, room, slot);
        let run = tokio::spawn(Arc::clone(&self.executor).run(delivery, held));
        let mut run = AbortOnDropHandle::new(run);
        let settled = tokio::select! {
            biased;
            settled = verdicts.recv() => settled,
            // Its verdict is there, or waits until it was told that the run began; if neither, it was lost.
            _ = &mut run => tokio::select! {
                biased;
                settled = verdicts.recv() => settled,
                () = self.ledger.settled() => None,
            },
        };
        // A function that was cut off may go on.
        drop(run.detach());
        settled.map(|settled| settled.split().0)
    }

    /// Gives back what runs held that were dropped half way.
    async fn take_back(&self) {
        let mut verdicts = self.verdicts.lock().await;
        while self.ledger.unsettled() > 0 {
            for (queue, verdicts) in verdicts.iter_mut() {
                while let Ok(left) = verdicts.try_recv() {
                    self.finish(queue, left.split().0).await;
                }
            }
            // The run that was dropped is about to be.
            tokio::task::yield_now().await;
        }
    }

    /// Tells the broker.
    pub(super) async fn finish(&self, queue: &QueueName, verdict: Verdict) -> Finished {
        let finished = self.consumer.finish(queue, vec![verdict]).await;
        finished.unwrap_or_else(|e| panic!("the test's broker refused a verdict: {e}"))
    }

    /// Gives deliveries back to the front of their lists, in the order in which they lay there.
    pub(super) async fn give_back(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries.into_iter().rev() {
            let verdict = Verdict {
                receipt: delivery.receipt,
                end: End::Return,
                record: None,
                event: None,
            };
            self.finish(&delivery.queue, verdict).await;
        }
    }

    /// Ends it in order: nothing that it holds is charged.
    pub(super) async fn close(&self) {
        self.withdraw().await;
        let closed = self.consumer.close().await;
        closed.unwrap_or_else(|e| panic!("the test's worker did not close: {e}"));
    }
}

/// The test's broker as the responder sees it: tells that the responder listens.
#[derive(Debug)]
struct Ears {
    backend: Arc<dyn Backend>,
    hear: Notify,
}

#[async_trait]
impl Wraps for Ears {
    fn inner(&self) -> &dyn Backend {
        &*self.backend
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        let requests = self.backend.listen().await;
        self.hear.notify_one();
        requests
    }
}

/// What runs beside the deliveries. Idle, none of it has a timer: a paused clock stands.
fn services(
    plan: &Arc<Plan>,
    backend: Arc<dyn Backend>,
    consumer: &Arc<dyn Consumer>,
    ledger: &Arc<Ledger>,
) -> JoinSet<()> {
    let config = &plan.config;
    let mut services = JoinSet::new();
    let teller = Teller {
        consumer: Arc::clone(consumer),
        ledger: Arc::clone(ledger),
    };
    services.spawn(supervisor::restarted("teller", move || {
        teller.clone().run()
    }));
    let watchdog = Watchdog {
        ledger: Arc::clone(ledger),
        grace: config.grace,
    };
    services.spawn(async move {
        let stuck = watchdog.watch().await;
        tracing::error!("a worker would end here: {stuck}");
    });
    let (opened, _) = mpsc::unbounded_channel();
    let responder = Responder {
        backend,
        ledger: Arc::clone(ledger),
        node: Arc::clone(&config.node),
        about: Arc::clone(&plan.about),
        registry: config.registry.clone(),
        limits: Arc::clone(&plan.limits),
        pool: Pool {
            consumer: Arc::clone(consumer),
            ledger: Arc::clone(ledger),
            serving: Arc::clone(&plan.serving),
            opened,
            turn: Arc::default(),
            stopping: config.stop.clone(),
        },
        stopping: config.stop.clone(),
    };
    services.spawn(supervisor::restarted("responder", move || {
        responder.clone().run()
    }));
    services
}
