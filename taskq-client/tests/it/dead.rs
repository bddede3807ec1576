//! The dead set through the client: filters, replays and drops over several queues.

use std::sync::Arc;
use std::time::Duration;

use taskq_client::{Client, DeadFilter, Replayed, TaskId};
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{Broker, ConsumerOptions, End, Inspect, Order, Verdict};
use taskq_core::{Message, QueueName, State};

struct Grave {
    memory: MemoryBroker,
    client: Client,
}

fn queue(name: &str) -> QueueName {
    name.parse().unwrap()
}

impl Grave {
    fn new() -> Self {
        let memory = MemoryBroker::with_still_clock();
        let client = Client::builder().over(Arc::new(memory.clone()));
        Self { memory, client }
    }

    /// Ends `body` as dead in a queue.
    async fn bury(&self, at: &str, body: Vec<u8>, reason: &str) {
        self.memory.push_raw(&queue(at), 0, body).unwrap();
        self.bury_what_waits(at, reason).await;
    }

    async fn bury_what_waits(&self, at: &str, reason: &str) {
        let options = ConsumerOptions {
            queues: vec![queue(at).into()],
            order: Order::default(),
            lease: Duration::from_secs(60),
            node: "grave".into(),
        };
        let worker = self.memory.consume(options).await.unwrap();
        let got = worker.claim(999, Duration::ZERO).await.unwrap();
        let verdicts = got.iter().map(|delivery| Verdict {
            receipt: delivery.receipt,
            end: End::Dead {
                state: State::Dead,
                reason: reason.into(),
            },
            record: None,
            event: None,
        });
        worker.finish(&queue(at), verdicts.collect()).await.unwrap();
        worker.close().await.unwrap();
    }

    async fn call(&self, at: &str, task: &str, reason: &str) -> TaskId {
        let message = Message::new(task);
        self.bury(at, message.encode().unwrap(), reason).await;
        message.id
    }

    async fn lie(&self, at: &str) -> (u64, u64) {
        let depth = self.memory.depth(&queue(at)).await.unwrap();
        (depth.dead, depth.waiting)
    }
}

#[tokio::test]
async fn the_newest_of_all_queues_are_listed_and_all_are_counted() {
    let grave = Grave::new();
    let mut ids = Vec::new();
    for (at, task) in [("a", "mail.send"), ("b", "mail.read"), ("a", "book")] {
        ids.push(grave.call(at, task, "Timeout: away").await);
        grave.memory.advance(Duration::from_secs(1));
    }
    grave.bury("b", b"no message".to_vec(), "unreadable").await;
    let listed = async |filter: DeadFilter, limit: usize| {
        let dead = grave.client.dead(&filter, limit).await.unwrap();
        let ids: Vec<_> = dead.calls.iter().map(|call| call.id).collect();
        (ids, dead.fitting, dead.unreadable)
    };
    let all = DeadFilter::default();
    assert_eq!(
        listed(all.clone(), 2).await,
        (vec![None, Some(ids[2])], 4, 1)
    );
    let mail = all.clone().task("mail.*").unwrap();
    assert_eq!(
        listed(mail.clone(), 9).await,
        (vec![Some(ids[1]), Some(ids[0])], 2, 0)
    );
    let here = mail.queue(queue("a"));
    assert_eq!(listed(here, 9).await, (vec![Some(ids[0])], 1, 0));
    let away = all.clone().reason("TIMEOUT").ids([ids[2], ids[1]]);
    assert_eq!(listed(away, 9).await.1, 2);
    assert!(all.task("[").is_err());
}

#[tokio::test]
async fn what_can_not_be_read_stays_when_the_others_are_replayed() {
    let grave = Grave::new();
    for n in 0..700 {
        if n % 100 == 0 {
            grave.memory.push_raw(&queue("a"), 0, "no message").unwrap();
        }
        let message = Message::new("t").encode().unwrap();
        grave.memory.push_raw(&queue("a"), 0, message).unwrap();
    }
    grave.bury_what_waits("a", "no").await;
    let done = grave.client.replay(&DeadFilter::default()).await.unwrap();
    assert_eq!(
        done,
        Replayed {
            replayed: 700,
            unreadable: 7
        }
    );
    assert_eq!(grave.lie("a").await, (7, 700));
    assert_eq!(
        grave
            .client
            .drop_dead(&DeadFilter::default())
            .await
            .unwrap(),
        7
    );
}

#[tokio::test]
async fn what_died_later_is_not_meant() {
    let grave = Grave::new();
    grave.call("a", "t", "first").await;
    let dead = grave.client.dead(&DeadFilter::default(), 1).await.unwrap();
    grave.memory.advance(Duration::from_secs(1));
    grave.call("a", "t", "second").await;
    let told = DeadFilter::default().until(dead.calls[0].at);
    assert_eq!(grave.client.replay(&told).await.unwrap().replayed, 1);
    assert_eq!(grave.lie("a").await, (1, 1));
    assert_eq!(grave.client.drop_dead(&told).await.unwrap(), 0);
}

#[tokio::test]
async fn ages_are_told_by_this_clock() {
    let grave = Grave::new();
    grave.call("a", "t", "no").await;
    let hour = Duration::from_secs(3_600);
    for (filter, fitting) in [
        (DeadFilter::default().older_than(hour), 0),
        (DeadFilter::default().newer_than(hour), 1),
        (DeadFilter::default().older_than(Duration::ZERO), 1),
    ] {
        let dead = grave.client.dead(&filter, 0).await.unwrap();
        assert_eq!((dead.fitting, dead.calls.len()), (fitting, 0), "{filter:?}");
    }
}
