//! The run: a server, a wire, producers and workers, the faults, and the reckoning.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use private_redis::RedisServer;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taskq_core::broker::redis::RedisBroker;
use taskq_core::broker::{Broker, Due, Inspect, Outgoing, Results};
use taskq_core::{Message, QueueName, Record, State, TaskId};
use tokio::task::JoinHandle;

use super::Mix;
use super::life;
use super::proxy::Proxy;

pub(crate) const LEASE: Duration = Duration::from_secs(1);
const WORKERS: usize = 3;
/// Bounded by what one reading of the dead set shows.
const MESSAGES: usize = 900;
const SETTLE: Duration = Duration::from_secs(60);

/// What all parts of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) queue: QueueName,
    pub(crate) url: String,
    /// No more faults, no more messages.
    pub(crate) quiet: AtomicBool,
    pub(crate) runs: AtomicU64,
    pub(crate) deaths: AtomicU64,
    accepted: Mutex<HashSet<TaskId>>,
    poison: Mutex<HashSet<TaskId>>,
}

impl Shared {
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }
}

pub(crate) struct World {
    mix: Mix,
    rng: StdRng,
    server: RedisServer,
    proxy: Proxy,
    shared: Arc<Shared>,
    workers: Vec<life::Worker>,
    producer: JoinHandle<()>,
    /// Accepted, then forgotten by the server: not ours to finish.
    rolled_back: HashSet<TaskId>,
    rollbacks: u64,
}

/// What happened.
#[derive(Debug)]
#[expect(dead_code, reason = "read by its Debug form")]
pub(crate) struct Tally {
    pub(crate) accepted: usize,
    pub(crate) lost_replies: u64,
    pub(crate) late_requests: u64,
    lost_requests: u64,
    runs: u64,
    deaths: u64,
    rolled_back: usize,
    rollbacks: u64,
    settled_ms: u128,
}

impl World {
    pub(crate) async fn start(mix: Mix, seed: u64, span: Duration) -> Self {
        let server = RedisServer::start();
        let proxy = Proxy::start(server.port(), seed, LEASE * 3 / 2).await;
        let shared = Arc::new(Shared {
            queue: QueueName::new("q").unwrap(),
            url: proxy.url(),
            quiet: AtomicBool::new(false),
            runs: AtomicU64::new(0),
            deaths: AtomicU64::new(0),
            accepted: Mutex::default(),
            poison: Mutex::default(),
        });
        let workers = (0..WORKERS)
            .map(|n| life::Worker::start(shared.clone(), seed + n as u64))
            .collect();
        let producer = tokio::spawn(produce(shared.clone(), mix, seed, span));
        Self {
            mix,
            rng: StdRng::seed_from_u64(seed),
            server,
            proxy,
            shared,
            workers,
            producer,
            rolled_back: HashSet::new(),
            rollbacks: 0,
        }
    }

    /// Lets the faults happen for so long.
    pub(crate) async fn suffer(&mut self, span: Duration) {
        self.proxy.faulty(if self.mix.reply { 80 } else { 0 });
        let (until, mut dump) = (Instant::now() + span, None);
        let mut outage_ends: Option<Instant> = None;
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if outage_ends.is_some_and(|end| Instant::now() >= end) {
                self.proxy.outage(false);
                outage_ends = None;
            }
            if self.mix.outage && outage_ends.is_none() && self.rng.random_bool(0.015) {
                let share = [30, 60, 70, 80, 90, 100, 150][self.rng.random_range(0..7)];
                self.proxy.outage(true);
                outage_ends = Some(Instant::now() + LEASE * share / 100);
            }
            let one = self.rng.random_range(0..WORKERS);
            if self.mix.pause && self.rng.random_bool(0.03) {
                let share = if self.rng.random_bool(0.5) { 50 } else { 220 };
                self.workers[one].pause(LEASE * share / 100);
            }
            if self.mix.kill && self.rng.random_bool(0.02) {
                self.workers[one].kill();
            }
            if self.mix.rollback {
                if self.rng.random_bool(0.05) {
                    let accepted = self.accepted();
                    dump = Some((self.server.dump(), accepted));
                }
                if self.rng.random_bool(0.02)
                    && let Some((file, accepted)) = dump.take()
                {
                    self.server.restart_from(&file);
                    self.rollbacks += 1;
                    // What is accepted while the server comes back may be of the new time, or of the old: not counted.
                    self.rolled_back
                        .extend(self.accepted().difference(&accepted));
                }
            }
        }
        self.proxy.outage(false);
    }

    /// No more faults: everything accepted must end, once, and nothing must be left.
    pub(crate) async fn settle(&mut self) -> Tally {
        self.shared.quiet.store(true, Ordering::Relaxed);
        self.proxy.faulty(0);
        (&mut self.producer).await.expect("the producer ends");
        let since = Instant::now();
        let broker = RedisBroker::new(&self.server.url()).unwrap();
        let queue = self.shared.queue.clone();
        let owed: HashSet<TaskId> = self
            .accepted()
            .difference(&self.rolled_back)
            .copied()
            .collect();
        loop {
            let ended = self.ended(&broker).await;
            let missing = owed.iter().filter(|id| !ended.contains_key(id)).count();
            let depth = broker.depth(&queue).await.unwrap();
            let left = depth.waiting + depth.suspects + depth.delayed + depth.in_flight;
            if missing == 0 && left == 0 {
                break;
            }
            assert!(
                since.elapsed() < SETTLE,
                "{missing} accepted messages have not ended, {left} are left: {depth:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.reckon(&broker, &owed).await;
        for worker in &mut self.workers {
            worker.stop().await;
        }
        let (lost_requests, lost_replies, late_requests) = self.proxy.tally();
        Tally {
            accepted: self.accepted().len(),
            lost_requests,
            lost_replies,
            late_requests,
            runs: self.shared.runs.load(Ordering::Relaxed),
            deaths: self.shared.deaths.load(Ordering::Relaxed),
            rolled_back: self.rolled_back.len(),
            rollbacks: self.rollbacks,
            settled_ms: since.elapsed().as_millis(),
        }
    }

    async fn reckon(&self, broker: &RedisBroker, owed: &HashSet<TaskId>) {
        let ended = self.ended(broker).await;
        let poison = self.shared.poison.lock().unwrap().clone();
        let charged = self.mix.kill || self.mix.pause || self.mix.outage || self.mix.rollback;
        for (id, ends) in &ended {
            assert_eq!(ends.len(), 1, "{id} was finished {} times", ends.len());
            if poison.contains(id) {
                assert_eq!(ends[0], State::Dead, "the poison {id} must be DEAD");
            } else if !charged {
                assert_eq!(
                    ends[0],
                    State::Failure,
                    "the innocent {id} must not be DEAD"
                );
            }
        }
        for id in owed {
            let record = broker.record(*id, Some(&self.shared.queue)).await.unwrap();
            let record = record.unwrap_or_else(|| panic!("{id} has no record"));
            assert_eq!(
                record.state, ended[id][0],
                "{id}: the record and the dead set disagree"
            );
        }
    }

    /// How each message ended, once for each finish that counted: the dead set keeps one entry for each.
    async fn ended(&self, broker: &RedisBroker) -> HashMap<TaskId, Vec<State>> {
        let mut ended: HashMap<TaskId, Vec<State>> = HashMap::new();
        for dead in broker.dead(&self.shared.queue, 1000).await.unwrap() {
            let message = Message::decode(&dead.body).expect("only messages that decode were sent");
            ended.entry(message.id).or_default().push(dead.state);
        }
        ended
    }

    fn accepted(&self) -> HashSet<TaskId> {
        self.shared.accepted.lock().unwrap().clone()
    }
}

/// Sends batches through the wire until the run is quiet; what `enqueue` answered Ok to is accepted.
async fn produce(shared: Arc<Shared>, mix: Mix, seed: u64, span: Duration) {
    let broker = RedisBroker::new(&shared.url).unwrap();
    let mut rng = StdRng::seed_from_u64(seed + 100);
    let mut sent = 0;
    // Batches of 4.5 in the mean, so that there is something to send until the faults end.
    let most_ms = 2 * 9 * span.as_millis() as u64 / (2 * MESSAGES as u64);
    while !shared.is_quiet() && sent < MESSAGES {
        let batch: Vec<Outgoing> = (0..rng.random_range(1..=8))
            .map(|i| message(&shared, sent + i, mix.poison))
            .collect();
        sent += batch.len();
        if broker
            .enqueue(&shared.queue, &batch, Duration::from_secs(3))
            .await
            .is_ok()
        {
            shared
                .accepted
                .lock()
                .unwrap()
                .extend(batch.iter().map(|m| m.id));
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..=most_ms))).await;
    }
}

fn message(shared: &Shared, n: usize, poison: usize) -> Outgoing {
    let poisonous = n > 0 && n <= 7 * poison && n.is_multiple_of(7);
    let mut message = Message::new(if poisonous { "poison" } else { "work" });
    if poisonous {
        shared.poison.lock().unwrap().insert(message.id);
    } else if poison == 0 {
        // Kills and pauses are real losses of a process; three of them would end an unlucky innocent.
        message.max_crashes = Some(9);
    }
    Outgoing {
        id: message.id,
        body: Bytes::from(message.encode().unwrap()),
        priority: 0,
        due: if n.is_multiple_of(11) {
            Due::In(Duration::from_millis(150))
        } else {
            Due::Now
        },
        record: Some(Record::new(
            message.id,
            &message.task,
            &shared.queue,
            State::Queued,
        )),
    }
}
