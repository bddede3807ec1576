//! What a pause promises: nothing is claimed, nothing else changes.

use std::time::{Duration, Instant};

use super::{Bench, done, ids};
use crate::broker::{Due, Order, Paused};
use crate::error::Error;
use crate::id::QueueName;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Bench {
    async fn pause(&self) -> Result<(), Error> {
        let paused = self.broker.pause(&self.queue, "ops@host", "stock taking");
        paused.await
    }
}

/// From a paused queue nothing is claimed; sending goes on.
pub async fn a_paused_queue_gives_nothing(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let consumer = bench.consumer().await?;
    bench.pause().await?;
    bench.send(1).await?;
    bench.nothing_for(&consumer).await?;
    assert_eq!(bench.depth().await?.waiting, 2);
    Ok(())
}

/// The other queues of the same consumer are served on.
pub async fn a_pause_stops_its_own_queue_only(bench: Bench) -> Result<(), Error> {
    let other = QueueName::new("conformance.other")?;
    let consumer = bench
        .consumer_at(&[bench.queue.clone(), other.clone()])
        .await?;
    bench.pause().await?;
    bench.send(3).await?;
    let sent = bench.send_to(&other, 3).await?;
    assert_eq!(ids(&bench.deliver(&consumer, 3).await?), sent);
    bench.nothing_for(&consumer).await
}

/// What was claimed before the pause runs on, and its verdict counts.
pub async fn what_is_claimed_outlives_a_pause(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.pause().await?;
    bench.pass(bench.lease() * 2, &[&consumer]).await?;
    assert!(!got[0].lost.is_cancelled());
    bench.settle(&consumer, vec![done(&got[0])]).await
}

/// What becomes due during a pause waits for its end.
pub async fn a_paused_queue_promotes_nothing(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_due(&message, Due::In(MINUTE)).await?;
    let consumer = bench.consumer().await?;
    bench.pause().await?;
    bench.pass(MINUTE * 2, &[&consumer]).await?;
    bench.nothing_for(&consumer).await?;
    let depth = bench.depth().await?;
    assert_eq!((depth.waiting, depth.delayed), (0, 1));
    bench.broker.resume(&bench.queue).await?;
    assert_eq!(ids(&bench.deliver(&consumer, 1).await?), [message.id]);
    Ok(())
}

/// A suspect is held by a pause like any other message.
pub async fn a_pause_holds_suspects_too(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.max_crashes = Some(2);
    bench.send_message(&message).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&silent, 1).await?;
    bench.reclaim(&heir).await?;
    bench.pause().await?;
    assert_eq!(bench.depth().await?.suspects, 1);
    bench.nothing_for(&heir).await?;
    bench.broker.resume(&bench.queue).await?;
    assert!(bench.deliver(&heir, 1).await?[0].suspect);
    Ok(())
}

/// The end of a pause wakes a claim that waits, in one of ten tries well before its wait is over; whoever ends it hears
/// that there was one.
pub async fn resume_wakes_a_waiting_claim(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    for _ in 0..10 {
        bench.pause().await?;
        bench.send(1).await?;
        bench.nothing_for(&consumer).await?;
        let began = Instant::now();
        let (got, resumed) =
            tokio::join!(consumer.claim(1, SECOND), bench.broker.resume(&bench.queue));
        assert!(resumed? && !bench.broker.resume(&bench.queue).await?);
        let mut got = got?;
        if got.len() == 1 && began.elapsed() < SECOND / 2 {
            return Ok(());
        }
        if got.is_empty() {
            got = bench.deliver(&consumer, 1).await?;
        }
        bench.settle(&consumer, vec![done(&got[0])]).await?;
    }
    panic!("no claim was woken while it waited");
}

/// A queue that nobody knows was not paused.
pub async fn an_unknown_queue_is_not_paused(bench: Bench) -> Result<(), Error> {
    let unknown = QueueName::new("conformance.unknown")?;
    assert!(!bench.broker.resume(&unknown).await?);
    assert_eq!(bench.broker.depth(&unknown).await?.paused, None);
    Ok(())
}

/// The depth says who paused the queue, why and since when, and says no more of it when that is over.
pub async fn the_depth_tells_of_a_pause(bench: Bench) -> Result<(), Error> {
    let before = bench.broker_time().await?;
    bench.pause().await?;
    let after = bench.broker_time().await?;
    let paused = bench.connect().await?.depth(&bench.queue).await?.paused;
    let since = paused.as_ref().map_or(0, |p| p.since);
    assert!(
        (before..=after).contains(&since),
        "{before} {since} {after}"
    );
    let expected = Paused {
        by: "ops@host".into(),
        reason: "stock taking".into(),
        since,
    };
    assert_eq!(paused, Some(expected));
    bench.broker.resume(&bench.queue).await?;
    assert_eq!(bench.depth().await?.paused, None);
    Ok(())
}

/// A pause lasts until it is ended, whoever comes and goes, and however long that takes.
pub async fn a_pause_lasts(bench: Bench) -> Result<(), Error> {
    bench.pause().await?;
    bench.consumer().await?.close().await?;
    bench.advance(DAY * 30).await?;
    bench.send(1).await?;
    let consumer = bench.connect().await?;
    let consumer = consumer
        .consume(crate::broker::ConsumerOptions {
            queues: vec![bench.queue.clone().into()],
            order: Order::default(),
            lease: bench.lease(),
            node: "later".into(),
        })
        .await?;
    bench.reclaim(&consumer).await?;
    bench.nothing_for(&consumer).await?;
    assert!(bench.depth().await?.paused.is_some());
    Ok(())
}
