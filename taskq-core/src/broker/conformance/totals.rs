//! What totals promise: they are exact, whatever happens to whom.

use std::sync::Arc;
use std::time::Duration;

use super::depth::Dice;
use super::{Bench, dead, done, failed, retry, return_, snooze, untracked};
use crate::broker::{Consumer, Delivery, Depth, End, RevokeCause, Totals, Verdict};
use crate::error::Error;
use crate::id::QueueName;

const MINUTE: Duration = Duration::from_secs(60);

impl Bench {
    async fn totals(&self) -> Result<Totals, Error> {
        self.broker.totals(&self.queue).await
    }
}

fn revoked(delivery: &Delivery) -> Verdict {
    Verdict {
        end: End::Revoked(RevokeCause::Requested),
        ..untracked(done(delivery))
    }
}

/// Each end counts in its own place, tracked or not; a snooze counts nowhere.
pub async fn every_end_counts_in_its_place(bench: Bench) -> Result<(), Error> {
    bench.send(28).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 28).await?;
    let mut next = got.iter();
    let mut verdicts = Vec::new();
    let mut put = |n: usize, verdict: &dyn Fn(&Delivery) -> Verdict| {
        verdicts.extend(next.by_ref().take(n).map(verdict));
    };
    put(1, &done);
    put(2, &|d| untracked(failed(d, "no")));
    put(3, &|d| retry(d, MINUTE, d.body.clone()));
    put(4, &|d| untracked(dead(d, "no")));
    put(5, &revoked);
    put(6, &return_);
    put(7, &|d| snooze(d, MINUTE));
    assert_eq!(verdicts.len(), 28);
    bench.settle(&consumer, verdicts).await?;
    let expected = Totals {
        sent: 28,
        succeeded: 1,
        failed: 2,
        retried: 3,
        dead: 4,
        revoked: 5,
        crashed: 0,
        returned: 6,
    };
    assert_eq!(bench.connect().await?.totals(&bench.queue).await?, expected);
    Ok(())
}

/// A lost session costs each message that it held one crash, and each comes back.
pub async fn a_crash_counts_for_each_message(bench: Bench) -> Result<(), Error> {
    bench.send(5).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&silent, 3).await?;
    bench.reclaim(&heir).await?;
    let expected = Totals {
        sent: 5,
        crashed: 3,
        returned: 3,
        ..Totals::default()
    };
    assert_eq!(bench.totals().await?, expected);
    Ok(())
}

/// The crash that makes a message DEAD is a crash; the message does not come back.
pub async fn the_last_crash_counts_as_dead(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.max_crashes = Some(1);
    bench.send_message(&message).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&silent, 1).await?;
    bench.reclaim(&heir).await?;
    let expected = Totals {
        sent: 1,
        crashed: 1,
        dead: 1,
        ..Totals::default()
    };
    assert_eq!(bench.totals().await?, expected);
    Ok(())
}

/// What a consumer gives up by its own will comes back without a crash.
pub async fn a_close_counts_no_crash(bench: Bench) -> Result<(), Error> {
    bench.send(3).await?;
    let (leaving, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&leaving, 2).await?;
    leaving.close().await?;
    bench.reclaim(&heir).await?;
    let expected = Totals {
        sent: 3,
        returned: 2,
        ..Totals::default()
    };
    assert_eq!(bench.totals().await?, expected);
    Ok(())
}

/// A verdict that does not count is not counted.
pub async fn a_lost_verdict_counts_nothing(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&silent, 1).await?;
    bench.reclaim(&heir).await?;
    bench.finish(&silent, vec![done(&got[0])]).await?;
    assert_eq!(bench.totals().await?.succeeded, 0);
    Ok(())
}

/// What another program pushed is not counted as sent, but how it ends is; also if it can not be read.
pub async fn what_others_push_is_not_counted_as_sent(bench: Bench) -> Result<(), Error> {
    bench.push_raw(0, &Bench::message(0)?.encode()?).await?;
    bench.push_raw(0, b"no message").await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    let verdicts = vec![done(&got[0]), dead(&got[1], "unreadable")];
    bench.settle(&consumer, verdicts).await?;
    let expected = Totals {
        succeeded: 1,
        dead: 1,
        ..Totals::default()
    };
    assert_eq!(bench.totals().await?, expected);
    Ok(())
}

/// Each queue has totals of its own; those of an unknown one are nothing.
pub async fn totals_belong_to_their_queue(bench: Bench) -> Result<(), Error> {
    bench.send(3).await?;
    let other = QueueName::new("conformance.other")?;
    assert_eq!(bench.broker.totals(&other).await?, Totals::default());
    bench.send_to(&other, 1).await?;
    assert_eq!(bench.totals().await?.sent, 3);
    assert_eq!(bench.broker.totals(&other).await?.sent, 1);
    Ok(())
}

/// What happened, kept by hand beside the broker.
#[derive(Debug, Default)]
struct Oracle {
    totals: Totals,
}

impl Oracle {
    fn ended(&mut self, dice: &mut Dice, delivery: &Delivery) -> Verdict {
        let totals = &mut self.totals;
        let (count, verdict) = match dice.roll(8) {
            0 => (
                &mut totals.retried,
                retry(delivery, MINUTE, delivery.body.clone()),
            ),
            1 => return snooze(delivery, MINUTE),
            2 => (&mut totals.returned, return_(delivery)),
            3 => (&mut totals.dead, dead(delivery, "unlucky")),
            4 => (&mut totals.failed, failed(delivery, "unlucky")),
            5 => (&mut totals.revoked, revoked(delivery)),
            _ => (&mut totals.succeeded, done(delivery)),
        };
        *count += 1;
        verdict
    }

    /// A session that held these is lost; each had `crashes` before.
    fn crashed(&mut self, held: &[Delivery]) {
        for delivery in held {
            self.totals.crashed += 1;
            if delivery.crashes + 1 < 3 {
                self.totals.returned += 1;
            } else {
                self.totals.dead += 1;
            }
        }
    }
}

/// Through a long mix of sends, duplicates, verdicts, crashes, closes, late verdicts and replays the totals are those of an
/// oracle, and add up: what was sent is over or lies somewhere.
pub async fn totals_are_exact_whatever_happens(bench: Bench) -> Result<(), Error> {
    let heir = bench.consumer().await?;
    let mut worker = bench.consumer().await?;
    let mut held: Vec<Delivery> = Vec::new();
    let mut gone: Vec<(Arc<dyn Consumer>, Vec<Delivery>)> = Vec::new();
    let mut oracle = Oracle::default();
    let mut dice = Dice(11);
    for _ in 0..150 {
        match dice.roll(14) {
            0..=2 => oracle.totals.sent += bench.send(dice.roll(8)).await?.len() as u64,
            3 => {
                let key = format!("key-{}", dice.roll(4));
                let batch = [bench.keyed(&key)?, bench.keyed(&key)?];
                let duplicates = bench.accepted(&batch).await?.duplicates.len();
                assert!(duplicates >= 1);
                oracle.totals.sent += (2 - duplicates) as u64;
            }
            4 | 5 => held.extend(worker.claim(dice.roll(12), Duration::ZERO).await?),
            6..=8 => {
                let n = dice.roll(held.len() + 1);
                let ended: Vec<_> = held.drain(..n).collect();
                let verdicts = ended.iter().map(|d| oracle.ended(&mut dice, d)).collect();
                bench.settle(&worker, verdicts).await?;
            }
            9 => {
                let silent = std::mem::replace(&mut worker, bench.consumer().await?);
                let lost = std::mem::take(&mut held);
                oracle.crashed(&lost);
                bench.reclaim(&heir).await?;
                worker.beat().await?;
                gone.push((silent, lost));
            }
            10 => {
                let leaving = std::mem::replace(&mut worker, bench.consumer().await?);
                let given_up = std::mem::take(&mut held);
                oracle.totals.returned += given_up.len() as u64;
                leaving.close().await?;
                bench.reclaim(&heir).await?;
                worker.beat().await?;
            }
            11 | 12 => {
                let dead = bench.broker.dead(&bench.queue, dice.roll(3), dice.roll(4));
                let handles: Vec<_> = dead.await?.into_iter().map(|d| d.handle).collect();
                if dice.roll(4) == 0 {
                    bench.broker.discard(&bench.queue, &handles).await?;
                } else {
                    let replayed = bench.broker.replay(&bench.queue, &handles).await?;
                    assert_eq!(replayed, handles.len());
                    oracle.totals.sent += replayed as u64;
                }
            }
            _ => {
                bench.pass(MINUTE, &[&heir, &worker]).await?;
                if let Some((late, lost)) = gone.pop() {
                    bench.finish(&late, lost.iter().map(done).collect()).await?;
                }
            }
        }
        assert_eq!(bench.totals().await?, oracle.totals);
    }
    let t = oracle.totals;
    let every = [
        t.sent,
        t.succeeded,
        t.failed,
        t.retried,
        t.dead,
        t.revoked,
        t.crashed,
        t.returned,
    ];
    assert!(
        every.iter().all(|n| *n > 0),
        "the mix lacks something: {t:?}"
    );
    let Depth {
        waiting,
        suspects,
        delayed,
        in_flight,
        ..
    } = bench.depth().await?;
    let over = t.succeeded + t.failed + t.dead + t.revoked;
    assert_eq!(t.sent, over + waiting + suspects + delayed + in_flight);
    Ok(())
}
