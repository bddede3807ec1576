//! Metrics of this process. Counting is a look-up and some atomics: no lock, and nothing at all where nobody asks for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Counter, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};
use taskq_core::State;
use taskq_core::broker::{End, Verdict};

use super::sessions::Sessions;
use super::turns::Turns;
use crate::about::rusage;
use crate::config::Config;
use crate::ledger::Ledger;
use crate::recycle::resident;

/// Seconds that a task waits or runs.
const TASK_SECONDS: [f64; 16] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
];
/// Seconds of a round trip.
const CALL_SECONDS: [f64; 12] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0,
];
/// How a run can end, in the order of [`place`].
const ENDS: [&str; 7] = [
    "succeeded",
    "failed",
    "dead",
    "retried",
    "snoozed",
    "returned",
    "revoked",
];

/// All of them.
pub(super) struct Metrics {
    registry: Registry,
    tasks: Arc<TaskMetrics>,
    calls: Calls,
    slots: IntGauge,
    running: IntGauge,
    held: IntGauge,
    lost: IntCounter,
    contact_age: Gauge,
    memory: Gauge,
    processor: Counter,
}

impl Metrics {
    pub(super) fn new(config: &Config) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let fraction = |name: &str, help: &str| -> prometheus::Result<Gauge> {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let info = Opts::new(
            "taskq_worker_info",
            "The worker: its node name and version.",
        )
        .const_label("node", &*config.node)
        .const_label("version", env!("CARGO_PKG_VERSION"));
        let info = IntGauge::with_opts(info)?;
        info.set(1);
        registry.register(Box::new(info))?;
        let lost = IntCounter::new(
            "taskq_lost_verdicts_total",
            "Runs that did not count: their lease had been lost.",
        )?;
        registry.register(Box::new(lost.clone()))?;
        let processor = Counter::new(
            "process_cpu_seconds_total",
            "Processor time the process has used; 0 where the system does not tell.",
        )?;
        registry.register(Box::new(processor.clone()))?;
        let began = fraction(
            "process_start_time_seconds",
            "When the worker started: seconds since the epoch.",
        )?;
        began.set(taskq_core::clock::now_ms() as f64 / 1e3);
        Ok(Self {
            tasks: Arc::new(TaskMetrics::new(config, &registry)?),
            calls: Calls::new(&registry)?,
            slots: gauge("taskq_slots", "How many tasks it runs at once.")?,
            running: gauge("taskq_running", "How many tasks run right now.")?,
            held: gauge(
                "taskq_held",
                "Messages it has claimed that have no verdict yet: those that run are in it.",
            )?,
            lost,
            contact_age: fraction(
                "taskq_broker_contact_age_seconds",
                "How long ago the broker answered a heartbeat.",
            )?,
            memory: fraction(
                "process_resident_memory_bytes",
                "Memory of the process; 0 where the system does not tell.",
            )?,
            processor,
            registry,
        })
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn tasks(&self) -> Arc<TaskMetrics> {
        Arc::clone(&self.tasks)
    }

    pub(super) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// Takes what is counted elsewhere.
    pub(super) fn look(&self, slots: usize, ledger: &Ledger, turns: &Turns) {
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.slots.set(whole(slots));
        self.running.set(whole(ledger.load().0));
        self.held.set(whole(ledger.open()));
        count_up_to(&self.lost, ledger.lost());
        self.calls.sessions.look();
        self.contact_age.set(turns.contact.age().as_secs_f64());
    }

    /// All that is registered, as text.
    pub(super) fn text(&self) -> prometheus::Result<String> {
        self.memory.set(resident().unwrap_or(0) as f64);
        let used = rusage().map_or(0.0, |used| used.utime + used.stime);
        self.processor
            .inc_by((used - self.processor.get()).max(0.0));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// Brings a counter to what was counted elsewhere. What is less than before was counted anew there.
pub(super) fn count_up_to(counter: &IntCounter, n: u64) {
    if n < counter.get() {
        counter.reset();
    }
    counter.inc_by(n.saturating_sub(counter.get()));
}

/// How runs ended, how long they waited and took: by task, of those that the worker offers. All others are one, without a
/// name.
#[derive(Debug)]
pub(crate) struct TaskMetrics {
    of: HashMap<&'static str, Series>,
    unknown: Series,
}

/// The metrics of one task.
#[derive(Debug)]
struct Series {
    wait: Histogram,
    run: Histogram,
    ends: [IntCounter; ENDS.len()],
}

impl TaskMetrics {
    fn new(config: &Config, registry: &Registry) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str| -> prometheus::Result<HistogramVec> {
            let opts = HistogramOpts::new(name, help).buckets(TASK_SECONDS.to_vec());
            let all = HistogramVec::new(opts, &["task"])?;
            registry.register(Box::new(all.clone()))?;
            Ok(all)
        };
        let wait = histogram(
            "taskq_task_wait_seconds",
            "From when a call was sent, or was due, until its first attempt began.",
        )?;
        let run = histogram("taskq_task_run_seconds", "How long an attempt took.")?;
        let ends = Opts::new(
            "taskq_task_ends_total",
            "How claimed messages ended. Without a task: those it does not offer or can not read.",
        );
        let ends = IntCounterVec::new(ends, &["task", "end"])?;
        registry.register(Box::new(ends.clone()))?;
        let series = |task: &str| Series {
            wait: wait.with_label_values(&[task]),
            run: run.with_label_values(&[task]),
            ends: ENDS.map(|end| ends.with_label_values(&[task, end])),
        };
        Ok(Self {
            of: config
                .registry
                .iter()
                .map(|d| (d.name, series(d.name)))
                .collect(),
            unknown: series(""),
        })
    }

    /// A delivery ends so.
    pub(crate) fn ends(&self, verdict: &Verdict) {
        let event = verdict.event.as_ref();
        // Of one that somebody else has told the end there is no event, and a record.
        let task = event.map(|e| &*e.message.task);
        let task = task.or(verdict.record.as_ref().map(|r| &*r.task));
        let series = task
            .and_then(|task| self.of.get(task))
            .unwrap_or(&self.unknown);
        series.ends[place(&verdict.end)].inc();
        let Some(event) = event else { return };
        if let Some(runtime) = event.runtime {
            series.run.observe(runtime.as_secs_f64());
        }
        let message = &event.message;
        let sent = message.enqueued_at.or(message.id.created_ms());
        let sent = sent.max(message.eta);
        // What was tried before has waited for its retry as well.
        if let (Some(sent), Some(started), 0) = (sent, event.started, message.retries) {
            series
                .wait
                .observe(started.saturating_sub(sent) as f64 / 1e3);
        }
    }
}

fn place(end: &End) -> usize {
    match end {
        End::Done => 0,
        End::Dead {
            state: State::Failure,
            ..
        } => 1,
        End::Dead { .. } => 2,
        End::Retry { .. } => 3,
        End::Snooze(_) => 4,
        End::Return => 5,
        End::Revoked(_) => 6,
    }
}

/// Calls to the broker, by kind.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) claim: CallMetrics,
    pub(super) finish: CallMetrics,
    pub(super) started: CallMetrics,
    pub(super) beat: CallMetrics,
    pub(super) sweep: CallMetrics,
    pub(super) sessions: Arc<Sessions>,
}

/// Calls of one kind.
#[derive(Debug, Clone)]
pub(super) struct CallMetrics {
    /// None for a call that waits by itself.
    seconds: Option<Histogram>,
    errors: IntCounter,
}

impl Calls {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let opts = HistogramOpts::new(
            "taskq_broker_call_seconds",
            "How long the broker took: a beat is one round trip.",
        );
        let seconds = HistogramVec::new(opts.buckets(CALL_SECONDS.to_vec()), &["call"])?;
        registry.register(Box::new(seconds.clone()))?;
        let opts = Opts::new(
            "taskq_broker_call_errors_total",
            "Calls to the broker that failed.",
        );
        let errors = IntCounterVec::new(opts, &["call"])?;
        registry.register(Box::new(errors.clone()))?;
        let lost = IntCounter::new(
            "taskq_lost_sessions_total",
            "Sessions that were lost, of those that had brought a message.",
        )?;
        registry.register(Box::new(lost.clone()))?;
        let call = |name: &str| CallMetrics {
            seconds: Some(seconds.with_label_values(&[name])),
            errors: errors.with_label_values(&[name]),
        };
        Ok(Self {
            claim: CallMetrics {
                seconds: None,
                errors: errors.with_label_values(&["claim"]),
            },
            finish: call("finish"),
            started: call("started"),
            beat: call("beat"),
            sweep: call("sweep"),
            sessions: Arc::new(Sessions::new(lost)),
        })
    }
}

impl CallMetrics {
    pub(super) fn ended(&self, after: Duration, well: bool) {
        if let Some(seconds) = &self.seconds {
            seconds.observe(after.as_secs_f64());
        }
        if !well {
            self.failed();
        }
    }

    pub(super) fn failed(&self) {
        self.errors.inc();
    }
}
