//! A worker process in small: it claims, runs, finishes, beats and sweeps, each beside the others; it can be paused and killed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taskq_core::broker::redis::RedisBroker;
use taskq_core::broker::{Broker, Consumer, ConsumerOptions, Delivery, End, Verdict};
use taskq_core::{Failure, Message, Record, State};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use super::world::{LEASE, Shared};

const SLOTS: usize = 6;

/// A worker and its successors: when one dies the next is started, as a supervisor does.
#[derive(Debug)]
pub(crate) struct Worker {
    die: Arc<Notify>,
    paused_until: Arc<Mutex<Instant>>,
    lives: JoinHandle<()>,
}

impl Worker {
    pub(crate) fn start(shared: Arc<Shared>, seed: u64) -> Self {
        let (die, paused_until) = (
            Arc::new(Notify::new()),
            Arc::new(Mutex::new(Instant::now())),
        );
        let (d, p) = (die.clone(), paused_until.clone());
        let lives = tokio::spawn(async move {
            for life in 0.. {
                let process = Process {
                    shared: shared.clone(),
                    die: d.clone(),
                    paused_until: p.clone(),
                    seed: AtomicU64::new(seed * 1000 + life * 10),
                    suspects: Semaphore::new(1),
                };
                // Dropped at once when it dies: every call stops where it is.
                let mut parts = JoinSet::new();
                parts.spawn(Arc::new(process).live());
                d.notified().await;
                parts.shutdown().await;
                shared.deaths.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            die,
            paused_until,
            lives,
        }
    }

    pub(crate) fn kill(&self) {
        self.die.notify_one();
    }

    pub(crate) fn pause(&self, span: Duration) {
        *self.paused_until.lock().unwrap() = Instant::now() + span;
    }

    pub(crate) async fn stop(&mut self) {
        self.lives.abort();
        drop((&mut self.lives).await);
    }
}

#[derive(Debug)]
struct Process {
    shared: Arc<Shared>,
    die: Arc<Notify>,
    paused_until: Arc<Mutex<Instant>>,
    seed: AtomicU64,
    suspects: Semaphore,
}

impl Process {
    async fn live(self: Arc<Self>) {
        let broker = RedisBroker::new(&self.shared.url).unwrap();
        let options = ConsumerOptions {
            queues: vec![self.shared.queue.clone()],
            lease: LEASE,
        };
        let consumer = loop {
            match broker.consume(options.clone()).await {
                Ok(consumer) => break consumer,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        let (verdicts, finished) = mpsc::channel(64);
        let mut parts = JoinSet::new();
        parts.spawn(self.clone().beat(consumer.clone()));
        parts.spawn(self.clone().sweep(consumer.clone()));
        parts.spawn(self.clone().finish(consumer.clone(), finished));
        parts.spawn(self.clone().fetch(consumer, verdicts));
        while parts.join_next().await.is_some() {}
    }

    fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed.fetch_add(1, Ordering::Relaxed))
    }

    /// A paused process does nothing.
    async fn awake(&self) {
        while !self.shared.is_quiet() && Instant::now() < *self.paused_until.lock().unwrap() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn beat(self: Arc<Self>, consumer: Arc<dyn Consumer>) {
        loop {
            self.awake().await;
            drop(consumer.beat().await);
            tokio::time::sleep(LEASE / 5).await;
        }
    }

    async fn sweep(self: Arc<Self>, consumer: Arc<dyn Consumer>) {
        let mut rng = self.rng();
        loop {
            tokio::time::sleep(LEASE / 4 + Duration::from_millis(rng.random_range(0..100))).await;
            self.awake().await;
            if !self.shared.is_quiet() && rng.random_bool(0.2) {
                // The sweeper dies half way.
                let soon = Duration::from_millis(rng.random_range(0..4));
                drop(tokio::time::timeout(soon, consumer.sweep()).await);
            } else {
                drop(consumer.sweep().await);
            }
        }
    }

    async fn finish(
        self: Arc<Self>,
        consumer: Arc<dyn Consumer>,
        mut verdicts: mpsc::Receiver<Verdict>,
    ) {
        let mut batch = Vec::new();
        while verdicts.recv_many(&mut batch, 20).await > 0 {
            self.awake().await;
            drop(
                consumer
                    .finish(&self.shared.queue, std::mem::take(&mut batch))
                    .await,
            );
        }
    }

    async fn fetch(self: Arc<Self>, consumer: Arc<dyn Consumer>, verdicts: mpsc::Sender<Verdict>) {
        let slots = Arc::new(Semaphore::new(SLOTS));
        let mut running = JoinSet::new();
        let mut rng = self.rng();
        loop {
            self.awake().await;
            drop(slots.acquire().await);
            while running.try_join_next().is_some() {}
            let claim = consumer.claim(slots.available_permits(), Duration::from_millis(200));
            let claimed = if !self.shared.is_quiet() && rng.random_bool(0.05) {
                // The claim is given up half way; the next one must answer the same.
                let soon = Duration::from_millis(rng.random_range(0..3));
                tokio::time::timeout(soon, claim)
                    .await
                    .unwrap_or(Ok(Vec::new()))
            } else {
                claim.await
            };
            match claimed {
                Ok(deliveries) => {
                    for delivery in deliveries {
                        let slot = slots
                            .clone()
                            .try_acquire_owned()
                            .expect("never more than asked for");
                        let (process, verdicts) = (self.clone(), verdicts.clone());
                        running.spawn(async move {
                            process.run(delivery, verdicts).await;
                            drop(slot);
                        });
                    }
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(30)).await,
            }
        }
    }

    async fn run(&self, delivery: Delivery, verdicts: mpsc::Sender<Verdict>) {
        let mut rng = self.rng();
        let message = Message::decode(&delivery.body).expect("only messages that decode were sent");
        let _alone = if delivery.suspect {
            self.suspects.acquire().await.ok()
        } else {
            None
        };
        self.shared.runs.fetch_add(1, Ordering::Relaxed);
        if message.task == "poison" {
            self.die.notify_one();
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..20))).await;
        self.awake().await;
        let verdict = self.judge(&delivery, message, &mut rng);
        // Only a process that is dying has no finisher.
        drop(verdicts.send(verdict).await);
    }

    /// A fifth runs again; the rest ends as FAILURE, because the dead set keeps an entry for each end.
    fn judge(&self, delivery: &Delivery, mut message: Message, rng: &mut StdRng) -> Verdict {
        let record = |state| Record::new(message.id, &message.task, &delivery.queue, state);
        if message.retries < 3 && rng.random_bool(0.2) {
            let record = Some(record(State::Retry));
            message.retries += 1;
            let after = if rng.random_bool(0.5) {
                Duration::ZERO
            } else {
                Duration::from_millis(100)
            };
            let body = Bytes::from(message.encode().unwrap());
            return Verdict {
                receipt: delivery.receipt,
                end: End::Retry { after, body },
                record,
            };
        }
        let error = Some(Failure::new("Meant", "it was meant to fail"));
        Verdict {
            receipt: delivery.receipt,
            end: End::Dead {
                state: State::Failure,
                reason: "it was meant to fail".into(),
            },
            record: Some(Record {
                error,
                ..record(State::Failure)
            }),
        }
    }
}
