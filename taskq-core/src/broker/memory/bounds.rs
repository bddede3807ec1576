//! What the conformance suite cannot ask of every broker: this one's bounds, and what it leaves behind.

use std::time::Duration;

use bytes::Bytes;

use super::{MemoryBroker, RAW_LIMIT};
use crate::broker::{
    Broker, ConsumerOptions, Due, End, Inspect, Once, Order, Outgoing, Results, Verdict, Wanted,
};
use crate::error::ErrorKind;
use crate::event::{EventPosition, Told};
use crate::id::{QueueName, TaskId};
use crate::message::Message;
use crate::record::Record;
use crate::state::State;

pub(super) fn options(queue: &QueueName) -> ConsumerOptions {
    ConsumerOptions {
        queues: vec![queue.clone().into()],
        order: Order::default(),
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

/// A message of which everything is kept that can be kept: a record, a key, an event.
pub(super) fn kept(queue: &QueueName, key: usize) -> Outgoing {
    let message = Message::new("t");
    let record = Record::new(message.id, "t", queue, State::Queued);
    Outgoing {
        id: message.id,
        body: message.encode().unwrap().into(),
        priority: 0,
        due: Due::Now,
        record: Some(record),
        once: Some(Once {
            key: key.to_string(),
            held_for: Duration::from_secs(60),
        }),
        event: Some(Told::sent(&message)),
    }
}

#[tokio::test]
async fn idempotency_keys_are_bounded_by_their_number() {
    let broker = MemoryBroker::with_still_clock();
    let queue = QueueName::default();
    let fits = super::once::MAX_KEYS;
    let keys: Vec<usize> = (0..fits).collect();
    for some in keys.chunks(999) {
        let batch: Vec<_> = some.iter().map(|key| kept(&queue, *key)).collect();
        broker
            .enqueue(&queue, &batch, Duration::ZERO)
            .await
            .unwrap();
    }
    let one_more = [kept(&queue, fits)];
    let refused = broker.enqueue(&queue, &one_more, Duration::ZERO).await;
    assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Refused));
    // A key that is held needs no room, and one whose time is over leaves some.
    let again = [kept(&queue, 7)];
    let known = broker.enqueue(&queue, &again, Duration::ZERO);
    assert_eq!(known.await.unwrap().duplicates.len(), 1);
    broker.advance(Duration::from_secs(61));
    let accepted = broker.enqueue(&queue, &one_more, Duration::ZERO);
    assert!(accepted.await.unwrap().duplicates.is_empty());
}

#[tokio::test]
async fn a_reader_that_is_too_slow_hears_that_it_missed_some() {
    let broker = MemoryBroker::with_still_clock();
    let queue = QueueName::default();
    let send = async |n: usize| {
        let batch: Vec<_> = (0..n)
            .map(|_| Outgoing {
                once: None,
                ..kept(&queue, 0)
            })
            .collect();
        broker
            .enqueue(&queue, &batch, Duration::ZERO)
            .await
            .unwrap();
    };
    let read = async |after: &EventPosition| broker.events(after, Duration::ZERO).await.unwrap();
    send(1).await;
    let slow = read(&EventPosition::oldest()).await.next;
    for _ in 0..10 {
        send(999).await;
    }
    // Nothing it had not read was dropped by now.
    assert!(!read(&slow).await.missed);
    for _ in 0..10 {
        send(999).await;
    }
    let page = read(&slow).await;
    assert!(page.missed && !page.events.is_empty());
    assert!(!read(&page.next).await.missed);
    assert!(!read(&EventPosition::oldest()).await.missed);
}

#[tokio::test]
async fn the_reader_of_another_broker_hears_that_it_missed_all() {
    let (old, new) = (
        MemoryBroker::with_still_clock(),
        MemoryBroker::with_still_clock(),
    );
    let queue = QueueName::default();
    let sent = kept(&queue, 1);
    for broker in [&old, &new] {
        broker
            .enqueue(&queue, std::slice::from_ref(&sent), Duration::ZERO)
            .await
            .unwrap();
    }
    let oldest = EventPosition::oldest();
    let there = old.events(&oldest, Duration::ZERO).await.unwrap().next;
    let page = new.events(&there, Duration::ZERO).await.unwrap();
    assert!(page.missed);
    assert_eq!(page.events.len(), 1);
    let again = new.events(&page.next, Duration::ZERO).await.unwrap();
    assert!(again.events.is_empty() && !again.missed);
}

#[tokio::test]
async fn a_watch_that_is_dropped_leaves_nothing_behind() {
    let broker = MemoryBroker::with_still_clock();
    let queue = QueueName::default();
    let sent: Vec<_> = (0..3).map(|key| kept(&queue, key)).collect();
    broker.enqueue(&queue, &sent, Duration::ZERO).await.unwrap();
    let wanted = |out: &Outgoing| Wanted {
        id: out.id,
        queue: (out.id != sent[0].id).then(|| queue.clone()),
    };
    let wanted: Vec<_> = sent.iter().map(wanted).collect();
    let mut watch = broker
        .watch(wanted.clone(), Duration::from_secs(60))
        .await
        .unwrap();
    let other = broker.watch(wanted, Duration::from_secs(60)).await.unwrap();
    assert!(!broker.shared.lock().waiters.is_empty());
    let consumer = broker.consume(options(&queue)).await.unwrap();
    let got = consumer.claim(1, Duration::ZERO).await.unwrap();
    let done = Verdict {
        receipt: got[0].receipt,
        end: End::Done,
        record: Some(Record::new(sent[0].id, "t", &queue, State::Success)),
        event: None,
    };
    consumer.finish(&queue, vec![done]).await.unwrap();
    assert!(watch.next().await.unwrap().is_some());
    drop(watch);
    assert!(!broker.shared.lock().waiters.is_empty());
    drop(other);
    assert!(broker.shared.lock().waiters.is_empty());
}

#[tokio::test]
async fn a_sweep_drops_all_that_is_past_its_time() {
    let broker = MemoryBroker::with_still_clock();
    let (queue, elsewhere) = (QueueName::default(), QueueName::new("elsewhere").unwrap());
    let consumer = broker.consume(options(&queue)).await.unwrap();
    broker
        .enqueue(&elsewhere, &[kept(&elsewhere, 1)], Duration::ZERO)
        .await
        .unwrap();
    broker
        .enqueue(&queue, &[kept(&queue, 1)], Duration::ZERO)
        .await
        .unwrap();
    broker.advance(Duration::from_secs(8 * 24 * 3_600));
    // Nobody reads or writes there: it is the sweep that drops.
    consumer.sweep().await.unwrap();
    let store = broker.shared.lock();
    for queue in store.queues.values() {
        assert!(queue.records.is_empty() && queue.keys.is_empty());
        assert_eq!(queue.stream.dropped(), queue.stream.newest());
    }
}
