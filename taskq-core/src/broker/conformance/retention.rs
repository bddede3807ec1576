//! What is past its time is gone: after any load the broker comes back to where it began.

use std::time::Duration;

use super::{Bench, dead, done, failed, retry, untracked};
use crate::broker::{Accepted, Depth, Due, Wanted};
use crate::error::Error;
use crate::id::TaskId;
use crate::state::State;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Bench {
    /// Some load of every kind, all of it over at the end; answers the ids of what is tracked.
    async fn load(&self) -> Result<Vec<TaskId>, Error> {
        let mut tracked = self.send(30).await?;
        for number in 0..10 {
            let mut quiet = Self::message(number)?;
            quiet.ignore_result = true;
            self.send_message(&quiet).await?;
        }
        let later = Self::message(0)?;
        self.send_due(&later, Due::In(MINUTE)).await?;
        let keyed = self.keyed("load")?;
        tracked.extend([later.id, keyed.id]);
        self.accepted(&[keyed]).await?;

        let wanted = tracked.iter().map(|id| Wanted {
            id: *id,
            queue: None,
        });
        let watch = self.broker.watch(wanted.collect(), HOUR).await?;
        let consumer = self.consumer().await?;
        let silent = self.consumer().await?;
        self.deliver(&silent, 5).await?;
        self.reclaim(&consumer).await?;
        for round in 0.. {
            self.pass(MINUTE * 2, &[&consumer]).await?;
            let got = consumer.claim(50, Duration::ZERO).await?;
            if got.is_empty() && self.depth().await?.delayed == 0 {
                break;
            }
            let verdicts = got.iter().enumerate().map(|(n, d)| match (n % 5, round) {
                (0, 0) => retry(d, MINUTE, d.body.clone()),
                (1, _) => failed(d, "for good"),
                (2, _) => dead(d, "rejected"),
                (3, _) => untracked(done(d)),
                _ => done(d),
            });
            self.settle(&consumer, verdicts.collect()).await?;
        }
        drop(watch);
        silent.close().await?;
        consumer.close().await?;
        Ok(tracked)
    }
}

/// Past all retention nothing is left of a load: no record, no dead message, no key, nothing that waits.
pub async fn past_its_time_nothing_is_left(bench: Bench) -> Result<(), Error> {
    let tracked = bench.load().await?;
    let dead = bench.depth().await?.dead;
    assert!(dead > 0 && bench.state(tracked[0]).await?.is_some());
    bench.advance(DAY * 15).await?;
    let janitor = bench.consumer().await?;
    // A janitor that works in steps is done within a few leases.
    for _ in 0..10 {
        bench.pass(bench.lease(), &[&janitor]).await?;
        janitor.sweep().await?;
    }
    assert_eq!(bench.depth().await?, Depth::default());
    assert!(bench.broker.dead(&bench.queue, 0, 1_000).await?.is_empty());
    for id in tracked {
        assert!(bench.broker.record(id, None).await?.is_none());
    }
    let accepted = bench.accepted(&[bench.keyed("load")?]).await?;
    assert_eq!(accepted, Accepted::default());
    Ok(())
}

/// The dead set keeps a message for 7 days, to the dead message and not to its queue.
pub async fn the_dead_are_kept_for_a_week(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    for reason in ["first", "second"] {
        bench.send(1).await?;
        consumer.beat().await?;
        let got = bench.deliver(&consumer, 1).await?;
        bench.settle(&consumer, vec![dead(&got[0], reason)]).await?;
        bench.advance(DAY * 4).await?;
    }
    // The first is 8 days old by now, the second 4.
    consumer.beat().await?;
    for _ in 0..4 {
        bench.pass(bench.lease(), &[&consumer]).await?;
        consumer.sweep().await?;
    }
    let listed = bench.broker.dead(&bench.queue, 0, 10).await?;
    let reasons: Vec<_> = listed.iter().map(|d| d.reason.as_str()).collect();
    assert_eq!(reasons, ["second"]);
    assert_eq!(bench.depth().await?.dead, 1);
    Ok(())
}

/// A sweep drops only what is past its time: results of today stay.
pub async fn a_sweep_keeps_what_is_not_past_its_time(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    bench.advance(HOUR * 20).await?;
    consumer.beat().await?;
    for _ in 0..4 {
        bench.pass(bench.lease(), &[&consumer]).await?;
        consumer.sweep().await?;
    }
    assert_eq!(bench.state(id).await?, Some(State::Success));
    Ok(())
}
