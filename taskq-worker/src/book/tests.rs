//! The book's lists, through their steps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use taskq_core::Message;
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{Broker, Consumer, ConsumerOptions, Delivery, Order};
use tokio::sync::Semaphore;

use super::*;
use crate::limits::TimeLimits;

/// A consumer of a queue where these wait, and nothing else.
pub(crate) async fn consumer_of(messages: &[Message]) -> Arc<dyn Consumer> {
    let (broker, queue) = (MemoryBroker::new(), QueueName::default());
    for message in messages {
        let body = message.encode().expect("small");
        broker.push_raw(&queue, 0, body).expect("room");
    }
    let options = ConsumerOptions {
        queues: vec![queue.into()],
        order: Order::default(),
        lease: Duration::from_secs(10),
        node: "w@test".into(),
    };
    broker.consume(options).await.expect("a consumer")
}

/// Deliveries with receipts of their own.
async fn deliveries(n: usize) -> Vec<Delivery> {
    let consumer = consumer_of(&vec![Message::new("t"); n]).await;
    consumer.claim(n, Duration::ZERO).await.expect("a claim")
}

fn entry(delivery: &Delivery, rooms: &Arc<Semaphore>) -> Entry {
    let room = Arc::clone(rooms).try_acquire_owned().expect("room");
    let slot = Arc::new(Semaphore::new(1)).try_acquire_owned();
    Entry::new(
        delivery.receipt,
        delivery.queue.clone(),
        delivery.lost.clone(),
        room,
        slot.expect("a slot"),
    )
}

fn run() -> Run {
    Run::of(Message::new("t"), TimeLimits::default())
}

#[tokio::test]
async fn a_place_that_is_given_again_is_not_the_first_ones_any_more() {
    let rooms = Arc::new(Semaphore::new(9));
    let of = deliveries(2).await;
    let mut book = Book::default();
    let first = book.enter(entry(&of[0], &rooms));
    assert!(book.remove(first).is_some());
    let second = book.enter(entry(&of[1], &rooms));
    assert_eq!(first.place, second.place);
    assert!(book.remove(first).is_none() && book.get_mut(first).is_none());
    assert_eq!(book.len(), 1);
    assert!(book.remove(second).is_some());
    assert_eq!(rooms.available_permits(), 9);
}

#[tokio::test]
async fn progress_is_told_at_once_and_then_at_its_pace() {
    let rooms = Arc::new(Semaphore::new(9));
    let of = deliveries(1).await;
    let mut book = Book::default();
    let key = book.enter(entry(&of[0], &rooms));
    let run = run();
    let context = run.leash.context.clone();
    let now = Instant::now();
    let early = now.checked_sub(PACE).expect("it has been longer");
    let told = |book: &mut Book, at| book.next_untold(early, at).map(|(key, _)| key);
    assert!(!book.has_news(key), "it has not begun");
    assert_eq!(book.begins(key, run, When::IfLong), Some(false));
    assert_eq!(told(&mut book, now), None);

    context.progress(1, 9, "");
    assert!(book.has_news(key), "it waits for nothing");
    assert_eq!(told(&mut book, now), Some(key));
    context.progress(2, 9, "");
    assert!(!book.has_news(key), "it waits");
    let Next::Later { long: None, paced } = book.look() else {
        panic!("its turn comes")
    };
    assert_eq!(paced, Some(now + PACE));
    assert_eq!(told(&mut book, now + PACE / 2), None);
    assert_eq!(told(&mut book, now + PACE), Some(key));

    // Nothing new meanwhile: the next is told at once again.
    assert_eq!(told(&mut book, now + PACE * 2), None);
    assert_eq!(book.look(), Next::Nothing);
    context.progress(3, 9, "");
    assert!(book.has_news(key), "the teller rests");
    assert_eq!(book.look(), Next::AtOnce);
    assert!(book.remove(key).is_some());
    assert!(!book.has_news(key), "it is over");
    assert_eq!(book.look(), Next::Nothing);
}

#[tokio::test]
async fn of_a_run_without_a_record_no_progress_is_told() {
    let rooms = Arc::new(Semaphore::new(9));
    let of = deliveries(1).await;
    let mut book = Book::default();
    let key = book.enter(entry(&of[0], &rooms));
    let mut run = run();
    let mut message = Message::new("t");
    message.ignore_result = true;
    run.message = Arc::new(message);
    let context = run.leash.context.clone();
    assert_eq!(book.begins(key, run, When::IfLong), Some(false));
    context.progress(1, 9, "");
    assert!(!book.has_news(key) && !book.any_at_once());
}

/// The lists against two plain queues, through many steps in an order by chance.
#[tokio::test]
async fn runs_are_told_of_in_their_order_and_those_at_once_first() {
    let rooms = Arc::new(Semaphore::new(999));
    let of = deliveries(400).await;
    let mut fresh = of.iter();
    let mut book = Book::default();
    let (mut at_once, mut if_long) = (VecDeque::new(), VecDeque::new());
    let mut told: Vec<Key> = Vec::new();
    let mut seed = 7_u64;
    let mut chance = move |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).expect("64 bits") % n
    };
    let later = Instant::now() + Duration::from_secs(60);
    let (mut ended, mut idle) = (0, false);
    for _ in 0..2_000 {
        match chance(5) {
            0 | 1 => {
                let Some(delivery) = fresh.next() else {
                    continue;
                };
                let key = book.enter(entry(delivery, &rooms));
                let (when, list) = match chance(2) {
                    0 => (When::AtOnce, &mut at_once),
                    _ => (When::IfLong, &mut if_long),
                };
                let rings = idle || (when == When::AtOnce && list.is_empty());
                assert_eq!(book.begins(key, run(), when), Some(rings));
                idle = false;
                list.push_back(key);
            }
            2 => {
                let expected = at_once.pop_front().or_else(|| if_long.pop_front());
                let got = book.next_untold(later, later).map(|(key, _)| key);
                assert_eq!(got, expected);
                told.extend(got);
            }
            3 => {
                let list = match chance(3) {
                    0 => &mut at_once,
                    1 => &mut if_long,
                    _ => {
                        // One that was told of ends, or is to be told of again.
                        let Some(key) = told.pop() else { continue };
                        if chance(2) == 0 {
                            book.again(key);
                            at_once.push_back(key);
                        } else {
                            assert!(book.remove(key).is_some());
                            ended += 1;
                        }
                        continue;
                    }
                };
                if !list.is_empty() {
                    let key = list.remove(chance(list.len())).expect("it is there");
                    assert!(book.remove(key).is_some());
                    ended += 1;
                }
            }
            _ => {
                let all = at_once.len() + if_long.len() + told.len();
                assert_eq!((book.len(), book.running()), (all, all));
                assert_eq!(book.processed(), ended);
                assert_eq!(book.entries().count(), all);
                idle = at_once.is_empty() && if_long.is_empty();
                match book.look() {
                    Next::AtOnce => assert!(!at_once.is_empty()),
                    Next::Later { long, paced } => {
                        assert!(at_once.is_empty() && !if_long.is_empty());
                        assert!(long.is_some() && paced.is_none());
                    }
                    Next::Nothing => assert!(idle),
                }
            }
        }
    }
    assert!(ended > 100, "{ended} ended");
    assert!(book.places.len() < of.len(), "places are used again");
    let left = book.len();
    assert_eq!(book.drain().len(), left);
    assert_eq!(rooms.available_permits(), 999);
    assert!(book.next_untold(later, later).is_none());
}

#[tokio::test]
async fn a_short_run_is_not_told_of_yet() {
    let rooms = Arc::new(Semaphore::new(9));
    let of = deliveries(1).await;
    let mut book = Book::default();
    let key = book.enter(entry(&of[0], &rooms));
    let before = Instant::now();
    assert_eq!(book.begins(key, run(), When::IfLong), Some(false));
    let Next::Later {
        long: Some(began),
        paced: None,
    } = book.look()
    else {
        panic!("it runs");
    };
    assert!(began >= before);
    let earlier = began.checked_sub(Duration::from_millis(1));
    let earlier = earlier.expect("not the first");
    assert!(book.next_untold(earlier, began).is_none());
    assert!(book.next_untold(began, began).is_some());
}
