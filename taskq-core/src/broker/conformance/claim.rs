//! What `claim` promises.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Bench, dead, done, ids, return_};
use crate::broker::{Consumer, Delivery, Due};
use crate::error::Error;
use crate::id::QueueName;

const SECOND: Duration = Duration::from_secs(1);

/// However much is there, no claim answers more than it was asked for.
pub async fn a_claim_answers_never_more_than_asked(bench: Bench) -> Result<(), Error> {
    bench.send(30).await?;
    let consumer = bench.consumer().await?;
    let mut total = 0;
    for max in [0, 1, 2, 7, 20, 20] {
        let got = consumer.claim(max, Duration::ZERO).await?.len();
        assert!(got <= max, "asked for {max}, got {got}");
        total += got;
    }
    assert_eq!(total, 30);
    Ok(())
}

/// With nothing there a claim comes back empty, after its wait.
pub async fn an_empty_claim_comes_back(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    for wait in [0, 20, 100] {
        let got = consumer.claim(5, Duration::from_millis(wait)).await?;
        assert!(got.is_empty());
    }
    Ok(())
}

/// A claim that waits answers what is enqueued meanwhile, without waiting to its end.
pub async fn enqueue_wakes_a_waiting_claim(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    woken(&bench, &consumer, async || bench.send(1).await.map(drop)).await
}

/// A claim that waits answers what becomes due meanwhile.
pub async fn what_becomes_due_wakes_a_waiting_claim(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    let hour = Duration::from_secs(3_600);
    for number in 0..11 {
        let message = Bench::message(number)?;
        let due = hour * u32::try_from(number + 1).unwrap_or(1);
        bench.send_due(&message, Due::In(due)).await?;
    }
    woken(&bench, &consumer, async || bench.advance(hour).await).await
}

/// A claim that waits answers what another gives back meanwhile.
pub async fn what_is_returned_wakes_a_waiting_claim(bench: Bench) -> Result<(), Error> {
    let (consumer, other) = (bench.consumer().await?, bench.consumer().await?);
    bench.send(11).await?;
    let held = bench.deliver(&other, 11).await?;
    let mut held = held.iter();
    woken(&bench, &consumer, async || {
        let next = held.next().map(return_).into_iter().collect();
        bench.settle(&other, next).await
    })
    .await
}

/// Has the consumer wait and then does `ring`; of ten tries one must end well before the wait does.
async fn woken(
    bench: &Bench,
    consumer: &Arc<dyn Consumer>,
    mut ring: impl AsyncFnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    for _ in 0..10 {
        let began = Instant::now();
        let (got, rung) = tokio::join!(consumer.claim(1, SECOND), ring());
        rung?;
        let mut got = got?;
        if got.len() == 1 && began.elapsed() < SECOND / 2 {
            return Ok(());
        }
        if got.is_empty() {
            got = bench.deliver(consumer, 1).await?;
        }
        bench.settle(consumer, vec![done(&got[0])]).await?;
    }
    panic!("no claim was woken while it waited");
}

/// With room for one, a consumer of several queues finds what lies in any of them: an empty queue hides no other.
pub async fn room_for_one_is_room_for_any_queue(bench: Bench) -> Result<(), Error> {
    let queues = ["a", "b", "c"].map(QueueName::new);
    let queues: Vec<QueueName> = queues.into_iter().collect::<Result<_, _>>()?;
    let consumer = bench.consumer_at(&queues).await?;
    for queue in &queues {
        bench.send_to(queue, 6).await?;
        for _ in 0..6 {
            let got = consumer.claim(1, Duration::ZERO).await?;
            assert_eq!(
                got.len(),
                1,
                "a message lies in {queue}, and there is room for it"
            );
        }
    }
    Ok(())
}

/// A consumer of several queues gets what lies in each of them.
pub async fn every_queue_is_served(bench: Bench) -> Result<(), Error> {
    let queues = ["a", "b", "c"].map(QueueName::new);
    let queues: Vec<QueueName> = queues.into_iter().collect::<Result<_, _>>()?;
    for queue in &queues {
        bench.send_to(queue, 2).await?;
    }
    let consumer = bench.consumer_at(&queues).await?;
    let got = bench.deliver(&consumer, 6).await?;
    for queue in &queues {
        let here: Vec<&Delivery> = got.iter().filter(|d| &d.queue == queue).collect();
        let verdicts = here.iter().map(|d| done(d)).collect();
        assert_eq!(consumer.finish(queue, verdicts).await?.applied, 2);
        assert_eq!(bench.broker.depth(queue).await?.in_flight, 0);
    }
    Ok(())
}

/// A queue that never empties does not keep another from being served.
pub async fn a_full_queue_hides_no_other(bench: Bench) -> Result<(), Error> {
    let queues = ["a", "b"].map(QueueName::new);
    let queues: Vec<QueueName> = queues.into_iter().collect::<Result<_, _>>()?;
    for (full, small) in [(0, 1), (1, 0)] {
        bench.send_to(&queues[full], 100).await?;
        bench.send_to(&queues[small], 1).await?;
        let consumer = bench.consumer_at(&queues).await?;
        let mut seen = false;
        for _ in 0..20 {
            let got = bench.deliver(&consumer, 1).await?;
            seen |= got[0].queue == queues[small];
            consumer.finish(&got[0].queue, vec![done(&got[0])]).await?;
        }
        assert!(seen, "20 claims, all from the full queue");
        let rest = bench.deliver(&consumer, 81).await?;
        for d in &rest {
            consumer.finish(&d.queue, vec![done(d)]).await?;
        }
        consumer.close().await?;
    }
    Ok(())
}

/// One claim from one queue brings at most 1 MiB beyond its first message; the rest comes later, in order.
pub async fn a_claim_is_bounded_by_bytes(bench: Bench) -> Result<(), Error> {
    let mut sent = Vec::new();
    for number in 0..6 {
        let mut message = Bench::message(number)?;
        message.headers.insert("fill".into(), "x".repeat(400 << 10));
        bench.send_message(&message).await?;
        sent.push(message.id);
    }
    let consumer = bench.consumer().await?;
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let part = consumer.claim(10, SECOND).await?;
        assert!(!part.is_empty(), "{} of 6 came", got.len());
        let beyond: usize = part.iter().skip(1).map(|d| d.body.len()).sum();
        assert!(beyond <= 1 << 20, "{beyond} bytes beyond the first");
        got.extend(part);
    }
    assert_eq!(ids(&got), sent);
    Ok(())
}

/// A claim whose future is dropped loses nothing: each message is answered once, sooner or later.
pub async fn a_dropped_claim_loses_nothing(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(60).await?;
    let consumer = bench.consumer().await?;
    let mut got = Vec::new();
    for turn in 0..20 {
        let claim = consumer.claim(2, Duration::ZERO);
        let part = if turn % 2 == 0 {
            unless_dropped(claim, turns(turn)).await
        } else {
            let soon = Duration::from_micros(100 * u64::from(turn));
            unless_dropped(claim, tokio::time::sleep(soon)).await
        };
        got.extend(part.transpose()?.unwrap_or_default());
    }
    let rest = bench.deliver(&consumer, sent.len() - got.len()).await?;
    got.extend(rest);
    let unique: HashSet<_> = ids(&got).into_iter().collect();
    assert_eq!(unique, sent.into_iter().collect());
    let verdicts: Vec<_> = got.iter().map(done).collect();
    bench.settle(&consumer, verdicts).await
}

pub(super) async fn unless_dropped<T>(
    future: impl Future<Output = T>,
    dropped: impl Future<Output = ()>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = dropped => None,
        value = future => Some(value),
    }
}

pub(super) async fn turns(n: u32) {
    for _ in 0..n {
        tokio::task::yield_now().await;
    }
}

/// Two consumers of one queue never hold the same message.
pub async fn no_message_is_held_twice(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(40).await?;
    let (a, b) = (bench.consumer().await?, bench.consumer().await?);
    let mut got = Vec::new();
    while got.len() < sent.len() {
        let (more_a, more_b) = tokio::join!(a.claim(3, SECOND), b.claim(3, SECOND));
        let before = got.len();
        got.extend(ids(&more_a?));
        got.extend(ids(&more_b?));
        assert!(got.len() > before, "{before} of 40 came");
    }
    got.sort();
    assert_eq!(got, sent);
    bench.nothing_for(&a).await
}

/// A JSON message that another program pushed, without a record or a mark, is delivered as it came.
pub async fn a_foreign_message_is_delivered(bench: Bench) -> Result<(), Error> {
    let plain = br#"{ "task": "conformance.task", "id": "0198c0de-0000-4000-8000-000000000001" }"#;
    let urgent = br#"{"id":"0198c0de-0000-4000-8000-000000000002","task":"conformance.task"}"#;
    bench.push_raw(0, plain).await?;
    bench.push_raw(5, urgent).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    assert_eq!((&got[0].body[..], got[0].priority), (&urgent[..], 5));
    assert_eq!((&got[1].body[..], got[1].priority), (&plain[..], 0));
    let id = ids(&got)[1];
    bench
        .settle(&consumer, got.iter().map(done).collect())
        .await?;
    assert!(bench.record(id).await?.state.is_final());
    Ok(())
}

/// Bytes that are no message are delivered untouched, can be put to the dead, and stop nobody behind them.
pub async fn what_can_not_be_decoded_is_delivered_as_it_came(bench: Bench) -> Result<(), Error> {
    let junk: [&[u8]; 4] = [
        b"\xff\xfe\x00junk",
        b"{\"id\":",
        b"null",
        b"{\"task\":\"no.id\"}",
    ];
    for bytes in junk {
        bench.push_raw(0, bytes).await?;
    }
    let sent = bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 5).await?;
    for (delivery, bytes) in got.iter().zip(junk) {
        assert_eq!(delivery.body, bytes);
    }
    assert_eq!(ids(&got[4..]), sent);
    let verdicts = got[..4].iter().map(|d| dead(d, "no JSON message"));
    bench.settle(&consumer, verdicts.collect()).await?;
    let listed = bench.broker.dead(&bench.queue, 0, 10).await?;
    let listed: HashSet<&[u8]> = listed.iter().map(|d| &d.body[..]).collect();
    assert_eq!(listed, junk.into_iter().collect());
    Ok(())
}
