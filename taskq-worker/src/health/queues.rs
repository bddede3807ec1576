//! Metrics of the queues, asked from the broker when somebody looks.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use prometheus::{GaugeVec, IntCounterVec, IntGauge, Opts, Registry};
use taskq_core::broker::{Backend, Depth, Totals};
use taskq_core::{Error, QueueName};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::metrics::count_up_to;
use crate::serving::Serving;

/// The broker is asked so often at most, however many look.
const APART: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

type Read<T> = fn(&T) -> u64;

const GAUGES: [(&str, &str, Read<Depth>); 6] = [
    (
        "taskq_queue_waiting",
        "Messages ready to be claimed.",
        |d| d.waiting,
    ),
    (
        "taskq_queue_suspects",
        "Messages held back: one more crash makes them DEAD.",
        |d| d.suspects,
    ),
    (
        "taskq_queue_delayed",
        "Messages that are not due yet.",
        |d| d.delayed,
    ),
    (
        "taskq_queue_in_flight",
        "Messages that workers hold.",
        |d| d.in_flight,
    ),
    ("taskq_queue_dead", "Messages in the dead set.", |d| d.dead),
    ("taskq_queue_paused", "1 while the queue is paused.", |d| {
        u64::from(d.paused.is_some())
    }),
];

const COUNTERS: [(&str, &str, Read<Totals>); 8] = [
    ("taskq_queue_sent_total", "Messages accepted.", |t| t.sent),
    (
        "taskq_queue_succeeded_total",
        "Calls that ended as SUCCESS.",
        |t| t.succeeded,
    ),
    (
        "taskq_queue_failed_total",
        "Calls that ended as FAILURE.",
        |t| t.failed,
    ),
    (
        "taskq_queue_retried_total",
        "Attempts that failed and were put off to run again.",
        |t| t.retried,
    ),
    ("taskq_queue_dead_total", "Calls that ended as DEAD.", |t| {
        t.dead
    }),
    (
        "taskq_queue_revoked_total",
        "Calls that ended as REVOKED.",
        |t| t.revoked,
    ),
    (
        "taskq_queue_crashes_total",
        "Crashes charged: one for each message that a lost session held.",
        |t| t.crashed,
    ),
    (
        "taskq_queue_returned_total",
        "Messages that came back: by a crash, a stop, or a session given up.",
        |t| t.returned,
    ),
];

/// The metrics of a worker's queues: of all workers together, as the broker knows them.
pub(super) struct Queues {
    /// The broker, and what tells the queues.
    source: OnceLock<(Arc<dyn Backend>, Arc<Serving>)>,
    /// Where calls to the broker are made.
    calls: Handle,
    asked: Mutex<Option<Instant>>,
    up: IntGauge,
    oldest: GaugeVec,
    gauges: Vec<(GaugeVec, Read<Depth>)>,
    counters: Vec<(IntCounterVec, Read<Totals>)>,
}

impl Queues {
    pub(super) fn new(registry: &Registry, calls: Handle) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| -> prometheus::Result<GaugeVec> {
            let gauge = GaugeVec::new(Opts::new(name, help), &["queue"])?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, help), &["queue"])?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let up = IntGauge::new(
            "taskq_broker_up",
            "Whether the broker answered for the metrics of the queues; without, there are none.",
        )?;
        registry.register(Box::new(up.clone()))?;
        Ok(Self {
            source: OnceLock::new(),
            calls,
            asked: Mutex::default(),
            up,
            oldest: gauge(
                "taskq_queue_oldest_age_seconds",
                "For how long the oldest message that waits has existed; 0 when none waits.",
            )?,
            gauges: GAUGES
                .into_iter()
                .map(|(name, help, read)| Ok((gauge(name, help)?, read)))
                .collect::<prometheus::Result<_>>()?,
            counters: COUNTERS
                .into_iter()
                .map(|(name, help, read)| Ok((counter(name, help)?, read)))
                .collect::<prometheus::Result<_>>()?,
        })
    }

    /// The broker that is to be asked from here on, of the queues that `serving` names.
    pub(super) fn ask_of(&self, backend: Arc<dyn Backend>, serving: Arc<Serving>) {
        // A worker runs once.
        drop(self.source.set((backend, serving)));
    }

    /// Brings the metrics up to date, unless they are new. What could not be asked is not there, instead of old.
    pub(super) async fn look(&self) {
        let Some((backend, serving)) = self.source.get() else {
            return;
        };
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < APART) {
            return;
        }
        // Noted before as well: who goes away half way shall not make it asked sooner.
        *asked = Some(Instant::now());
        let (backend, names) = (Arc::clone(backend), serving.names());
        // Connections live where they were opened: with the calls, which go on as long as the worker.
        let answer = AbortOnDropHandle::new(self.calls.spawn(ask(backend, names)));
        let facts = match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(Ok(facts))) => Some(facts),
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => None,
        };
        *asked = Some(Instant::now());
        self.set(facts);
    }

    fn set(&self, facts: Option<Vec<(QueueName, Depth, Totals)>>) {
        self.up.set(facts.is_some().into());
        // A queue that it takes from no more is not asked of any more: what was told of it would stay.
        self.oldest.reset();
        self.gauges.iter().for_each(|(gauge, _)| gauge.reset());
        if facts.is_none() {
            self.counters
                .iter()
                .for_each(|(counter, _)| counter.reset());
        }
        for (queue, depth, totals) in facts.unwrap_or_default() {
            let label = [queue.as_str()];
            for (gauge, read) in &self.gauges {
                gauge.with_label_values(&label).set(read(&depth) as f64);
            }
            for (counter, read) in &self.counters {
                count_up_to(&counter.with_label_values(&label), read(&totals));
            }
            let oldest = match (depth.oldest_ms, depth.waiting) {
                (Some(ms), _) => Some(ms as f64 / 1e3),
                (None, 0) => Some(0.0),
                // Messages that do not tell how old they are.
                (None, _) => None,
            };
            if let Some(seconds) = oldest {
                self.oldest.with_label_values(&label).set(seconds);
            }
        }
    }
}

async fn ask(
    backend: Arc<dyn Backend>,
    names: Vec<QueueName>,
) -> Result<Vec<(QueueName, Depth, Totals)>, Error> {
    let one = |queue: QueueName| {
        let backend = Arc::clone(&backend);
        async move {
            let (depth, totals) = tokio::try_join!(backend.depth(&queue), backend.totals(&queue))?;
            Ok((queue, depth, totals))
        }
    };
    try_join_all(names.into_iter().map(one)).await
}
