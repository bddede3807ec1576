//! What the tests play on: a memory broker that can fail reads, and workers that do as they are told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use taskq_client::{
    Client, Error, ErrorKind, Failure, PublishedTask, QueueName, Record, Signature, State, TaskId,
    WorkerCard,
};
use taskq_core::Message;
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{
    Accepted, Broker, Consumer, ConsumerOptions, Control, DeadHandle, DeadMessage, DelayedMessage,
    Delivery, Depth, End, Found, Inspect, Order, Outgoing, Replies, Requests, Results, ServerInfo,
    Totals, Verdict, Wanted, Watch,
};
use taskq_core::control::{Reply, Request};
use taskq_core::event::{EventPage, EventPosition};
use taskq_core::revocation::{Revocation, Revocations};

pub(crate) const LONG: Duration = Duration::from_secs(3_600);

/// A memory broker whose next `failing` reads of records, and steps of watches, fail.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) memory: MemoryBroker,
    pub(crate) failing: Arc<AtomicUsize>,
    /// How many watches there were, and the tasks of each.
    pub(crate) watches: Mutex<Vec<usize>>,
    /// How many of them are there now.
    pub(crate) watching: Arc<AtomicUsize>,
    /// How many answers they gave.
    pub(crate) answered: Arc<AtomicUsize>,
    /// Before each purge, so many are sent.
    pub(crate) at_purge: Mutex<Option<(Client, usize)>>,
}

/// A watch that is counted while it lives.
struct Watching {
    inner: Box<dyn Watch>,
    failing: Arc<AtomicUsize>,
    watching: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

fn dark(failing: &AtomicUsize) -> Result<(), Error> {
    let take = |n: usize| n.checked_sub(1);
    match failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
        Ok(_) => Err(Error::new(ErrorKind::Unreachable, "the stage is dark")),
        Err(_) => Ok(()),
    }
}

#[async_trait]
impl Watch for Watching {
    async fn next(&mut self) -> Result<Option<Record>, Error> {
        // What a failing step would have told is lost.
        let record = self.inner.next().await?;
        dark(&self.failing)?;
        self.answered.fetch_add(1, Ordering::SeqCst);
        Ok(record)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watching.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Stage {
    pub(crate) fn new() -> (Arc<Self>, Client) {
        let stage = Arc::new(Self {
            memory: MemoryBroker::new(),
            failing: Arc::default(),
            watches: Mutex::default(),
            watching: Arc::default(),
            answered: Arc::default(),
            at_purge: Mutex::default(),
        });
        let client = Client::builder().over(stage.clone());
        (stage, client)
    }

    /// Takes the next message of `queue`.
    pub(crate) async fn claim(&self, queue: &str) -> (Arc<dyn Consumer>, Delivery, Message) {
        let options = ConsumerOptions {
            queues: vec![QueueName::new(queue).unwrap().into()],
            order: Order::default(),
            lease: Duration::from_secs(60),
            node: "stage".into(),
        };
        let consumer = self.consume(options).await.unwrap();
        loop {
            let claimed = consumer.claim(1, Duration::from_secs(1)).await.unwrap();
            if let Some(delivery) = claimed.into_iter().next() {
                let message = Message::decode(&delivery.body).unwrap();
                return (consumer, delivery, message);
            }
        }
    }

    /// Runs the next message of `queue` and ends it in `state`: with this result, or with an error of this text.
    pub(crate) async fn end_next(&self, queue: &str, state: State, word: &str) {
        let (consumer, delivery, message) = self.claim(queue).await;
        let mut record = Record::new(message.id, &message.task, &delivery.queue, state);
        record.attempts = 4;
        let end = match state {
            State::Failure | State::Dead => End::Dead {
                state,
                reason: word.into(),
            },
            _ => End::Done,
        };
        if state == State::Success {
            record.result = Some(
                to_raw_value(&serde_json::from_str::<serde_json::Value>(word).unwrap()).unwrap(),
            );
        } else {
            record.error = Some(Failure::new("Oops", word));
        }
        let verdict = Verdict {
            receipt: delivery.receipt,
            end,
            record: (!message.ignore_result).then_some(record),
            event: None,
        };
        let finished = consumer
            .finish(&delivery.queue, vec![verdict])
            .await
            .unwrap();
        assert_eq!(finished.applied, 1);
    }

    /// A worker called `node` that answers every ping, or none.
    pub(crate) async fn worker(self: &Arc<Self>, node: &str, answers: bool) {
        let says = answers.then(|| json!({"ok": "pong"}));
        self.worker_saying(node, says).await;
    }

    /// A worker that answers every question so, or none.
    pub(crate) async fn worker_saying(self: &Arc<Self>, node: &str, says: Option<Value>) {
        let card = card(node);
        self.register(&card, &[], LONG).await.unwrap();
        let mut questions = self.listen().await.unwrap();
        let (stage, node) = (self.clone(), node.to_owned());
        tokio::spawn(async move {
            while let Ok(request) = questions.next().await {
                if let Some(says) = says.clone().filter(|_| request.is_for(&node)) {
                    let reply = Reply {
                        id: request.id.clone(),
                        node: node.clone(),
                        body: says,
                        notices: Vec::new(),
                    };
                    stage.reply(&request, reply).await.unwrap();
                }
            }
        });
    }
}

/// The card of a worker called `node`.
pub(crate) fn card(node: &str) -> WorkerCard {
    WorkerCard {
        id: TaskId::random().to_string(),
        node: node.into(),
        host: "bar".into(),
        pid_space: String::new(),
        pid: 7,
        queues: vec![QueueName::default()],
        slots: 1,
        tasks: Vec::new(),
        started: 0,
        lease_ms: 10_000,
        version: "0".into(),
        active: 0,
        processed: 0,
        stopping: false,
        renewed: 0,
    }
}

#[async_trait]
impl Results for Stage {
    async fn record(&self, id: TaskId, queue: Option<&QueueName>) -> Result<Option<Record>, Error> {
        dark(&self.failing)?;
        self.memory.record(id, queue).await
    }

    async fn watch(&self, wanted: Vec<Wanted>, within: Duration) -> Result<Box<dyn Watch>, Error> {
        dark(&self.failing)?;
        self.watches.lock().unwrap().push(wanted.len());
        let inner = self.memory.watch(wanted, within).await?;
        self.watching.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Watching {
            inner,
            failing: self.failing.clone(),
            watching: self.watching.clone(),
            answered: self.answered.clone(),
        }))
    }
}

#[async_trait]
impl Broker for Stage {
    async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        deadline: Duration,
    ) -> Result<Accepted, Error> {
        self.memory.enqueue(queue, batch, deadline).await
    }

    async fn consume(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error> {
        self.memory.consume(options).await
    }

    async fn register(
        &self,
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl: Duration,
    ) -> Result<(), Error> {
        self.memory.register(card, tasks, ttl).await
    }

    async fn withdraw(&self, worker: &str) -> Result<(), Error> {
        self.memory.withdraw(worker).await
    }
}

#[async_trait]
impl Inspect for Stage {
    async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        self.memory.workers().await
    }

    async fn tasks(&self) -> Result<Vec<PublishedTask>, Error> {
        self.memory.tasks().await
    }

    async fn task(&self, name: &str) -> Result<Option<PublishedTask>, Error> {
        self.memory.task(name).await
    }

    async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        self.memory.queues().await
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, Error> {
        self.memory.depth(queue).await
    }

    async fn delayed(&self, queue: &QueueName, limit: usize) -> Result<Vec<DelayedMessage>, Error> {
        self.memory.delayed(queue, limit).await
    }

    async fn find(&self, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
        self.memory.find(queue, id).await
    }

    async fn dead(
        &self,
        queue: &QueueName,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<DeadMessage>, Error> {
        self.memory.dead(queue, skip, limit).await
    }

    async fn revoked(&self, queue: &QueueName) -> Result<Arc<Revocations>, Error> {
        self.memory.revoked(queue).await
    }

    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        self.memory.totals(queue).await
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        self.memory.events(after, wait).await
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        self.memory.server().await
    }
}

#[async_trait]
impl Control for Stage {
    async fn ask(&self, request: Request) -> Result<Box<dyn Replies>, Error> {
        self.memory.ask(request).await
    }

    async fn listen(&self) -> Result<Box<dyn Requests>, Error> {
        self.memory.listen().await
    }

    async fn reply(&self, request: &Request, reply: Reply) -> Result<(), Error> {
        self.memory.reply(request, reply).await
    }

    async fn replay(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        self.memory.replay(queue, dead).await
    }

    async fn discard(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error> {
        self.memory.discard(queue, dead).await
    }

    async fn revoke(&self, queue: &QueueName, what: &[Revocation]) -> Result<(), Error> {
        self.memory.revoke(queue, what).await
    }

    async fn mark_revoked(&self, queue: &QueueName, ids: &[TaskId]) -> Result<Vec<TaskId>, Error> {
        self.memory.mark_revoked(queue, ids).await
    }

    async fn purge(&self, queue: &QueueName, most: usize) -> Result<usize, Error> {
        let sends = self.at_purge.lock().unwrap().clone();
        if let Some((client, n)) = sends {
            let calls = (0..n).map(|_| Signature::<i64>::by_name("t").queue(queue.as_str()));
            client.send_many(calls.collect()).await;
        }
        self.memory.purge(queue, most).await
    }

    async fn pause(&self, queue: &QueueName, by: &str, reason: &str) -> Result<(), Error> {
        self.memory.pause(queue, by, reason).await
    }

    async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.memory.resume(queue).await
    }
}
