//! Who sends, while all else goes wrong; and what was sent.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taskq_core::broker::{Backend, Due, Outgoing};
use taskq_core::clock::now_ms;
use taskq_core::{Message, QueueName, Record, State, TaskId};
use tokio::time::sleep;

use super::books::Books;
use super::site::Site;

/// Bounded by what one reading of a dead set shows.
const MESSAGES: usize = 900;

/// What was sent where.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) queue: QueueName,
    pub(super) succeeds: bool,
    /// When it was asked for, and when it was answered.
    since: u64,
    at: u64,
}

#[derive(Debug)]
pub(super) struct Producer {
    site: Arc<Site>,
    books: Arc<Books>,
    broker: Arc<dyn Backend>,
    accepted: Mutex<HashMap<TaskId, Sent>>,
    poison: Mutex<HashSet<TaskId>>,
}

impl Producer {
    pub(super) fn new(site: Arc<Site>, books: Arc<Books>, broker: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self {
            site,
            books,
            broker,
            accepted: Mutex::default(),
            poison: Mutex::default(),
        })
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    pub(super) fn poison(&self) -> HashSet<TaskId> {
        self.poison.lock().unwrap().clone()
    }

    /// What was accepted and not forgotten by a rollback since.
    pub(super) fn owed(&self) -> HashMap<TaskId, Sent> {
        let mut owed = self.accepted.lock().unwrap().clone();
        owed.retain(|_, sent| !self.books.acks.forgets(sent.since, sent.at));
        owed
    }

    /// Sends batches until the run is quiet; what `enqueue` answered Ok to is accepted.
    pub(super) async fn produce(self: Arc<Self>, seed: u64, span: Duration) {
        let (site, mut rng) = (&self.site, StdRng::seed_from_u64(seed + 100));
        // Where connections fall silent, a batch is given up before the broker's own deadline for one try.
        let patience = Duration::from_secs(if site.mix.mute { 1 } else { 3 });
        let mut sent = 0;
        // Batches of 4.5 in the mean, so that there is something to send until the faults end.
        let most_ms = 2 * 9 * span.as_millis() as u64 / (2 * MESSAGES as u64);
        while !site.is_quiet() && sent < MESSAGES {
            self.flood(patience).await;
            let queue = &site.queues[rng.random_range(0..3)];
            let n = rng.random_range(1..=8);
            self.send(queue, self.batch(queue, sent..sent + n), patience)
                .await;
            sent += n;
            sleep(Duration::from_millis(rng.random_range(0..=most_ms))).await;
        }
        // The last word at each queue: a client whose connection fell silent must have got over it.
        while !site.is_quiet() {
            self.flood(patience).await;
            sleep(Duration::from_millis(20)).await;
        }
        for queue in &site.queues {
            let mut tries = 0;
            while !self
                .send(queue, self.batch(queue, sent..sent + 1), patience)
                .await
            {
                tries += 1;
                assert!(
                    tries < 3,
                    "the producer is deaf: {queue} takes nothing more"
                );
            }
        }
    }

    /// There is enough for two processes to take, until a sweep of what one of them held was cut off.
    async fn flood(&self, patience: Duration) {
        let (flood, queue) = (self.site.mix.flood, &self.site.queues[0]);
        if flood == 0 || self.books.sweepers.load(Ordering::Relaxed) > 0 {
            return;
        }
        let depth = self.broker.depth(queue).await;
        if depth.is_ok_and(|depth| depth.waiting < 500) {
            for _ in 0..flood / 500 {
                let batch: Vec<Outgoing> = (0..500)
                    .map(|_| self.message(queue, "succeed", Due::Now))
                    .collect();
                self.send(queue, batch, patience).await;
            }
        }
    }

    async fn send(&self, queue: &QueueName, batch: Vec<Outgoing>, patience: Duration) -> bool {
        let since = now_ms();
        if self.broker.enqueue(queue, &batch, patience).await.is_err() {
            return false;
        }
        let sent = |m: &Outgoing| Sent {
            queue: queue.clone(),
            succeeds: m.record.as_ref().is_some_and(|r| r.task == "succeed"),
            since,
            at: now_ms(),
        };
        for message in &batch {
            self.books.orders.accepted(queue, message.id);
        }
        let batch = batch.iter().map(|m| (m.id, sent(m)));
        self.accepted.lock().unwrap().extend(batch);
        true
    }

    fn batch(&self, queue: &QueueName, numbers: Range<usize>) -> Vec<Outgoing> {
        let mix = self.site.mix;
        numbers
            .map(|n| {
                let is_poison = n > 0 && n <= 7 * mix.poison && n.is_multiple_of(7);
                let task = match n % 10 {
                    _ if is_poison => "poison",
                    1 | 4 | 8 => "succeed",
                    _ => "fail",
                };
                let due = match n.is_multiple_of(if mix.meddle { 3 } else { 11 }) {
                    true => Due::In(Duration::from_millis(150)),
                    false => Due::Now,
                };
                self.message(queue, task, due)
            })
            .collect()
    }

    fn message(&self, queue: &QueueName, task: &str, due: Due) -> Outgoing {
        let mut message = Message::new(task);
        if task == "poison" {
            self.poison.lock().unwrap().insert(message.id);
        } else if self.site.mix.poison == 0 {
            // Kills and pauses are real losses of a process; three of them would end an unlucky innocent.
            message.max_crashes = Some(9);
        }
        Outgoing {
            id: message.id,
            body: Bytes::from(message.encode().unwrap()),
            priority: 0,
            due,
            record: Some(Record::new(message.id, task, queue, State::Queued)),
            once: None,
            event: None,
        }
    }
}
