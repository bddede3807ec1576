//! The worker: its builder, and the list of services it runs.

use std::sync::Arc;
use std::time::Duration;

use taskq_core::broker::{Backend, Consumer, ConsumerOptions, Order};
use taskq_core::dispatch::Dispatcher;
use taskq_core::task::{Registry, State};
use taskq_core::{Error, ErrorKind, broker};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::about::About;
use crate::banner::banner;
use crate::config::{Config, DEFAULT_GRACE, DEFAULT_LEASE, Draft, Source};
use crate::deadline::{CALL, patiently, within};
use crate::error::RunError;
use crate::executor::Executor;
use crate::fetcher::Fetcher;
use crate::finisher::Finisher;
use crate::health::Health;
use crate::heartbeat::Heartbeat;
use crate::hooks::Hooks;
use crate::ledger::Ledger;
use crate::limits::{Limits, TimeLimits};
use crate::middleware::Chain;
use crate::recycle::Enough;
use crate::registration::Registration;
use crate::responder::Responder;
use crate::responder::pool::Pool;
use crate::serving::Serving;
use crate::shutdown::Shutdown;
use crate::sweeper::Sweeper;
use crate::tally::Tally;
use crate::teller::Teller;
use crate::watchdog::Watchdog;
use crate::{supervisor, thread};

/// How long a task that sends another waits for the broker.
const SEND: Duration = Duration::from_secs(30);

/// Runs tasks from queues until it is stopped.
///
/// # Example
/// ```
/// use taskq_worker::Worker;
/// use taskq_worker::task::{Registry, Running, TaskDef};
/// use taskq_worker::{CancellationToken, Outcome};
///
/// static PING: TaskDef = TaskDef::new("ping", &[], |_context, arguments| {
///     arguments.bind(&[])?;
///     Ok(Running::Async(Box::pin(async {
///         Outcome::Done(taskq_worker::__private::to_raw_value("pong").unwrap())
///     })))
/// });
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stop = CancellationToken::new();
/// let worker = Worker::builder()
///     .url("memory://")
///     .queues(["celery", "geo"])
///     .concurrency(100)
///     .node("w1@%h")
///     .registry(Registry::from_defs([&PING])?) // left out: every task that `#[task]` registered
///     .stop(stop.clone())
///     .build()?;
/// stop.cancel(); // a program does this at SIGTERM
/// worker.run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Worker {
    config: Config,
}

/// Builds a [`Worker`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    pub(crate) draft: Draft,
}

impl Builder {
    /// The broker. Either this or [`url`](Self::url) is needed.
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.draft.source = Some(Source::Backend(backend));
        self
    }

    /// The broker's URL; it is connected when the worker runs.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.draft.source = Some(Source::Url(url.into()));
        self
    }

    /// The queues it takes from. Default: `celery`.
    pub fn queues<Q: Into<String>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.draft.queues = queues.into_iter().map(Into::into).collect();
        self
    }

    /// The share of a queue while several have more messages than they get, 1 to 1,000; a queue that is not named by
    /// [`queues`](Self::queues) comes in addition. Default: 1.
    ///
    /// ```
    /// # use taskq_worker::Worker;
    /// // Three messages of `urgent` for each of `reports`, as long as both have some.
    /// let worker = Worker::builder().queue_weight("urgent", 3).queue_weight("reports", 1);
    /// ```
    pub fn queue_weight(mut self, queue: impl Into<String>, weight: u32) -> Self {
        self.draft.weights.push((queue.into(), weight));
        self
    }

    /// Serves the queues in the order in which they were named: one gets a slot only while those before it have nothing.
    /// Weights say nothing then, and are refused. Default: false.
    pub fn strict(mut self, strict: bool) -> Self {
        self.draft.order = match strict {
            true => Order::Strict,
            false => Order::Weighted,
        };
        self
    }

    /// How many tasks run at once, 1 to 100,000. Default: [`default_concurrency`](crate::default_concurrency).
    ///
    /// Operators change it while the worker runs (`pool_grow`, `pool_shrink`). Plain functions run on the blocking pool of
    /// the runtime, which has 512 threads unless it was built with more: those beyond it wait for a thread.
    pub fn concurrency(mut self, slots: usize) -> Self {
        self.draft.concurrency = Some(slots);
        self
    }

    /// How many threads the runtime has for plain functions.
    pub(crate) fn threads(mut self, threads: usize) -> Self {
        self.draft.threads = Some(threads);
        self
    }

    /// The node name; `%h`, `%n` and `%d` as in [`expand_node`](crate::expand_node). Default: `worker-<pid>@%h`.
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.draft.node = Some(name.into());
        self
    }

    /// How long this worker's deliveries outlive its last heartbeat, 100 ms to 1 h. Default: 10 s.
    ///
    /// The first worker of a queue decides for all later ones.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.draft.lease = lease;
        self
    }

    /// A run that takes longer than this is cut off and counts as failed, unless its message or task says otherwise.
    /// Default: as long as it likes.
    ///
    /// Async code is dropped where it awaits next. What goes on all the same, a plain function or code that never awaits,
    /// gives its slot to others and does not count any more; when it still goes on after the [grace](Self::grace), the
    /// worker ends with [`RunError::Stuck`].
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.draft.limits.hard = Some(limit);
        self
    }

    /// A run that takes longer than this is told to end by its context, unless its message or task says otherwise: see
    /// [`Context::cancelled_by`](crate::Context::cancelled_by). Default: as long as it likes.
    pub fn soft_time_limit(mut self, limit: Duration) -> Self {
        self.draft.limits.soft = Some(limit);
        self
    }

    /// How long a stop waits for running tasks, and how long a run that was cut off may go on. Default: 25 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.draft.grace = grace;
        self
    }

    /// The tasks it offers. Default: [`Registry::collect`].
    pub fn registry(mut self, registry: Registry) -> Self {
        self.draft.registry = Some(registry);
        self
    }

    /// Begins the warm stop when it fires.
    pub fn stop(mut self, stop: CancellationToken) -> Self {
        self.draft.stop = stop;
        self
    }

    /// Checks it all.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid): no broker, no task, a bad queue or node name, a number out of
    /// its range.
    pub fn build(self) -> Result<Worker, Error> {
        Ok(Worker {
            config: self.draft.check()?,
        })
    }
}

impl Worker {
    /// A builder with the defaults.
    pub fn builder() -> Builder {
        Builder {
            draft: Draft {
                source: None,
                queues: Vec::new(),
                weights: Vec::new(),
                order: Order::default(),
                concurrency: None,
                threads: None,
                node: None,
                lease: DEFAULT_LEASE,
                grace: DEFAULT_GRACE,
                limits: TimeLimits::default(),
                state: State::default(),
                registry: None,
                middleware: Chain::default(),
                hooks: Hooks::default(),
                enough: Enough::default(),
                health: None,
                stop: CancellationToken::new(),
            },
        }
    }

    /// Its node name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.config.node
    }

    /// Runs until it is stopped: `Ok` after a warm stop.
    ///
    /// Tasks run on the tokio runtime this is called from, and so do claims and what tasks send with
    /// [`Context::send`](crate::Context::send). Verdicts, heartbeat and answers to `inspect` go from threads of
    /// the worker's own, which tasks can not block. While the broker can not be reached, it waits and tries again.
    /// Dropping the future ends the worker at once, as a kill would: what it held runs again after a lease.
    ///
    /// After [`RunError::Stuck`] a thread of the runtime is still taken by a function that does not end: end the process.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(self) -> Result<(), RunError> {
        let tasks = Handle::current();
        let abandoned = CancellationToken::new();
        let _guard = abandoned.clone().drop_guard();
        let config = self.config;
        thread::run("taskq-io", move || async move {
            tokio::select! {
                biased;
                () = abandoned.cancelled() => Ok(()),
                end = live(config, tasks) => end,
            }
        })
        .await
    }
}

/// All of it: what the program does before and after is around what the worker does.
async fn live(mut config: Config, tasks: Handle) -> Result<(), RunError> {
    let health = Health::begin(&config)?;
    let hooks = std::mem::take(&mut config.hooks);
    let (state, stop) = (config.state.clone(), config.stop.clone());
    let work = serve(config, tasks.clone(), health.as_ref());
    hooks.around(&tasks, &state, &stop, work).await
}

async fn serve(config: Config, tasks: Handle, health: Option<&Health>) -> Result<(), RunError> {
    let stop = &config.stop;
    let Some(backend) = connect(&config.source, stop).await? else {
        return Ok(());
    };
    let serving = Arc::new(Serving::new(&config));
    let registration = Registration::new(Arc::clone(&backend), &config, Arc::clone(&serving));
    if !registration.begin(stop).await? {
        return Ok(());
    }
    warn_of_settings(&*backend).await;
    let options = ConsumerOptions {
        queues: config.queues.clone(),
        order: config.order,
        lease: config.lease,
        node: Arc::clone(&config.node),
    };
    let opened = patiently("opening the sessions", stop, || {
        backend.consume(options.clone())
    })
    .await?;
    let end = match opened {
        None => Ok(()),
        Some(consumer) => {
            if consumer.lease() != config.lease {
                tracing::info!(
                    "the lease is {:.1?}, as the first worker of these queues chose, not {:.1?}",
                    consumer.lease(),
                    config.lease
                );
            }
            let consumer = match health {
                Some(health) => health.watch(consumer),
                None => consumer,
            };
            consume(
                &config,
                tasks,
                &backend,
                &consumer,
                registration.clone(),
                health,
            )
            .await
        }
    };
    if let Some(health) = health {
        health.ended();
    }
    let farewell = backend.withdraw(&registration.card.id);
    if let Err(e) = within(CALL / 5, "withdraw", farewell).await {
        tracing::warn!("the registration lapses by itself: {e}");
    }
    if end.is_ok() {
        tracing::info!("{} has stopped", registration.card.node);
    }
    end
}

async fn connect(
    source: &Source,
    stop: &CancellationToken,
) -> Result<Option<Arc<dyn Backend>>, Error> {
    match source {
        Source::Backend(backend) => Ok(Some(Arc::clone(backend))),
        Source::Url(url) => patiently("connecting", stop, || broker::connect(url)).await,
    }
}

/// Settings of the broker under which it loses what it has accepted are told at the start, before it does.
async fn warn_of_settings(backend: &dyn Backend) {
    match within(CALL / 5, "server", backend.server()).await {
        Ok(server) => {
            for warning in &server.warnings {
                tracing::warn!("the broker ({} {}): {warning}", server.name, server.version);
            }
        }
        Err(error) if error.kind() == ErrorKind::Unsupported => {}
        Err(error) => tracing::warn!("the broker's settings are not known: {error}"),
    }
}

/// The services, until the worker has stopped.
async fn consume(
    config: &Config,
    tasks: Handle,
    backend: &Arc<dyn Backend>,
    consumer: &Arc<dyn Consumer>,
    registration: Registration,
    health: Option<&Health>,
) -> Result<(), RunError> {
    let stopping = config.stop.child_token();
    let names = config.registry.iter().map(|def| def.name);
    let tally = Tally::of(names).measured_by(health.map(Health::tasks));
    let node = Arc::clone(&config.node);
    let ledger = Arc::new(Ledger::new(config.slots, node, tally));
    let serving = Arc::clone(&registration.serving);
    let _abandoned = ledger.cancel_on_drop();

    let beats_end = CancellationToken::new();
    let _beats_guard = beats_end.clone().drop_guard();
    let heartbeat = Heartbeat {
        consumer: Arc::clone(consumer),
        registration,
        ledger: Arc::clone(&ledger),
    };
    let mut beats = heartbeat.start(beats_end.clone());

    let watchdog = Watchdog {
        ledger: Arc::clone(&ledger),
        grace: config.grace,
    };
    let mut watchdog = watchdog.start(beats_end.clone());

    let mut finishers = JoinSet::new();
    let finisher = |queue, verdicts| {
        let finisher = Finisher {
            consumer: Arc::clone(consumer),
            queue,
            verdicts,
            ledger: Arc::clone(&ledger),
        };
        supervisor::vital("finisher", finisher.run())
    };
    for queue in serving.names() {
        if let Some(verdicts) = ledger.admit(&queue) {
            finishers.spawn(finisher(queue, verdicts));
        }
    }
    let (opened, mut to_open) = mpsc::unbounded_channel();

    let mut helpers = JoinSet::new();
    let sweeper = Sweeper {
        consumer: Arc::clone(consumer),
    };
    helpers.spawn(supervisor::restarted("sweeper", move || {
        sweeper.clone().run()
    }));
    let teller = Teller {
        consumer: Arc::clone(consumer),
        ledger: Arc::clone(&ledger),
    };
    helpers.spawn(supervisor::restarted("teller", move || {
        teller.clone().run()
    }));
    let limits = Arc::new(Limits::new(config.limits));
    let responder = Responder {
        backend: Arc::clone(backend),
        ledger: Arc::clone(&ledger),
        node: Arc::clone(&config.node),
        about: Arc::new(About::new(config, Arc::clone(&serving))),
        registry: config.registry.clone(),
        limits: Arc::clone(&limits),
        pool: Pool {
            consumer: Arc::clone(consumer),
            ledger: Arc::clone(&ledger),
            serving: Arc::clone(&serving),
            opened,
            turn: Arc::default(),
            stopping: stopping.clone(),
        },
        stopping: stopping.clone(),
    };
    helpers.spawn(supervisor::restarted("responder", move || {
        responder.clone().run()
    }));

    let executor = Executor {
        registry: config.registry.clone(),
        node: Arc::clone(&config.node),
        state: config.state.clone(),
        middleware: Arc::clone(&config.middleware),
        dispatcher: Dispatcher::new(Arc::clone(backend), SEND),
        last_life: Semaphore::new(1),
        limits,
        stopping: stopping.clone(),
    };
    let fetcher = Fetcher {
        consumer: Arc::clone(consumer),
        executor: Arc::new(executor),
        ledger: Arc::clone(&ledger),
        serving: Arc::clone(&serving),
        stopping: stopping.clone(),
    };
    let duty = supervisor::vital("fetcher", fetcher.run());
    let mut fetcher = JoinSet::new();
    fetcher.spawn_on(duty, &tasks);
    if let Some(health) = health {
        health.works(backend, consumer, &ledger, &serving, &stopping);
    }
    banner(config);

    let mut watches = true;
    let died = loop {
        tokio::select! {
            biased;
            () = stopping.cancelled() => break Ok(()),
            why = supervisor::vital("recycler", config.enough.reached(&ledger)) => break why.map(|why| {
                tracing::info!("{why}: stopping, to be started again");
            }),
            Some((queue, verdicts)) = to_open.recv() => {
                finishers.spawn(finisher(queue, verdicts));
            }
            end = fetcher.join_next() => break died("fetcher", end),
            end = finishers.join_next() => break died("finisher", end),
            end = &mut beats => break died("heartbeat", Some(Ok(end))),
            end = &mut watchdog => {
                watches = false;
                break died("watchdog", Some(Ok(end)));
            }
        }
    };
    // A queue that came in addition just now may have given something already.
    to_open.close();
    while let Some((queue, verdicts)) = to_open.recv().await {
        finishers.spawn(finisher(queue, verdicts));
    }
    if let Err(e) = &died {
        tracing::error!("{e}");
    }
    stopping.cancel();
    serving.stop();
    let shutdown = Shutdown {
        consumer: Arc::clone(consumer),
        ledger: Arc::clone(&ledger),
        // What is stuck had its grace, and nothing may be able to run beside it.
        grace: match died {
            Err(RunError::Stuck { .. }) => Duration::ZERO,
            _ => config.grace,
        },
    };
    // A run that was cut off may turn out to be stuck during the stop as well.
    let stuck = async {
        match watches {
            true => match watchdog.await {
                Err(error) => error,
                // It ends by itself once it is told, which is after the stop.
                Ok(()) => std::future::pending().await,
            },
            false => std::future::pending().await,
        }
    };
    let stopped = shutdown
        .run(
            async { while fetcher.join_next().await.is_some() {} },
            stuck,
        )
        .await;
    // The registration must not be renewed after it is withdrawn.
    beats_end.cancel();
    if died.is_ok() && tokio::time::timeout(CALL, beats).await.is_err() {
        tracing::warn!("the heartbeat did not end in time");
    }
    if ledger.lost() > 0 {
        tracing::warn!(
            lost = ledger.lost(),
            "{} runs did not count: their leases had been lost",
            ledger.lost()
        );
    }
    died.and(stopped)
}

/// A service that nobody told to end has ended.
fn died(
    duty: &'static str,
    end: Option<Result<Result<(), RunError>, JoinError>>,
) -> Result<(), RunError> {
    let reason = match end {
        Some(Ok(Err(error))) => return Err(error),
        Some(Err(error)) => error.to_string(),
        Some(Ok(Ok(()))) | None => "it returned".to_owned(),
    };
    Err(RunError::Died { duty, reason })
}
