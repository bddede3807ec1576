//! What lies where: every accepted message that is not over is counted, in exactly one place.

use std::time::Duration;

use super::{Bench, dead, done, retry, return_, snooze};
use crate::broker::{Delivery, Depth, Due, Verdict};
use crate::error::Error;
use crate::id::QueueName;

const MINUTE: Duration = Duration::from_secs(60);

/// Waiting, suspect, delayed, in flight and dead are told apart.
pub async fn every_place_is_counted(bench: Bench) -> Result<(), Error> {
    let (consumer, silent) = (bench.consumer().await?, bench.consumer().await?);
    let mut doomed = Bench::message(0)?;
    doomed.max_crashes = Some(2);
    bench.send_message(&doomed).await?;
    bench.deliver(&silent, 1).await?;
    bench.reclaim(&consumer).await?;
    assert_eq!(bench.depth().await?.suspects, 1);
    let suspect = bench.deliver(&consumer, 1).await?;

    bench.send(9).await?;
    let got = bench.deliver(&consumer, 5).await?;
    let verdicts = vec![done(&got[0]), dead(&got[1], "no"), snooze(&got[2], MINUTE)];
    bench.settle(&consumer, verdicts).await?;
    bench.send_due(&Bench::message(9)?, Due::In(MINUTE)).await?;
    bench.settle(&consumer, vec![return_(&suspect[0])]).await?;
    let depth = Depth {
        waiting: 4,
        suspects: 1,
        delayed: 2,
        in_flight: 2,
        dead: 1,
        ..Depth::default()
    };
    let found = bench.depth().await?;
    assert_eq!(
        Depth {
            oldest_ms: None,
            ..found
        },
        depth
    );
    let unknown = QueueName::new("conformance.unknown")?;
    assert_eq!(bench.broker.depth(&unknown).await?, Depth::default());
    Ok(())
}

/// Through a long mix of sends, claims, verdicts and crashes the places add up: accepted minus done.
pub async fn nothing_accepted_is_ever_missing(bench: Bench) -> Result<(), Error> {
    let heir = bench.consumer().await?;
    let mut silent = Vec::new();
    let mut worker = bench.consumer().await?;
    let (mut accepted, mut over) = (0, 0);
    let mut dice = Dice(7);
    for _ in 0..120 {
        match dice.roll(10) {
            0..=2 => accepted += bench.send(dice.roll(8)).await?.len(),
            3 => {
                bench.send_due(&Bench::message(0)?, Due::In(MINUTE)).await?;
                accepted += 1;
            }
            4..=7 => {
                let mut got = worker.claim(dice.roll(12), Duration::ZERO).await?;
                got.truncate(dice.roll(12));
                let verdicts: Result<Vec<_>, _> =
                    got.iter().map(|d| verdict(&mut dice, d)).collect();
                let verdicts = verdicts?;
                over += verdicts
                    .iter()
                    .filter(|v| matches!(v.end, crate::broker::End::Done))
                    .count();
                bench.settle(&worker, verdicts).await?;
            }
            8 => {
                silent.push(std::mem::replace(&mut worker, bench.consumer().await?));
                bench.reclaim(&heir).await?;
                worker.beat().await?;
            }
            _ => bench.pass(MINUTE, &[&heir, &worker]).await?,
        }
        let d = bench.depth().await?;
        let owed = d.waiting + d.suspects + d.delayed + d.in_flight + d.dead;
        assert_eq!(owed, (accepted - over) as u64, "{accepted} − {over}: {d:?}");
    }
    assert!(over > 0 && !silent.is_empty() && bench.depth().await?.dead > 0);
    Ok(())
}

fn verdict(dice: &mut Dice, delivery: &Delivery) -> Result<Verdict, Error> {
    Ok(match dice.roll(6) {
        0 => retry(delivery, MINUTE, delivery.body.clone()),
        1 => snooze(delivery, MINUTE),
        2 => return_(delivery),
        3 => dead(delivery, "unlucky"),
        _ => done(delivery),
    })
}

/// The age of the oldest message that waits, by its own time of sending; claimed ones do not wait.
pub async fn the_oldest_that_waits_tells_its_age(bench: Bench) -> Result<(), Error> {
    let now = bench.broker_time().await?;
    let (mut old, mut young) = (Bench::message(0)?, Bench::message(1)?);
    old.enqueued_at = Some(now - 90_000);
    young.enqueued_at = Some(now - 30_000);
    bench.send_message(&old).await?;
    bench.send_message(&young).await?;
    let about = |age: Option<u64>, at: u64| age.is_some_and(|a| (at..at + 20_000).contains(&a));
    let age = bench.depth().await?.oldest_ms;
    assert!(about(age, 90_000), "{age:?}");
    bench.advance(MINUTE).await?;
    let age = bench.depth().await?.oldest_ms;
    assert!(about(age, 150_000), "{age:?}");
    let consumer = bench.consumer().await?;
    bench.deliver(&consumer, 1).await?;
    let age = bench.depth().await?.oldest_ms;
    assert!(about(age, 90_000), "{age:?}");
    bench.deliver(&consumer, 1).await?;
    assert_eq!(bench.depth().await?.oldest_ms, None);
    Ok(())
}

/// A message that does not tell when it was sent is as old as its id; one whose id tells nothing has no age.
pub async fn an_id_tells_the_age_of_its_message(bench: Bench) -> Result<(), Error> {
    let mut foreign = Bench::message(0)?;
    foreign.id = "0198c0de-0000-4000-8000-000000000001".parse()?;
    bench.push_raw(0, &foreign.encode()?).await?;
    assert_eq!(bench.depth().await?.oldest_ms, None);
    let consumer = bench.consumer().await?;
    bench.deliver(&consumer, 1).await?;
    bench.push_raw(0, &Bench::message(1)?.encode()?).await?;
    bench.advance(MINUTE).await?;
    let age = bench.depth().await?.oldest_ms;
    assert!(
        age.is_some_and(|a| (60_000..120_000).contains(&a)),
        "{age:?}"
    );
    Ok(())
}

/// The same numbers in every run: xorshift.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap_or(0)
    }
}

/// The dead set is listed newest first, as many as asked for.
pub async fn the_newest_dead_come_first(bench: Bench) -> Result<(), Error> {
    bench.send(4).await?;
    let consumer = bench.consumer().await?;
    for number in 0..4 {
        let got = bench.deliver(&consumer, 1).await?;
        let reason = format!("reason {number}");
        bench
            .settle(&consumer, vec![dead(&got[0], &reason)])
            .await?;
        bench.advance(Duration::from_secs(1)).await?;
    }
    let listed = bench.broker.dead(&bench.queue, 0, 2).await?;
    let reasons: Vec<_> = listed.iter().map(|d| d.reason.as_str()).collect();
    assert_eq!(reasons, ["reason 3", "reason 2"]);
    assert_eq!(bench.broker.dead(&bench.queue, 0, 100).await?.len(), 4);
    assert!(bench.broker.dead(&bench.queue, 0, 0).await?.is_empty());
    Ok(())
}

/// A queue is known once somebody sent to it or listens at it, and listed by name.
pub async fn queues_are_known_by_sender_and_by_listener(bench: Bench) -> Result<(), Error> {
    assert!(bench.broker.queues().await?.is_empty());
    let (sent, heard) = (QueueName::new("b.sent")?, QueueName::new("a.heard")?);
    bench.send_to(&sent, 1).await?;
    let _consumer = bench.consumer_at(std::slice::from_ref(&heard)).await?;
    assert_eq!(bench.connect().await?.queues().await?, [heard, sent]);
    Ok(())
}
