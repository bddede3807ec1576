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
use taskq_core::clock::now_ms;
use taskq_core::{Message, QueueName, Record, State, TaskId};
use tokio::task::JoinHandle;

use super::Mix;
use super::acks::{Acks, Done};
use super::life::Worker;
use super::operator::{self, Came, Orders};
use super::proxy::{Lies, Proxy};

pub(crate) const LEASE: Duration = Duration::from_secs(1);
const WORKERS: usize = 3;
/// Bounded by what one reading of a dead set shows.
const MESSAGES: usize = 900;
const SETTLE: Duration = Duration::from_secs(20);

/// Lists what no queue may hold at the end: orphans, and deliveries in sessions. Asked of the keys themselves, because
/// the broker's own view goes by the leases and does not see what has none.
const HELD: &str = "local out = {} \
    for _, key in ipairs(redis.call('KEYS', 'taskq:{*}:orphan:*')) do out[#out + 1] = key end \
    for _, key in ipairs(redis.call('KEYS', 'taskq:{*}:session:*')) do \
        for _, field in ipairs(redis.call('HKEYS', key)) do \
            if tonumber(field) then out[#out + 1] = key .. '/' .. field end \
        end \
    end \
    return redis.status_reply(#out .. ' ' .. table.concat(out, ' ', 1, math.min(#out, 20)))";

/// What all parts of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) mix: Mix,
    pub(crate) queues: [QueueName; 3],
    pub(crate) url: String,
    /// No more faults, no more messages.
    quiet: AtomicBool,
    pub(crate) acks: Acks,
    pub(crate) orders: Orders,
    pub(crate) runs: AtomicU64,
    pub(crate) deaths: AtomicU64,
    pub(crate) warm_stops: AtomicU64,
    /// How often a process left a queue.
    pub(crate) leaves: AtomicU64,
    /// Which worker's calls were answered since the run is quiet: a bit for each.
    heard: AtomicU64,
    accepted: Mutex<HashMap<TaskId, Sent>>,
    poison: Mutex<HashSet<TaskId>>,
}

/// What was sent where.
#[derive(Debug, Clone)]
struct Sent {
    queue: QueueName,
    succeeds: bool,
}

/// The calls of a worker that must be answered again once the faults are over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Heard {
    Claim,
    Beat,
    Sweep,
}

impl Shared {
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    pub(crate) fn heard(&self, worker: usize, what: Heard) {
        if self.is_quiet() {
            let bit = 1 << (3 * worker + what as usize);
            self.heard.fetch_or(bit, Ordering::Relaxed);
        }
    }
}

pub(crate) struct World {
    rng: StdRng,
    server: RedisServer,
    proxy: Proxy,
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    producer: JoinHandle<()>,
    operator: Option<JoinHandle<()>>,
    /// Accepted, then forgotten by the server: not ours to finish.
    rolled_back: HashSet<TaskId>,
    rollbacks: u64,
}

/// What happened.
#[derive(Debug)]
#[expect(dead_code, reason = "read by its Debug form")]
pub(crate) struct Tally {
    pub(crate) accepted: usize,
    pub(crate) acknowledged: usize,
    pub(crate) lies: Lies,
    pub(crate) warm_stops: u64,
    pub(crate) leaves: u64,
    pub(crate) came: Came,
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
            mix,
            queues: ["a", "b", "c"].map(|name| QueueName::new(name).unwrap()),
            url: proxy.url(),
            quiet: AtomicBool::new(false),
            acks: Acks::default(),
            orders: Orders::default(),
            runs: AtomicU64::new(0),
            deaths: AtomicU64::new(0),
            warm_stops: AtomicU64::new(0),
            leaves: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            accepted: Mutex::default(),
            poison: Mutex::default(),
        });
        let workers = (0..WORKERS)
            .map(|n| Worker::start(shared.clone(), n, seed % 1_000_000_007))
            .collect();
        let producer = tokio::spawn(produce(shared.clone(), seed, span));
        let operator = mix
            .meddle
            .then(|| tokio::spawn(operator::meddle(shared.clone(), seed)));
        Self {
            rng: StdRng::seed_from_u64(seed),
            server,
            proxy,
            shared,
            workers,
            producer,
            operator,
            rolled_back: HashSet::new(),
            rollbacks: 0,
        }
    }

    /// Lets the faults happen for so long.
    pub(crate) async fn suffer(&mut self, span: Duration) {
        let mix = self.shared.mix;
        self.proxy.faulty(
            if mix.reply { 80 } else { 0 },
            if mix.mute { 15 } else { 0 },
        );
        let (until, mut dump) = (Instant::now() + span, None);
        let mut outage_ends: Option<Instant> = None;
        let mut outage_over = Instant::now();
        // Where no crash may be charged, each process gets a beat through between two outages.
        let apart = if mix.is_chargeless() {
            LEASE / 2
        } else {
            Duration::ZERO
        };
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if outage_ends.is_some_and(|end| Instant::now() >= end) {
                self.proxy.outage(false);
                (outage_ends, outage_over) = (None, Instant::now());
            }
            let may = outage_ends.is_none() && outage_over.elapsed() >= apart;
            if mix.outage && may && self.rng.random_bool(0.015) {
                let share = [30, 60, 70, 80, 90, 100, 150][self.rng.random_range(0..7)];
                self.proxy.outage(true);
                outage_ends = Some(Instant::now() + LEASE * share / 100);
            }
            let one = self.rng.random_range(0..WORKERS);
            // Stops after a pause are of interest while the others sweep: alone with them, only the first worker pauses.
            let others_sweep = mix.pause && mix.warm && !mix.kill;
            if mix.pause && !others_sweep && self.rng.random_bool(0.03) {
                let share = if self.rng.random_bool(0.5) { 50 } else { 220 };
                self.workers[one].pause(LEASE * share / 100);
            }
            if mix.kill && self.rng.random_bool(0.02) {
                self.workers[one].kill();
            }
            if mix.warm && self.rng.random_bool(if others_sweep { 0.2 } else { 0.08 }) {
                let one = if others_sweep { 0 } else { one };
                if others_sweep && self.workers[one].is_paused() {
                    continue;
                }
                if mix.pause && self.rng.random_bool(0.7) {
                    // It wakes about when the others give back what it held, and stops at once.
                    let share = self.rng.random_range(95..135);
                    self.workers[one].pause(LEASE * share / 100);
                }
                self.workers[one].stop_warm();
            }
            if mix.rollback {
                if self.rng.random_bool(0.05) {
                    let (accepted, at) = (self.accepted(), now_ms());
                    dump = Some((self.server.dump(), accepted, at));
                }
                if self.rng.random_bool(0.02)
                    && let Some((file, accepted, at)) = dump.take()
                {
                    self.shared.acks.rollback_begins(at);
                    self.server.restart_from(&file);
                    self.shared.acks.rollback_is_over();
                    self.rollbacks += 1;
                    // What is accepted while the server comes back may be of the new time, or of the old: not counted.
                    let now = self.accepted();
                    let forgotten = now.keys().filter(|id| !accepted.contains_key(id));
                    self.rolled_back.extend(forgotten);
                }
            }
        }
        self.proxy.outage(false);
    }

    /// No more faults: everything accepted must end, once, and nothing must be left.
    pub(crate) async fn settle(&mut self) -> Tally {
        self.shared.quiet.store(true, Ordering::Relaxed);
        self.proxy.faulty(0, 0);
        let since = Instant::now();
        (&mut self.producer).await.expect("the producer ends");
        if let Some(operator) = &mut self.operator {
            operator.await.expect("the operator ends");
        }
        let broker = RedisBroker::new(&self.server.url()).unwrap();
        let mut owed = self.accepted();
        owed.retain(|id, _| !self.rolled_back.contains(id));
        let mut ended = HashMap::new();
        loop {
            self.look_for_ends(&broker, &owed, &mut ended).await;
            let missing = owed.keys().filter(|id| !ended.contains_key(id)).count();
            let mut left = Vec::new();
            for queue in &self.shared.queues {
                let depth = broker.depth(queue).await.unwrap();
                if depth.waiting + depth.suspects + depth.delayed + depth.in_flight > 0 {
                    left.push(format!("{queue}: {depth:?}"));
                }
            }
            let held = self.server.command(&format!("EVAL \"{HELD}\" 0"));
            assert!(held.starts_with('+'), "{held}");
            let heard = self.shared.heard.load(Ordering::Relaxed);
            let deaf = (0..3 * WORKERS).filter(|n| heard & (1 << n) == 0).count();
            let late = self.proxy.holds_requests();
            let nothing_held = held == "+0";
            if missing == 0 && left.is_empty() && nothing_held && deaf == 0 && !late {
                break;
            }
            let (_, broken) = self.shared.acks.told();
            assert!(
                since.elapsed() < SETTLE && broken.is_empty(),
                "{missing} accepted messages have not ended; left: {left:?}; held: {held}; \
                 {deaf} kinds of calls of all workers ({heard:b}) are not answered any more; broken: {broken:#?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let settled_ms = since.elapsed().as_millis();
        for worker in &mut self.workers {
            worker.end().await;
        }
        let acknowledged = self.reckon(&broker, &owed).await;
        Tally {
            accepted: self.accepted().len(),
            acknowledged,
            lies: self.proxy.lies(),
            warm_stops: self.shared.warm_stops.load(Ordering::Relaxed),
            leaves: self.shared.leaves.load(Ordering::Relaxed),
            came: self.shared.orders.came(),
            runs: self.shared.runs.load(Ordering::Relaxed),
            deaths: self.shared.deaths.load(Ordering::Relaxed),
            rolled_back: self.rolled_back.len(),
            rollbacks: self.rollbacks,
            settled_ms,
        }
    }

    async fn reckon(&self, broker: &RedisBroker, owed: &HashMap<TaskId, Sent>) -> usize {
        let mix = self.shared.mix;
        let (done, broken) = self.shared.acks.told();
        assert!(broken.is_empty(), "{broken:#?}");
        let mut ended = HashMap::new();
        self.look_for_ends(broker, owed, &mut ended).await;
        if mix.meddle {
            self.reckon_meddled(broker, owed, &done).await;
            return done.len();
        }
        let poison = self.shared.poison.lock().unwrap().clone();
        let charged = mix.kill || mix.pause || mix.rollback || mix.mute;
        for (id, ends) in &ended {
            assert_eq!(
                ends.len(),
                1,
                "{id} was finished {} times: {ends:?}",
                ends.len()
            );
            if poison.contains(id) {
                assert_eq!(ends[0], State::Dead, "the poison {id} must be DEAD");
            } else if !charged {
                assert_ne!(ends[0], State::Dead, "the innocent {id} must not be DEAD");
            }
        }
        for (id, sent) in owed {
            let record = broker.record(*id, Some(&sent.queue)).await.unwrap();
            let record = record.unwrap_or_else(|| panic!("{id} has no record"));
            assert_eq!(
                record.state, ended[id][0],
                "{id}: the record and the dead set disagree"
            );
            let kind = if sent.succeeds {
                State::Success
            } else {
                State::Failure
            };
            assert!(
                [kind, State::Dead].contains(&record.state),
                "{id} ended as {}, which it can not",
                record.state
            );
            if let Some(done) = done.get(id) {
                let result = record.result.map(|r| r.get().to_owned());
                assert_eq!(
                    result,
                    Some(done.run.to_string()),
                    "{id}: its record is not of the run whose finish counted"
                );
            }
        }
        self.count(broker, &ended).await;
        done.len()
    }

    /// Somebody meddled: a message may be REVOKED, and dead more than once in its time, but lies there once.
    async fn reckon_meddled(
        &self,
        broker: &RedisBroker,
        owed: &HashMap<TaskId, Sent>,
        done: &HashMap<TaskId, Done>,
    ) {
        let (orders, mut entries) = (&self.shared.orders, HashMap::new());
        let mut replayed = 0;
        for queue in &self.shared.queues {
            for dead in broker.dead(queue, 0, 1000).await.unwrap() {
                let id = Message::decode(&dead.body).unwrap().id;
                *entries.entry(id).or_insert(0) += 1;
            }
            let totals = broker.totals(queue).await.unwrap();
            let lies = broker.depth(queue).await.unwrap().dead;
            // Each time it was put in, it came to one end.
            let over = totals.succeeded + totals.failed + totals.dead + totals.revoked;
            assert_eq!(totals.sent, over, "{queue}: {totals:?}");
            replayed += (totals.failed + totals.dead).checked_sub(lies).unwrap();
        }
        let came = orders.came();
        assert!(replayed >= came.replayed, "{replayed} of {came:?}");
        let mut wrong = Vec::new();
        for (id, sent) in owed {
            let record = broker.record(*id, Some(&sent.queue)).await.unwrap();
            let record = record.unwrap_or_else(|| panic!("{id} has no record"));
            let kind = if sent.succeeds {
                State::Success
            } else {
                State::Failure
            };
            let entries = entries.get(id).copied().unwrap_or(0);
            let done = done.get(id).map(|done| done.run);
            wrong.extend(orders.misjudged(&sent.queue, kind, &record, entries, done));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// The totals tell of each message that was ever put in: how it ended, or it still lies there.
    async fn count(&self, broker: &RedisBroker, ended: &HashMap<TaskId, Vec<State>>) {
        let (mut failed, mut dead, mut succeeded) = (0, 0, 0);
        for queue in &self.shared.queues {
            let (totals, depth) = (
                broker.totals(queue).await.unwrap(),
                broker.depth(queue).await.unwrap(),
            );
            let over = totals.succeeded + totals.failed + totals.dead;
            let left = depth.waiting + depth.suspects + depth.delayed + depth.in_flight;
            assert_eq!(totals.sent, over + left, "{queue}: {totals:?}, {depth:?}");
            assert_eq!(
                totals.failed + totals.dead,
                depth.dead,
                "{queue}: {totals:?}"
            );
            assert!(totals.returned >= totals.crashed.saturating_sub(totals.dead));
            failed += totals.failed;
            dead += totals.dead;
            succeeded += totals.succeeded;
        }
        let ends = |state| ended.values().filter(|e| e[0] == state).count() as u64;
        assert_eq!((failed, dead), (ends(State::Failure), ends(State::Dead)));
        // What was put in without our knowing it (its answer was lost) has ended as well.
        assert!(succeeded >= ends(State::Success), "{succeeded}");
    }

    /// How each message ended, once for each finish that shows: the dead set keeps one entry for each, a SUCCESS its record.
    async fn look_for_ends(
        &self,
        broker: &RedisBroker,
        owed: &HashMap<TaskId, Sent>,
        ended: &mut HashMap<TaskId, Vec<State>>,
    ) {
        ended.retain(|_, ends| ends.as_slice() == [State::Success]);
        for queue in &self.shared.queues {
            for dead in broker.dead(queue, 0, 1000).await.unwrap() {
                let message =
                    Message::decode(&dead.body).expect("only messages that decode were sent");
                ended.entry(message.id).or_default().push(dead.state);
            }
        }
        let meddled = self.shared.mix.meddle;
        for (id, sent) in owed {
            if (sent.succeeds || meddled) && !ended.contains_key(id) {
                let record = broker.record(*id, Some(&sent.queue)).await.unwrap();
                let state = record.map(|r| r.state);
                if let Some(state @ (State::Success | State::Revoked)) = state {
                    ended.insert(*id, vec![state]);
                }
            }
        }
    }

    fn accepted(&self) -> HashMap<TaskId, Sent> {
        self.shared.accepted.lock().unwrap().clone()
    }
}

/// Sends batches through the wire until the run is quiet; what `enqueue` answered Ok to is accepted.
async fn produce(shared: Arc<Shared>, seed: u64, span: Duration) {
    let broker = RedisBroker::new(&shared.url).unwrap();
    let mut rng = StdRng::seed_from_u64(seed + 100);
    // Where connections fall silent, a batch is given up before the broker's own deadline for one try.
    let patience = Duration::from_secs(if shared.mix.mute { 1 } else { 3 });
    let mut sent = 0;
    // Batches of 4.5 in the mean, so that there is something to send until the faults end.
    let most_ms = 2 * 9 * span.as_millis() as u64 / (2 * MESSAGES as u64);
    while !shared.is_quiet() && sent < MESSAGES {
        let queue = shared.queues[rng.random_range(0..3)].clone();
        let n = rng.random_range(1..=8);
        send(&shared, &broker, &queue, sent..sent + n, patience).await;
        sent += n;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..=most_ms))).await;
    }
    // The last word at each queue: a client whose connection fell silent must have got over it.
    while !shared.is_quiet() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for queue in &shared.queues {
        let mut tries = 0;
        while !send(&shared, &broker, queue, sent..sent + 1, patience).await {
            tries += 1;
            assert!(
                tries < 3,
                "the producer is deaf: {queue} takes nothing more"
            );
        }
    }
}

async fn send(
    shared: &Shared,
    broker: &RedisBroker,
    queue: &QueueName,
    numbers: std::ops::Range<usize>,
    patience: Duration,
) -> bool {
    let batch: Vec<Outgoing> = numbers.map(|n| message(shared, queue, n)).collect();
    let accepted = broker.enqueue(queue, &batch, patience).await.is_ok();
    if accepted {
        let sent = |m: &Outgoing| Sent {
            queue: queue.clone(),
            succeeds: m.record.as_ref().is_some_and(|r| r.task == "succeed"),
        };
        for message in &batch {
            shared.orders.accepted(queue, message.id);
        }
        let batch = batch.iter().map(|m| (m.id, sent(m)));
        shared.accepted.lock().unwrap().extend(batch);
    }
    accepted
}

fn message(shared: &Shared, queue: &QueueName, n: usize) -> Outgoing {
    let poison = shared.mix.poison;
    let poisonous = n > 0 && n <= 7 * poison && n.is_multiple_of(7);
    let mut message = Message::new(match n % 10 {
        _ if poisonous => "poison",
        1 | 4 | 8 => "succeed",
        _ => "fail",
    });
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
        due: if n.is_multiple_of(if shared.mix.meddle { 3 } else { 11 }) {
            Due::In(Duration::from_millis(150))
        } else {
            Due::Now
        },
        record: Some(Record::new(message.id, &message.task, queue, State::Queued)),
        once: None,
        event: None,
    }
}
