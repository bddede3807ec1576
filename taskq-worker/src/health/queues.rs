//! Metrics of the queues, asked from the broker when somebody looks.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use prometheus::{GaugeVec, IntCounterVec, IntGauge, Opts, Registry};
use taskq_core::broker::{Backend, Depth, Totals};
use taskq_core::{Error, ErrorKind, QueueName};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::metrics::count_up_to;
use crate::deadline::within;
use crate::serving::Serving;

/// The broker is asked so often at most, however many look.
const APART: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// How much longer those that ask may take than what they ask.
const GRACE: Duration = Duration::from_millis(500);
const UNASKED: &str = "the loop of the worker's calls is stuck";

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
    last: Mutex<Last>,
    up: IntGauge,
    readable: GaugeVec,
    oldest: GaugeVec,
    gauges: Vec<(GaugeVec, Read<Depth>)>,
    counters: Vec<(IntCounterVec, Read<Totals>)>,
}

/// What the broker was asked last.
#[derive(Debug, Default)]
struct Last {
    at: Option<Instant>,
    /// The queues, and whether they could be read.
    readable: BTreeMap<QueueName, bool>,
}

/// What was read of one queue.
type Facts = (QueueName, Result<(Depth, Totals), Error>);

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
            "Whether the broker answered for the metrics of a queue; without, there are none.",
        )?;
        registry.register(Box::new(up.clone()))?;
        Ok(Self {
            source: OnceLock::new(),
            calls,
            last: Mutex::default(),
            up,
            readable: gauge(
                "taskq_queue_readable",
                "Whether the queue could be read; if not, there are no other metrics of it, and the log says why.",
            )?,
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
        let mut last = self.last.lock().await;
        if last.at.is_some_and(|at| at.elapsed() < APART) {
            return;
        }
        // Noted before as well: who goes away half way shall not make it asked sooner.
        last.at = Some(Instant::now());
        let (backend, names) = (Arc::clone(backend), serving.names());
        // Connections live where they were opened: with the calls, which go on as long as the worker.
        let answer = AbortOnDropHandle::new(self.calls.spawn(ask(backend, names.clone())));
        // The loop of the calls may be stuck itself.
        let facts = match tokio::time::timeout(DEADLINE + GRACE, answer).await {
            Ok(Ok(facts)) => facts,
            Ok(Err(_)) | Err(_) => {
                let unasked = |queue| (queue, Err(Error::new(ErrorKind::Unreachable, UNASKED)));
                names.into_iter().map(unasked).collect()
            }
        };
        last.at = Some(Instant::now());
        self.set(facts, &mut last.readable);
    }

    fn set(&self, facts: Vec<Facts>, readable: &mut BTreeMap<QueueName, bool>) {
        let answered = |facts: &Facts| !matches!(&facts.1, Err(e) if e.is_transient());
        self.up
            .set((facts.is_empty() || facts.iter().any(answered)).into());
        // A queue that it takes from no more is not asked of any more: what was told of it would stay.
        self.oldest.reset();
        self.readable.reset();
        self.gauges.iter().for_each(|(gauge, _)| gauge.reset());
        let before = std::mem::take(readable);
        let read = |queue: &QueueName| facts.iter().any(|(q, read)| q == queue && read.is_ok());
        for queue in before.keys().filter(|queue| !read(queue)) {
            for (counter, _) in &self.counters {
                // One that was never counted is not there.
                drop(counter.remove_label_values(&[queue.as_str()]));
            }
        }
        for (queue, read) in facts {
            let label = [queue.as_str()];
            self.readable
                .with_label_values(&label)
                .set(u8::from(read.is_ok()).into());
            let was = before.get(&queue).copied();
            match &read {
                Err(error) if was != Some(false) => {
                    tracing::warn!(%queue, "the metrics of the queue can not be read: {error}");
                }
                Ok(_) if was == Some(false) => {
                    tracing::info!(%queue, "the metrics of the queue can be read again");
                }
                _ => {}
            }
            readable.insert(queue.clone(), read.is_ok());
            let Ok((depth, totals)) = read else { continue };
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

/// Each with its answer: what is wrong with one queue is not wrong with the others.
async fn ask(backend: Arc<dyn Backend>, names: Vec<QueueName>) -> Vec<Facts> {
    let one = |queue: QueueName| {
        let backend = Arc::clone(&backend);
        async move {
            let both = async { tokio::try_join!(backend.depth(&queue), backend.totals(&queue)) };
            let read = within(DEADLINE, "depth and totals", both).await;
            (queue, read)
        }
    };
    join_all(names.into_iter().map(one)).await
}
