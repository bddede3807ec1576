//! What it means to take from one more queue, and to leave one.

use std::time::Duration;

use super::claim::{turns, unless_dropped};
use super::{Bench, done, ids};
use crate::broker::{ConsumerOptions, Finished, Order, Served};
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;
use crate::state::State;

fn other() -> Result<QueueName, Error> {
    QueueName::new("conformance.other")
}

fn with_weight(queue: &QueueName, weight: u32) -> Served {
    let queue = queue.clone();
    Served { queue, weight }
}

/// What waits in a queue that comes in addition is claimed, and what was there is served on; also beside a claim that
/// waits.
pub async fn an_attached_queue_is_taken_from(bench: Bench) -> Result<(), Error> {
    let (consumer, other) = (bench.consumer().await?, other()?);
    let sent = bench.send_to(&other, 1).await?;
    bench.nothing_for(&consumer).await?;
    let wait = Duration::from_millis(200);
    let (got, attached) = tokio::join!(
        consumer.claim(1, wait),
        consumer.attach(other.clone().into())
    );
    attached?;
    let mut got = got?;
    if got.is_empty() {
        got = bench.deliver(&consumer, 1).await?;
    }
    assert_eq!((ids(&got), &got[0].queue), (sent, &other));
    consumer.finish(&other, vec![done(&got[0])]).await?;
    let sent = bench.send(1).await?;
    assert_eq!(ids(&bench.deliver(&consumer, 1).await?), sent);
    Ok(())
}

/// Attached once more, a queue has its new weight, and is left by one detach.
pub async fn attached_twice_a_queue_has_its_new_weight(bench: Bench) -> Result<(), Error> {
    let (consumer, other) = (bench.consumer().await?, other()?);
    bench.send(40).await?;
    bench.send_to(&other, 40).await?;
    consumer.attach(with_weight(&other, 1)).await?;
    consumer.attach(with_weight(&other, 3)).await?;
    let mut of_other = 0;
    for _ in 0..40 {
        let got = bench.deliver(&consumer, 1).await?;
        of_other += usize::from(got[0].queue == other);
        consumer.finish(&got[0].queue, vec![done(&got[0])]).await?;
    }
    assert!((29..=31).contains(&of_other), "{of_other} of 40");
    assert!(consumer.detach(&other).await?);
    let rest = bench.deliver(&consumer, of_other).await?;
    assert!(rest.iter().all(|d| d.queue == bench.queue));
    bench.nothing_for(&consumer).await
}

/// Nothing more comes from a queue that was left; the others go on, and another worker gets what lies there.
pub async fn a_detached_queue_is_left_to_others(bench: Bench) -> Result<(), Error> {
    let other = other()?;
    let both = [bench.queue.clone(), other.clone()];
    let (consumer, heir) = (
        bench.consumer_at(&both).await?,
        bench.consumer_at(std::slice::from_ref(&other)).await?,
    );
    let wait = Duration::from_millis(200);
    let (got, detached) = tokio::join!(consumer.claim(1, wait), consumer.detach(&other));
    assert!(got?.is_empty() && detached?);
    let sent = bench.send_to(&other, 3).await?;
    let mine = bench.send(2).await?;
    assert_eq!(ids(&bench.deliver(&consumer, 2).await?), mine);
    bench.nothing_for(&consumer).await?;
    assert_eq!(ids(&bench.deliver(&heir, 3).await?), sent);
    Ok(())
}

/// What was claimed before a queue was left counts as any other, and keeps its lease as long as it runs.
pub async fn what_is_held_of_a_detached_queue_runs_on(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let (consumer, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&consumer, 2).await?;
    assert!(consumer.detach(&bench.queue).await?);
    for _ in 0..10 {
        bench.pass(bench.lease() / 5, &[&consumer, &heir]).await?;
        heir.sweep().await?;
        bench.nothing_for(&consumer).await?;
    }
    assert!(got.iter().all(|d| !d.lost.is_cancelled()));
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    bench.pass(bench.lease() * 2, &[&consumer, &heir]).await?;
    heir.sweep().await?;
    bench.settle(&consumer, vec![done(&got[1])]).await?;
    for id in sent {
        assert_eq!(bench.state(id).await?, Some(State::Success));
    }
    Ok(())
}

/// What a claim took whose future was dropped is answered after its queue was left, or it took nothing.
pub async fn a_dropped_claim_of_a_detached_queue_is_answered(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    for turn in 0..20 {
        let sent = bench.send(2).await?;
        let claim = consumer.claim(1, Duration::ZERO);
        let seen = if turn % 2 == 0 {
            unless_dropped(claim, turns(turn)).await
        } else {
            let soon = Duration::from_micros(50 * u64::from(turn));
            unless_dropped(claim, tokio::time::sleep(soon)).await
        };
        let mut got = seen.transpose()?.unwrap_or_default();
        assert!(consumer.detach(&bench.queue).await?);
        got.extend(consumer.claim(2, Duration::ZERO).await?);
        let depth = bench.depth().await?;
        let (held, waiting) = (got.len() as u64, (2 - got.len()) as u64);
        assert_eq!((depth.in_flight, depth.waiting), (held, waiting));
        consumer.attach(bench.queue.clone().into()).await?;
        got.extend(bench.deliver(&consumer, 2 - got.len()).await?);
        assert_eq!(ids(&got), sent);
        bench
            .settle(&consumer, got.iter().map(done).collect())
            .await?;
    }
    Ok(())
}

/// Once nothing of it is held, the session there is closed: who comes then is the first one.
pub async fn a_detached_queue_is_closed_in_the_end(bench: Bench) -> Result<(), Error> {
    let other = other()?;
    bench.send_to(&other, 1).await?;
    let both = [bench.queue.clone(), other.clone()];
    let consumer = bench.consumer_at(&both).await?;
    let got = bench.deliver(&consumer, 1).await?;
    assert!(consumer.detach(&other).await?);
    let options = ConsumerOptions {
        queues: vec![other.clone().into()],
        order: Order::default(),
        lease: bench.lease() * 2,
        node: "bench".into(),
    };
    let second = bench.broker.consume(options.clone()).await?;
    assert_eq!(second.lease(), bench.lease(), "something is held");
    second.close().await?;
    let finished = consumer.finish(&other, vec![done(&got[0])]).await?;
    assert_eq!(finished.applied, 1);
    consumer.beat().await?;
    bench.nothing_for(&consumer).await?;
    let first = bench.broker.consume(options).await?;
    assert_eq!(first.lease(), bench.lease() * 2, "nothing is held");
    // What comes too late counts no more, and is no error.
    let late = consumer.finish(&other, vec![done(&got[0])]).await?;
    let lost = Finished {
        applied: 0,
        lost: 1,
    };
    assert_eq!(late, lost);
    Ok(())
}

/// A queue that was left can be taken from again, while something of it is held and afterwards.
pub async fn a_detached_queue_can_be_attached_again(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    for _ in 0..2 {
        let sent = bench.send(2).await?;
        let held = bench.deliver(&consumer, 1).await?;
        assert!(consumer.detach(&bench.queue).await?);
        bench.nothing_for(&consumer).await?;
        consumer.attach(bench.queue.clone().into()).await?;
        let next = bench.deliver(&consumer, 1).await?;
        assert_eq!([ids(&held), ids(&next)].concat(), sent);
        let verdicts = vec![done(&held[0]), done(&next[0])];
        bench.settle(&consumer, verdicts).await?;
        assert!(consumer.detach(&bench.queue).await?);
        consumer.beat().await?;
        bench.nothing_for(&consumer).await?;
        consumer.attach(bench.queue.clone().into()).await?;
    }
    Ok(())
}

/// Whether it took from the queue is told: not of another's, and not twice.
pub async fn a_detach_tells_whether_it_took_from_the_queue(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let (consumer, other) = (bench.consumer().await?, other()?);
    let _others = bench.consumer_at(std::slice::from_ref(&other)).await?;
    assert!(!consumer.detach(&other).await?);
    bench.deliver(&consumer, 1).await?;
    assert!(consumer.detach(&bench.queue).await?);
    assert!(!consumer.detach(&bench.queue).await?);
    Ok(())
}

/// What a process that died held of a queue it had left comes back, and what it holds when it stops goes back uncharged.
pub async fn nothing_of_a_detached_queue_is_lost(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let heir = bench.consumer().await?;
    for crashes in [0, 1] {
        let consumer = bench.consumer().await?;
        let got = bench.deliver(&consumer, 2).await?;
        assert!(got.iter().all(|d| d.crashes == crashes));
        assert!(consumer.detach(&bench.queue).await?);
        if crashes == 0 {
            assert_eq!(bench.reclaim(&heir).await?.returned, 2);
        } else {
            consumer.close().await?;
            bench.reclaim(&heir).await?;
        }
    }
    let back = bench.deliver(&heir, 2).await?;
    assert_eq!(ids(&back), sent);
    assert!(back.iter().all(|d| d.crashes == 1), "a stop is no crash");
    Ok(())
}

/// Without a queue a consumer waits, goes by its lease, and can be given one.
pub async fn the_last_queue_can_be_detached(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let consumer = bench.consumer().await?;
    assert!(consumer.detach(&bench.queue).await?);
    consumer.beat().await?;
    let wait = Duration::from_millis(20);
    assert!(consumer.claim(1, wait).await?.is_empty());
    assert_eq!(consumer.lease(), bench.lease());
    consumer.sweep().await?;
    consumer.attach(bench.queue.clone().into()).await?;
    assert_eq!(ids(&bench.deliver(&consumer, 1).await?), sent);
    Ok(())
}

/// Who has begun to stop takes from no more queues, and gives none that it takes from another weight.
pub async fn a_retired_consumer_attaches_nothing(bench: Bench) -> Result<(), Error> {
    let (consumer, other) = (bench.consumer().await?, other()?);
    consumer.retire().await?;
    for served in [Served::from(other), with_weight(&bench.queue, 3)] {
        let refused = consumer.attach(served).await;
        assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Refused));
    }
    Ok(())
}
