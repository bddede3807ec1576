//! What the conformance suite cannot ask of every broker: to be woken at once, and by a clock that runs.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::MemoryBroker;
use super::bounds::{kept, options};
use crate::broker::{Broker, Control, Due, End, Inspect, Outgoing, Results, Verdict, Wanted};
use crate::event::EventPosition;
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::state::State;

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

/// What a future comes to if it is looked at now, once: whether it was woken, without a clock.
async fn looked_at<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_watch_is_woken_by_the_verdict_and_not_by_its_next_look() {
    let broker = MemoryBroker::with_still_clock();
    let queue = QueueName::default();
    let sent = kept(&queue, 1);
    let wanted = Wanted {
        id: sent.id,
        queue: None,
    };
    let long = Duration::from_secs(60);
    let mut watch = broker.watch(vec![wanted], long).await.unwrap();
    let id = sent.id;
    broker
        .enqueue(&queue, &[sent], Duration::ZERO)
        .await
        .unwrap();
    let consumer = broker.consume(options(&queue)).await.unwrap();
    let got = consumer.claim(1, Duration::ZERO).await.unwrap();
    let mut next = pin!(watch.next());
    assert!(looked_at(next.as_mut()).await.is_none());
    let done = Verdict {
        receipt: got[0].receipt,
        end: End::Done,
        record: Some(Record::new(id, "t", &queue, State::Success)),
        event: None,
    };
    consumer.finish(&queue, vec![done]).await.unwrap();
    assert!(looked_at(next.as_mut()).await.is_some());
}

#[tokio::test]
async fn a_reader_is_woken_by_an_event_and_not_by_the_end_of_its_wait() {
    let broker = MemoryBroker::with_still_clock();
    let queue = QueueName::default();
    let oldest = EventPosition::oldest();
    let mut page = pin!(broker.events(&oldest, Duration::from_secs(5)));
    assert!(looked_at(page.as_mut()).await.is_none());
    let sent = [kept(&queue, 1)];
    broker.enqueue(&queue, &sent, Duration::ZERO).await.unwrap();
    assert!(looked_at(page.as_mut()).await.is_some());
}

#[tokio::test]
async fn a_claim_is_woken_by_the_end_of_a_pause() {
    let broker = MemoryBroker::with_still_clock();
    let queue = QueueName::default();
    broker.pause(&queue, "ops", "why").await.unwrap();
    broker.push_raw(&queue, 0, "{}").unwrap();
    let consumer = broker.consume(options(&queue)).await.unwrap();
    let mut claim = pin!(consumer.claim(1, Duration::from_secs(1)));
    assert!(looked_at(claim.as_mut()).await.is_none());
    assert!(broker.resume(&queue).await.unwrap());
    let got = looked_at(claim.as_mut()).await;
    assert_eq!(got.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn a_claim_does_not_wake_up_for_what_is_due_in_a_paused_queue() {
    let broker = MemoryBroker::with_still_clock();
    let queue = QueueName::default();
    let later = Outgoing {
        due: Due::In(Duration::from_secs(1)),
        ..kept(&queue, 1)
    };
    broker
        .enqueue(&queue, &[later], Duration::ZERO)
        .await
        .unwrap();
    let due = |broker: &MemoryBroker| broker.shared.lock().queues[&queue].next_due();
    assert!(due(&broker).is_some());
    broker.pause(&queue, "ops", "why").await.unwrap();
    assert!(due(&broker).is_none());
    broker.resume(&queue).await.unwrap();
    assert!(due(&broker).is_some());
}
