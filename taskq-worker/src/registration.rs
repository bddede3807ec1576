//! The registration: this worker's card and its tasks, told to the fleet and renewed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskq_core::broker::Backend;
use taskq_core::clock;
use taskq_core::fleet::{PublishedTask, WorkerCard};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::deadline::{CALL, patiently, within};
use crate::error::RunError;
use crate::trouble::Trouble;

/// How often the registry is published again: a broker that forgot it (a restart, a flush) has it back in seconds, and
/// services that check calls against it accept them again.
const PUBLISH: Duration = Duration::from_secs(10);
/// How much longer than its lease a registration under our name may take to lapse.
const SLACK: Duration = Duration::from_secs(2);

/// A worker's registration.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) card: WorkerCard,
    pub(crate) tasks: Vec<PublishedTask>,
    pub(crate) ttl: Duration,
}

impl Registration {
    /// The registration of a worker that starts now.
    pub(crate) fn new(backend: Arc<dyn Backend>, config: &Config) -> Self {
        let card = WorkerCard {
            id: uuid::Uuid::now_v7().to_string(),
            node: config.node.to_string(),
            host: config.host.clone(),
            pid_space: pid_space(),
            pid: std::process::id(),
            queues: config.queues.clone(),
            slots: config.slots,
            tasks: config.registry.iter().map(|d| d.name.to_owned()).collect(),
            started: clock::now_ms(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Self {
            backend,
            card,
            tasks: config.registry.published(),
            ttl: config.lease,
        }
    }

    /// Waits until nobody goes by our node name any more, and publishes the card and the tasks.
    ///
    /// False: the worker was stopped meanwhile.
    pub(crate) async fn begin(&self, stopping: &CancellationToken) -> Result<bool, RunError> {
        let lapsed = Instant::now() + self.ttl + SLACK;
        let mut waits = false;
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
            if Instant::now() >= lapsed {
                return Err(RunError::NameTaken {
                    node: other.node,
                    host: other.host,
                    pid: other.pid,
                });
            }
            if !std::mem::replace(&mut waits, true) {
                tracing::info!(
                    "the name {} is still registered for pid {} on {}: waiting for it to lapse",
                    other.node,
                    other.pid,
                    other.host
                );
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(false),
                () = tokio::time::sleep((self.ttl / 10).min(Duration::from_millis(250))) => {}
            }
        }
        let told = patiently("registering", stopping, || {
            self.backend.register(&self.card, &self.tasks, self.ttl)
        });
        Ok(told.await?.is_some())
    }

    /// Renews it until dropped, five times per `ttl`.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::new("renewing the registration");
        let mut published = Instant::now();
        let beat = self.ttl / 5;
        loop {
            tokio::time::sleep(beat).await;
            let publish = published.elapsed() >= PUBLISH;
            let tasks: &[PublishedTask] = if publish { &self.tasks } else { &[] };
            let call = self.backend.register(&self.card, tasks, self.ttl);
            match within(self.ttl.min(CALL), "register", call).await {
                Ok(()) => {
                    trouble.over();
                    if publish {
                        published = Instant::now();
                    }
                }
                Err(e) => {
                    trouble.failed(&e);
                }
            }
        }
    }
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
