//! What only a file can suffer: the death of all its processes, and another file in its place.

mod child;
mod crowded;
mod gone;
mod killed;
mod listed;
mod put_back;
mod restored;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use taskq_core::broker::sqlite::SqliteBroker;
use taskq_core::broker::{
    Broker, Consumer, ConsumerOptions, Delivery, Due, End, Inspect, Order, Outgoing, Results,
    Verdict,
};
use taskq_core::fleet::WorkerCard;
use taskq_core::{Error, Message, QueueName, Record, State, TaskId};
use tempfile::TempDir;
use tokio::time::sleep;

/// Sessions outlive their last beat by so much.
const LEASE: Duration = Duration::from_secs(1);

/// What does not come within this never comes: no measure.
const NEVER: Duration = Duration::from_secs(60);

/// A file in a folder of its own.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("taskq.db")
    }

    /// A copy as a backup makes it, of one moment and in one file.
    fn back_up(&self) -> PathBuf {
        let copy = self.path("copy.db");
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        let sql = "VACUUM INTO ?1";
        connection.execute(sql, [copy.to_str().unwrap()]).unwrap();
        copy
    }
}

fn queue() -> QueueName {
    QueueName::default()
}

fn message(id: TaskId) -> Outgoing {
    let mut message = Message::new("t");
    message.id = id;
    // Kills are real losses of a process; some of them would end an unlucky innocent.
    message.max_crashes = Some(9);
    Outgoing {
        id,
        body: Bytes::from(message.encode().unwrap()),
        priority: 0,
        due: Due::Now,
        record: Some(Record::new(id, "t", &queue(), State::Queued)),
        once: None,
        event: None,
    }
}

/// The card of a worker: all of them go by the same name.
fn card(id: &str) -> WorkerCard {
    WorkerCard {
        id: id.into(),
        ..WorkerCard::double("w1@host")
    }
}

async fn send(broker: &SqliteBroker, n: usize) -> Result<Vec<TaskId>, Error> {
    let batch: Vec<Outgoing> = (0..n).map(|_| message(TaskId::random())).collect();
    broker
        .enqueue(&queue(), &batch, Duration::from_secs(10))
        .await?;
    Ok(batch.iter().map(|m| m.id).collect())
}

async fn consume(path: &Path) -> (SqliteBroker, Arc<dyn Consumer>) {
    consume_for(path, LEASE).await
}

async fn consume_for(path: &Path, lease: Duration) -> (SqliteBroker, Arc<dyn Consumer>) {
    consume_at(path, queue(), lease).await
}

async fn consume_at(
    path: &Path,
    queue: QueueName,
    lease: Duration,
) -> (SqliteBroker, Arc<dyn Consumer>) {
    let broker = SqliteBroker::open(path).unwrap();
    let options = ConsumerOptions {
        queues: vec![queue.into()],
        order: Order::default(),
        lease,
        node: "w".into(),
    };
    let consumer = broker.consume(options).await.unwrap();
    (broker, consumer)
}

fn id(delivery: &Delivery) -> TaskId {
    Message::decode(&delivery.body).unwrap().id
}

/// Ends these as SUCCESS; how many counted.
async fn finish(consumer: &dyn Consumer, got: &[Delivery]) -> Result<usize, Error> {
    let verdict = |delivery: &Delivery| Verdict {
        receipt: delivery.receipt,
        end: End::Done,
        record: Some(Record::new(id(delivery), "t", &queue(), State::Success)),
        event: None,
    };
    let verdicts = got.iter().map(verdict).collect();
    Ok(consumer.finish(&queue(), verdicts).await?.applied)
}

/// A worker of its own works off what there is, until nothing is left.
async fn work_off(path: &Path) -> SqliteBroker {
    let (broker, consumer) = consume(path).await;
    let until = Instant::now() + NEVER;
    loop {
        let depth = broker.depth(&queue()).await.unwrap();
        let left = depth.waiting + depth.suspects + depth.delayed + depth.in_flight;
        if left == 0 {
            return broker;
        }
        assert!(Instant::now() < until, "{depth:?} are left");
        consumer.beat().await.unwrap();
        consumer.sweep().await.unwrap();
        let wait = Duration::from_millis(50);
        let got = consumer.claim(100, wait).await.unwrap();
        if !got.is_empty() {
            finish(&*consumer, &got).await.unwrap();
        }
    }
}

/// All of these have ended as SUCCESS.
async fn all_ended(broker: &SqliteBroker, accepted: &HashSet<TaskId>) {
    for &id in accepted {
        let record = broker.record(id, Some(&queue())).await.unwrap();
        let state = record.map(|record| record.state);
        assert_eq!(state, Some(State::Success), "{id}");
    }
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + NEVER;
    while !is_so().await {
        assert!(Instant::now() < until, "{what}: it never was so");
        sleep(Duration::from_millis(5)).await;
    }
}
