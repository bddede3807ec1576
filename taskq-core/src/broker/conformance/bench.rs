//! What cases work with: one broker, one queue, and short words for what they do to them.

use std::sync::Arc;
use std::time::Duration;

use super::Harness;
use crate::broker::{
    Backend, Consumer, ConsumerOptions, Delivery, Depth, Due, Finished, Order, Outgoing, Served,
    Swept, Verdict,
};
use crate::error::Error;
use crate::event::{Attempt, Event, EventPosition, Fact, TaskEvent};
use crate::id::{QueueName, TaskId};
use crate::message::Message;
use crate::record::Record;
use crate::state::State;

const SEND_DEADLINE: Duration = Duration::from_secs(30);

/// A broker under test.
#[derive(Debug)]
pub struct Bench {
    /// A connection to it.
    pub broker: Arc<dyn Backend>,
    /// The queue that cases use when one is enough.
    pub queue: QueueName,
    harness: Box<dyn Harness>,
}

impl Bench {
    /// A bench at a fresh broker.
    ///
    /// # Errors
    /// Those of [`Harness::connect`].
    pub async fn new(harness: impl Harness) -> Result<Self, Error> {
        Ok(Self {
            broker: harness.connect().await?,
            queue: QueueName::new("conformance")?,
            harness: Box::new(harness),
        })
    }

    /// Another connection to the same broker.
    ///
    /// # Errors
    /// Those of [`Harness::connect`].
    pub async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        self.harness.connect().await
    }

    /// The lease in use.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.harness.lease()
    }

    /// A message that tells its number.
    ///
    /// # Errors
    /// None in practice.
    pub fn message(number: usize) -> Result<Message, Error> {
        let mut message = Message::new("conformance.task");
        let args = serde_json::value::to_raw_value(&[number]);
        message.args = Some(args.map_err(|e| Error::invalid("a number").because(e))?);
        Ok(message)
    }

    /// The message on its way into `queue`, due at once, tracked unless it says otherwise.
    ///
    /// # Errors
    /// Those of [`Message::encode`].
    pub fn outgoing(queue: &QueueName, message: &Message) -> Result<Outgoing, Error> {
        let record = Record::new(message.id, &message.task, queue, State::Queued);
        Ok(Outgoing {
            id: message.id,
            body: message.encode()?.into(),
            priority: message.priority,
            due: Due::Now,
            record: (!message.ignore_result).then_some(record),
            once: None,
            event: None,
        })
    }

    /// Sends `n` tracked messages as one batch.
    ///
    /// # Errors
    /// The broker's.
    pub async fn send(&self, n: usize) -> Result<Vec<TaskId>, Error> {
        self.send_to(&self.queue, n).await
    }

    /// Sends `n` tracked messages as one batch to `queue`.
    ///
    /// # Errors
    /// The broker's.
    pub async fn send_to(&self, queue: &QueueName, n: usize) -> Result<Vec<TaskId>, Error> {
        let messages: Vec<_> = (0..n).map(Self::message).collect::<Result<_, _>>()?;
        let batch: Result<Vec<_>, _> = messages.iter().map(|m| Self::outgoing(queue, m)).collect();
        self.broker.enqueue(queue, &batch?, SEND_DEADLINE).await?;
        Ok(messages.iter().map(|m| m.id).collect())
    }

    /// Sends one message, due at once.
    ///
    /// # Errors
    /// The broker's.
    pub async fn send_message(&self, message: &Message) -> Result<(), Error> {
        self.enqueue(&[Self::outgoing(&self.queue, message)?]).await
    }

    /// Sends one message for later.
    ///
    /// # Errors
    /// The broker's.
    pub async fn send_due(&self, message: &Message, due: Due) -> Result<(), Error> {
        let mut out = Self::outgoing(&self.queue, message)?;
        out.due = due;
        if let Some(record) = &mut out.record {
            record.state = State::Scheduled;
        }
        self.enqueue(&[out]).await
    }

    /// Sends a batch.
    ///
    /// # Errors
    /// The broker's.
    pub async fn enqueue(&self, batch: &[Outgoing]) -> Result<(), Error> {
        let accepted = self.broker.enqueue(&self.queue, batch, SEND_DEADLINE);
        accepted.await.map(drop)
    }

    /// Pushes bytes as a foreign producer.
    ///
    /// # Errors
    /// The harness'.
    pub async fn push_raw(&self, priority: u8, body: &[u8]) -> Result<(), Error> {
        self.harness.push_raw(&self.queue, priority, body).await
    }

    /// A consumer at the one queue.
    ///
    /// # Errors
    /// The broker's.
    pub async fn consumer(&self) -> Result<Arc<dyn Consumer>, Error> {
        self.consumer_at(std::slice::from_ref(&self.queue)).await
    }

    /// A consumer at several queues.
    ///
    /// # Errors
    /// The broker's.
    pub async fn consumer_at(&self, queues: &[QueueName]) -> Result<Arc<dyn Consumer>, Error> {
        let queues = queues.iter().cloned().map(Served::from).collect();
        self.consumer_of(queues, Order::default()).await
    }

    /// A consumer at several queues, in an order.
    ///
    /// # Errors
    /// The broker's.
    pub async fn consumer_of(
        &self,
        queues: Vec<Served>,
        order: Order,
    ) -> Result<Arc<dyn Consumer>, Error> {
        let options = ConsumerOptions {
            queues,
            order,
            lease: self.lease(),
            node: "bench".into(),
        };
        self.broker.consume(options).await
    }

    /// Claims until `n` deliveries have come.
    ///
    /// # Panics
    /// When fewer come, or more than were asked for.
    ///
    /// # Errors
    /// The broker's.
    pub async fn deliver(&self, to: &Arc<dyn Consumer>, n: usize) -> Result<Vec<Delivery>, Error> {
        let mut got: Vec<Delivery> = Vec::with_capacity(n);
        let mut empty = 0;
        while got.len() < n && empty < 20 {
            let asked = n - got.len();
            let more = to.claim(asked, Duration::from_millis(200)).await?;
            assert!(more.len() <= asked, "asked for {asked}, got {}", more.len());
            empty = if more.is_empty() { empty + 1 } else { 0 };
            got.extend(more);
        }
        assert_eq!(got.len(), n, "{n} messages should have come");
        Ok(got)
    }

    /// Claims and finds nothing.
    ///
    /// # Panics
    /// When something comes.
    ///
    /// # Errors
    /// The broker's.
    pub async fn nothing_for(&self, consumer: &Arc<dyn Consumer>) -> Result<(), Error> {
        let got = consumer.claim(10, Duration::ZERO).await?;
        assert!(got.is_empty(), "nothing should have come: {got:?}");
        Ok(())
    }

    /// Ends deliveries of the one queue.
    ///
    /// # Errors
    /// The broker's.
    pub async fn finish(
        &self,
        consumer: &Arc<dyn Consumer>,
        verdicts: Vec<Verdict>,
    ) -> Result<Finished, Error> {
        consumer.finish(&self.queue, verdicts).await
    }

    /// Ends deliveries of the one queue; all must count.
    ///
    /// # Panics
    /// When one does not count.
    ///
    /// # Errors
    /// The broker's.
    pub async fn settle(
        &self,
        consumer: &Arc<dyn Consumer>,
        verdicts: Vec<Verdict>,
    ) -> Result<(), Error> {
        let applied = verdicts.len();
        let finished = self.finish(consumer, verdicts).await?;
        assert_eq!(finished, Finished { applied, lost: 0 });
        Ok(())
    }

    /// Moves the clock at once; all are silent meanwhile.
    ///
    /// # Errors
    /// The harness'.
    pub async fn advance(&self, by: Duration) -> Result<(), Error> {
        self.harness.advance(by).await
    }

    /// Lets time pass in which only `living` beat, every fifth of a lease.
    ///
    /// # Errors
    /// The broker's.
    pub async fn pass(&self, time: Duration, living: &[&Arc<dyn Consumer>]) -> Result<(), Error> {
        let beat = self.lease() / 5;
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(beat);
            self.advance(step).await?;
            left -= step;
            for consumer in living {
                consumer.beat().await?;
            }
        }
        Ok(())
    }

    /// Lets everybody but `by` be past its lease, and has `by` sweep until there is nothing left to give back.
    ///
    /// # Errors
    /// The broker's.
    pub async fn reclaim(&self, by: &Arc<dyn Consumer>) -> Result<Swept, Error> {
        self.pass(self.lease() * 7 / 5, &[by]).await?;
        let mut all = Swept::default();
        loop {
            let swept = by.sweep().await?;
            if swept == Swept::default() {
                return Ok(all);
            }
            all.returned += swept.returned;
            all.dead += swept.dead;
        }
    }

    /// The record of `id` in the one queue.
    ///
    /// # Panics
    /// When there is none.
    ///
    /// # Errors
    /// The broker's.
    pub async fn record(&self, id: TaskId) -> Result<Record, Error> {
        let record = self.broker.record(id, Some(&self.queue)).await?;
        let Some(record) = record else {
            panic!("{id} should have a record");
        };
        assert_eq!(record.id, id, "a record knows its id");
        Ok(record)
    }

    /// The state of `id` in the one queue, if it has a record.
    ///
    /// # Errors
    /// The broker's.
    pub async fn state(&self, id: TaskId) -> Result<Option<State>, Error> {
        let record = self.broker.record(id, Some(&self.queue)).await?;
        Ok(record.map(|r| r.state))
    }

    /// What lies in the one queue.
    ///
    /// # Errors
    /// The broker's.
    pub async fn depth(&self) -> Result<Depth, Error> {
        self.broker.depth(&self.queue).await
    }

    /// Everything that was told and is still kept, page by page.
    ///
    /// # Panics
    /// When the broker says that some of it was missed.
    ///
    /// # Errors
    /// The broker's.
    pub async fn told(&self) -> Result<Vec<Event>, Error> {
        let mut told = Vec::new();
        let mut position = EventPosition::oldest();
        loop {
            let page = self.broker.events(&position, Duration::ZERO).await?;
            assert!(!page.missed, "events were missed");
            if page.events.is_empty() {
                return Ok(told);
            }
            assert_ne!(page.next, position, "a page is behind the one before");
            told.extend(page.events);
            position = page.next;
        }
    }

    /// Everything that was told about tasks.
    ///
    /// # Panics
    /// As [`told`](Self::told).
    ///
    /// # Errors
    /// The broker's.
    pub async fn told_of_tasks(&self) -> Result<Vec<TaskEvent>, Error> {
        let told = self.told().await?.into_iter();
        Ok(told
            .filter_map(|event| match event.fact {
                Fact::Task(task) => Some(*task),
                Fact::Worker(_) => None,
            })
            .collect())
    }

    /// The broker's time, as a claim tells it: ms since the epoch.
    ///
    /// # Errors
    /// The broker's.
    pub async fn broker_time(&self) -> Result<u64, Error> {
        let queue = QueueName::new("conformance.time")?;
        self.send_to(&queue, 1).await?;
        let consumer = self.consumer_at(std::slice::from_ref(&queue)).await?;
        let got = self.deliver(&consumer, 1).await?;
        consumer.finish(&queue, vec![super::done(&got[0])]).await?;
        consumer.close().await?;
        Ok(got[0].claimed_at)
    }
}

/// The ids of deliveries, in order.
///
/// # Panics
/// When one can not be decoded.
#[must_use]
pub fn ids(deliveries: &[Delivery]) -> Vec<TaskId> {
    deliveries.iter().map(|d| decoded(d).id).collect()
}

pub(super) fn decoded(delivery: &Delivery) -> Message {
    match Message::decode(&delivery.body) {
        Ok(message) => message,
        Err(e) => panic!("{:?} should be a message: {e}", delivery.body),
    }
}

/// What a worker tells of a run whose beginning was told before.
pub(super) fn attempt(delivery: &Delivery) -> Attempt {
    Attempt {
        message: Arc::new(decoded(delivery)),
        received: None,
        started: None,
        runtime: None,
        said: None,
        traceback: None,
    }
}
