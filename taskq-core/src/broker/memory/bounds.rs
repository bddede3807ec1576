//! What the conformance suite cannot ask of every broker: this one's bounds, and its running clock.

use std::time::Duration;

use bytes::Bytes;

use super::{MemoryBroker, RAW_LIMIT};
use crate::broker::{Broker, ConsumerOptions, Due, End, Inspect, Outgoing, Verdict};
use crate::error::ErrorKind;
use crate::id::{QueueName, TaskId};

fn options(queue: &QueueName) -> ConsumerOptions {
    ConsumerOptions {
        queues: vec![queue.clone()],
        lease: Duration::from_secs(60),
        node: "bench".into(),
    }
}

#[tokio::test]
async fn what_is_full_refuses_until_something_ends() {
    let broker = MemoryBroker::with_still_clock();
    let queue = QueueName::default();
    let body = Bytes::from(vec![b'x'; RAW_LIMIT]);
    let fits = super::store::MAX_MESSAGE_BYTES / RAW_LIMIT;
    for _ in 0..fits {
        broker.push_raw(&queue, 0, body.clone()).unwrap();
    }
    let refused = broker.push_raw(&queue, 0, "x").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let out = Outgoing {
        id: TaskId::random(),
        body: Bytes::from_static(b"{}"),
        priority: 0,
        due: Due::Now,
        record: None,
        once: None,
        event: None,
    };
    let refused = broker
        .enqueue(&queue, std::slice::from_ref(&out), Duration::ZERO)
        .await;
    assert!(refused.is_err_and(|e| e.is_transient()));

    let consumer = broker.consume(options(&queue)).await.unwrap();
    let got = consumer.claim(1, Duration::ZERO).await.unwrap();
    let done = Verdict {
        receipt: got[0].receipt,
        end: End::Done,
        record: None,
        event: None,
    };
    consumer.finish(&queue, vec![done]).await.unwrap();
    broker
        .enqueue(&queue, &[out], Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(broker.depth(&queue).await.unwrap().waiting, fits as u64);
}

#[tokio::test]
async fn small_messages_are_bounded_by_their_number() {
    let broker = MemoryBroker::with_still_clock();
    let queue = QueueName::default();
    let fits = super::store::MAX_MESSAGES;
    let batch = vec![
        Outgoing {
            id: TaskId::NIL,
            body: Bytes::from_static(b"{}"),
            priority: 0,
            due: Due::Now,
            record: None,
            once: None,
            event: None,
        };
        999
    ];
    for _ in 0..fits / 999 {
        broker
            .enqueue(&queue, &batch, Duration::ZERO)
            .await
            .unwrap();
    }
    let refused = broker.enqueue(&queue, &batch, Duration::ZERO).await;
    assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Refused));
    let waiting = broker.depth(&queue).await.unwrap().waiting;
    assert_eq!(waiting, (fits / 999 * 999) as u64);
}

#[tokio::test]
async fn there_are_at_most_a_thousand_queues() {
    let broker = MemoryBroker::with_still_clock();
    for n in 0..super::store::MAX_QUEUES {
        let queue = QueueName::new(&format!("q{n}")).unwrap();
        broker.push_raw(&queue, 0, "{}").unwrap();
    }
    let one_more = QueueName::new("one-more").unwrap();
    let refused = broker.push_raw(&one_more, 0, "{}").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(broker.consume(options(&one_more)).await.is_err());
    let known = QueueName::new("q7").unwrap();
    broker.push_raw(&known, 0, "{}").unwrap();
}

#[tokio::test]
async fn a_running_clock_brings_what_is_due_by_itself() {
    let broker = MemoryBroker::new();
    let queue = QueueName::default();
    let later = Outgoing {
        id: TaskId::random(),
        body: Bytes::from_static(b"{}"),
        priority: 0,
        due: Due::In(Duration::from_millis(30)),
        record: None,
        once: None,
        event: None,
    };
    broker
        .enqueue(&queue, &[later], Duration::ZERO)
        .await
        .unwrap();
    let consumer = broker.consume(options(&queue)).await.unwrap();
    let mut got = Vec::new();
    for _ in 0..30 {
        got = consumer.claim(1, Duration::from_secs(1)).await.unwrap();
        if !got.is_empty() {
            break;
        }
    }
    assert_eq!(got.len(), 1);
}
