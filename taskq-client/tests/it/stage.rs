//! What the tests play on: a memory broker that can fail reads, and workers that do as they are told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use taskq_client::{
    Client, Error, ErrorKind, Failure, QueueName, Record, Signature, State, TaskId, WorkerCard,
};
use taskq_core::Message;
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{
    Backend, Consumer, ConsumerOptions, Delivery, End, Order, Results, Verdict, Wanted, Watch,
    Wraps,
};
use taskq_core::control::Reply;

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

/// The card of a worker called `node`, at the default queue.
pub(crate) fn card(node: &str) -> WorkerCard {
    WorkerCard {
        queues: vec![QueueName::default()],
        ..WorkerCard::double(node)
    }
}

#[async_trait]
impl Wraps for Stage {
    fn inner(&self) -> &dyn Backend {
        &self.memory
    }

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

    async fn purge(&self, queue: &QueueName, most: usize) -> Result<usize, Error> {
        let sends = self.at_purge.lock().unwrap().clone();
        if let Some((client, n)) = sends {
            let calls = (0..n).map(|_| Signature::<i64>::by_name("t").queue(queue.as_str()));
            client.send_many(calls.collect()).await;
        }
        self.inner().purge(queue, most).await
    }
}
