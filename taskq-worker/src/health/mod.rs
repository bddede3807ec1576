//! What a worker tells of itself to those who watch over it: whether it lives, whether it is ready, and its metrics.

mod metrics;
mod place;
mod queues;
mod report;
mod server;
mod sessions;
mod turns;
mod watched;

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskq_core::Error;
use taskq_core::broker::{Backend, Consumer};
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use self::metrics::Metrics;
use self::queues::Queues;
use self::turns::Turns;
use self::watched::Watched;
use crate::config::Config;
use crate::error::RunError;
use crate::ledger::Ledger;
use crate::serving::Serving;
use crate::worker::Builder;
use crate::{supervisor, thread};

pub(crate) use self::metrics::TaskMetrics;

/// How often the loop of the worker's calls notes that it turns.
const TICK: Duration = Duration::from_secs(1);

impl Builder {
    /// Answers over HTTP on `address` (`HOST:PORT`; port 0 takes a free one, which is logged), from a thread of its own that
    /// tasks can not block. Default: nowhere.
    ///
    /// - `GET /live`: 200 while the worker's own loops turn, else 503: start the process anew. Without a broker it lives.
    /// - `GET /ready`: 200 while it takes tasks: the broker has answered a heartbeat within one lease, there are tasks it
    ///   offers, and it is not stopping. Else 503.
    /// - `GET /metrics`: in Prometheus' text format.
    ///
    /// The first two say in JSON what is wrong. Whoever reaches the address is answered: give it one that only your
    /// supervisor and your monitoring reach.
    pub fn health_addr(mut self, address: impl Into<String>) -> Self {
        self.draft.health = Some(address.into());
        self
    }
}

/// What is known of a worker that answers for itself. When it is dropped, nobody answers any more.
pub(crate) struct Health {
    known: Arc<Known>,
    _serving: DropGuard,
    _ticking: AbortOnDropHandle<()>,
}

/// What the answers are made of.
struct Known {
    stage: Mutex<Stage>,
    /// There is a task that it offers.
    offers: bool,
    turns: Arc<Turns>,
    metrics: Metrics,
    queues: Queues,
}

/// How far the worker has got.
enum Stage {
    /// Its hooks run, or it reaches for the broker.
    Starts,
    /// It takes tasks, until `stopping` fires.
    Works {
        consumer: Arc<dyn Consumer>,
        ledger: Arc<Ledger>,
        serving: Arc<Serving>,
        stopping: CancellationToken,
    },
    /// All is told.
    Ended,
}

impl Health {
    /// Starts to answer, if that was asked for. To be called on the runtime of the worker's own calls.
    pub(crate) fn begin(config: &Config) -> Result<Option<Self>, RunError> {
        let Some(address) = &config.health else {
            return Ok(None);
        };
        let wrong = |e: &dyn std::fmt::Display| {
            Error::invalid(format!(
                "nothing can be answered at the health address {address}: {e}; give another with --health-addr"
            ))
        };
        let listener = TcpListener::bind(address).map_err(|e| wrong(&e))?;
        let local = listener.local_addr().map_err(|e| wrong(&e))?;
        listener.set_nonblocking(true).map_err(|e| wrong(&e))?;
        let metrics = Metrics::new(config).map_err(|e| wrong(&e))?;
        let queues = Queues::new(metrics.registry(), Handle::current());
        let known = Arc::new(Known {
            stage: Mutex::new(Stage::Starts),
            offers: !config.registry.is_empty(),
            turns: Arc::new(Turns::new()),
            metrics,
            queues: queues.map_err(|e| wrong(&e))?,
        });
        let end = CancellationToken::new();
        let serving = end.clone().drop_guard();
        let listener = Arc::new(listener);
        let answers = Arc::clone(&known);
        // Nobody waits for the thread's end: it is told to.
        drop(thread::run("taskq-health", move || async move {
            let serves = supervisor::restarted("health server", || {
                server::serve(Arc::clone(&listener), Arc::clone(&answers))
            });
            tokio::select! {
                () = end.cancelled() => {}
                () = serves => {}
            }
            Ok(())
        }));
        let turns = Arc::clone(&known.turns);
        let ticking = tokio::spawn(async move {
            loop {
                turns.calls.note();
                tokio::time::sleep(TICK).await;
            }
        });
        tracing::info!("health: http://{local}/live, /ready and /metrics");
        Ok(Some(Self {
            known,
            _serving: serving,
            _ticking: AbortOnDropHandle::new(ticking),
        }))
    }

    /// The same consumer, its calls noted.
    pub(crate) fn watch(&self, consumer: Arc<dyn Consumer>) -> Arc<dyn Consumer> {
        let (turns, calls) = (&self.known.turns, self.known.metrics.calls());
        // Reaching the broker may have taken its time: from here on the loops count.
        turns.begin();
        Arc::new(Watched::new(consumer, Arc::clone(turns), calls))
    }

    /// Where runs and verdicts are counted.
    pub(crate) fn tasks(&self) -> Arc<TaskMetrics> {
        self.known.metrics.tasks()
    }

    /// It takes tasks now.
    pub(crate) fn works(
        &self,
        backend: &Arc<dyn Backend>,
        consumer: &Arc<dyn Consumer>,
        ledger: &Arc<Ledger>,
        serving: &Arc<Serving>,
        stopping: &CancellationToken,
    ) {
        self.known
            .queues
            .ask_of(Arc::clone(backend), Arc::clone(serving));
        *self.known.stage() = Stage::Works {
            consumer: Arc::clone(consumer),
            ledger: Arc::clone(ledger),
            serving: Arc::clone(serving),
            stopping: stopping.clone(),
        };
    }

    /// All is told.
    pub(crate) fn ended(&self) {
        *self.known.stage() = Stage::Ended;
    }
}

impl Known {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
