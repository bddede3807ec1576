//! The registration: this worker's card and its tasks, told to the fleet and renewed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskq_core::broker::{Backend, Consumer};
use taskq_core::clock;
use taskq_core::fleet::{PublishedTask, WorkerCard};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::deadline::{CALL, patiently, within};
use crate::error::RunError;
use crate::ledger::Ledger;
use crate::pace::share_of_lease;
use crate::serving::Serving;
use crate::trouble::Trouble;

/// How often the registry is published again: a broker that forgot it (a restart, a flush) has it back in seconds, and
/// services that check calls against it accept them again.
const PUBLISH: Duration = Duration::from_secs(10);
/// How much longer than it is to last a registration under our name may take to lapse.
const SLACK: Duration = Duration::from_secs(2);
/// How often one looks whether it has.
const LOOK: Duration = Duration::from_millis(100);

/// A worker's registration.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) card: WorkerCard,
    pub(crate) tasks: Vec<PublishedTask>,
    pub(crate) serving: Arc<Serving>,
}

impl Registration {
    /// The registration of a worker that starts now.
    pub(crate) fn new(backend: Arc<dyn Backend>, config: &Config, serving: Arc<Serving>) -> Self {
        let now = clock::now_ms();
        let card = WorkerCard {
            id: uuid::Uuid::now_v7().to_string(),
            node: config.node.to_string(),
            host: config.host.clone(),
            pid_space: pid_space(),
            pid: std::process::id(),
            queues: serving.names(),
            slots: config.slots,
            tasks: config.registry.iter().map(|d| d.name.to_owned()).collect(),
            started: now,
            lease_ms: ms(config.lease),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            active: 0,
            processed: 0,
            stopping: false,
            renewed: now,
        };
        Self {
            backend,
            card,
            tasks: config.registry.published(),
            serving,
        }
    }

    /// Waits until nobody goes by our node name any more, and publishes the card and the tasks.
    ///
    /// One that is still there after the time it lasts was renewed in it: its worker lives. Until then it may be that
    /// of a dead worker, however long its lease.
    ///
    /// False: the worker was stopped meanwhile.
    pub(crate) async fn begin(&self, stopping: &CancellationToken) -> Result<bool, RunError> {
        let mut waits: Option<(String, Instant)> = None;
        loop {
            let workers =
                patiently("reaching the broker", stopping, || self.backend.workers()).await?;
            let Some(workers) = workers else {
                return Ok(false);
            };
            let other = workers
                .into_iter()
                .find(|w| w.node == self.card.node && w.id != self.card.id);
            let Some(other) = other else { break };
            if is_dead_here(&other, &self.card) {
                tracing::info!(
                    "pid {} that went by the name {} is dead: taking its place",
                    other.pid,
                    other.node
                );
                if let Err(e) = within(CALL, "withdraw", self.backend.withdraw(&other.id)).await {
                    tracing::warn!("its registration lapses by itself: {e}");
                }
                break;
            }
            let lapses = Duration::from_millis(other.lease_ms) + SLACK;
            match &waits {
                Some((id, since)) if *id == other.id => {
                    if since.elapsed() >= lapses {
                        return Err(RunError::NameTaken {
                            node: other.node,
                            host: other.host,
                            pid: other.pid,
                        });
                    }
                }
                _ => {
                    tracing::info!(
                        "the name {} is still registered for pid {} on {}: waiting up to {:.1?} for it to lapse",
                        other.node,
                        other.pid,
                        other.host,
                        lapses
                    );
                    waits = Some((other.id, Instant::now()));
                }
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(false),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        let told = patiently("registering", stopping, || {
            self.backend.register(&self.card, &self.tasks, self.ttl())
        });
        Ok(told.await?.is_some())
    }

    /// Renews it until dropped, for as long as the lease in force: twice per lease, sooner after a failure, and at once when
    /// its queues or slots have changed, or the stop begins.
    pub(crate) async fn run(mut self, consumer: Arc<dyn Consumer>, ledger: Arc<Ledger>) {
        let mut trouble = Trouble::new("renewing the registration");
        let mut published = Instant::now();
        loop {
            // The sessions may have been opened with another lease than the card was registered with.
            self.card.lease_ms = ms(consumer.lease());
            (self.card.active, self.card.processed) = ledger.load();
            self.card.queues = self.serving.names();
            self.card.slots = self.serving.slots().total();
            self.card.stopping = self.serving.stops();
            self.card.renewed = clock::now_ms();
            let began = Instant::now();
            let publish = published.elapsed() >= PUBLISH;
            let tasks: &[PublishedTask] = if publish { &self.tasks } else { &[] };
            let call = self.backend.register(&self.card, tasks, self.ttl());
            // A second try fits into the lease even when the first hangs.
            let limit = (self.ttl() * 2 / 5).min(CALL);
            let share = match within(limit, "register", call).await {
                Ok(()) => {
                    trouble.over();
                    if publish {
                        published = Instant::now();
                    }
                    0.4
                }
                Err(e) => {
                    trouble.failed(&e);
                    0.2
                }
            };
            tokio::select! {
                () = share_of_lease(&*consumer, share, began) => {}
                () = self.serving.changed() => {}
            }
        }
    }

    fn ttl(&self) -> Duration {
        Duration::from_millis(self.card.lease_ms)
    }
}

fn ms(lease: Duration) -> u64 {
    u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)
}

/// Whether the process behind `other` is known to be dead: same machine, same process table, no such pid.
fn is_dead_here(other: &WorkerCard, me: &WorkerCard) -> bool {
    other.host == me.host
        && !me.pid_space.is_empty()
        && other.pid_space == me.pid_space
        && !Path::new("/proc").join(other.pid.to_string()).exists()
}

/// The machine's boot and this process' pid namespace; empty where they can not be read.
fn pid_space() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => format!("{} {}", boot.trim(), namespace.display()),
        _ => String::new(),
    }
}
