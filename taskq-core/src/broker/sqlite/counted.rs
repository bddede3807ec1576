//! What is counted with each step is what is there: after whatever was done to a queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::SqliteBroker;
use super::open::Location;
use super::place::{Lane, QueueId, waiting};
use super::tx::View;
use crate::broker::conformance::{Bench, Harness, dead, done, failed, retry, return_, snooze};
use crate::broker::{Backend, Delivery, Due, Outgoing, Verdict};
use crate::error::Error;
use crate::event::Told;
use crate::id::QueueName;
use crate::revocation::Revocation;

const MINUTE: Duration = Duration::from_secs(60);

/// One broker for all that a bench connects.
#[derive(Debug)]
pub(super) struct Only(pub(super) SqliteBroker);

#[async_trait]
impl Harness for Only {
    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        Ok(Arc::new(self.0.clone()))
    }

    async fn advance(&self, by: Duration) -> Result<(), Error> {
        self.0.advance(by).await
    }

    async fn push_raw(&self, queue: &QueueName, priority: u8, body: &[u8]) -> Result<(), Error> {
        self.0.push_raw(queue, priority, body.to_vec()).await
    }
}

/// What the row of a queue says, and what its tables say.
fn counted(view: &View<'_>, name: &QueueName) -> Result<([i64; 8], [i64; 8]), Error> {
    let Some(queue) = view.known(name)? else {
        return Ok(([0; 8], [0; 8]));
    };
    let sql = "SELECT waiting, suspects, delayed, held, dead, dead_bytes, events, event_bytes \
               FROM queue WHERE id = ?1";
    let mut told = [0; 8];
    view.one(sql, [queue.0], |row| {
        for (at, count) in told.iter_mut().enumerate() {
            *count = row.get(at)?;
        }
        Ok(())
    })?;
    let one = |sql: &str| view.one(sql, [queue.0], |row| row.get::<_, i64>(0));
    let ready = |keys: std::ops::RangeInclusive<i64>| {
        let sql = "SELECT count(*) FROM ready WHERE place BETWEEN ?1 AND ?2";
        view.one(sql, [keys.start(), keys.end()], |row| row.get(0))
    };
    let there = [
        ready(waiting(queue))?,
        ready(Lane::suspects(QueueId(queue.0)).keys())?,
        one("SELECT count(*) FROM delayed WHERE queue = ?1")?,
        one(
            "SELECT count(*) FROM held JOIN session ON session.id = held.tag >> 40 WHERE queue = ?1",
        )?,
        one("SELECT count(*) FROM dead WHERE queue = ?1")?,
        one(
            "SELECT ifnull(sum(length(body) + octet_length(reason)), 0) FROM dead WHERE queue = ?1",
        )?,
        one("SELECT count(*) FROM event WHERE queue = ?1")?,
        one("SELECT ifnull(sum(length(entry)), 0) FROM event WHERE queue = ?1")?,
    ];
    Ok((told, there))
}

/// By how many places a lane is longer than what lies in it: how many are before a message is told by its place.
fn gaps(view: &View<'_>, name: &QueueName) -> Result<Vec<i64>, Error> {
    let Some(queue) = view.known(name)? else {
        return Ok(Vec::new());
    };
    let lanes = (0..=9).map(|priority| Lane::of(queue, priority));
    let lanes = lanes.chain([Lane::suspects(queue)]);
    let sql = "SELECT ifnull(max(place) - min(place) + 1, 0) - count(*) FROM ready WHERE place BETWEEN ?1 AND ?2";
    lanes
        .map(|lane| {
            view.one(sql, [lane.keys().start(), lane.keys().end()], |row| {
                row.get(0)
            })
        })
        .collect()
}

/// The same numbers in every run: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

fn verdict(dice: &mut Dice, delivery: &Delivery) -> Verdict {
    match dice.roll(7) {
        0 => retry(delivery, MINUTE, delivery.body.clone()),
        1 => snooze(delivery, MINUTE),
        2 => return_(delivery),
        3 => dead(delivery, "desdichado, ñ"),
        4 => failed(delivery, "no"),
        _ => done(delivery),
    }
}

#[tokio::test]
async fn what_is_counted_is_there() {
    let broker = SqliteBroker::at(&Location::Memory).unwrap();
    let bench = Bench::new(Only(broker.clone())).await.unwrap();
    let seen = mixed(&broker, &bench).await.unwrap();
    // Each place held something at some time, or its count was never tried.
    assert!(seen.iter().all(|most| *most > 0), "{seen:?}");
}

/// A long mix of all that moves a message; the most that each count came to.
async fn mixed(broker: &SqliteBroker, bench: &Bench) -> Result<[i64; 8], Error> {
    let mut heir = bench.consumer().await?;
    let mut worker = bench.consumer().await?;
    let mut held: Vec<Delivery> = Vec::new();
    let mut dice = Dice(23);
    let mut seen = [0; 8];
    for round in 0..400 {
        match dice.roll(18) {
            0..=2 => drop(bench.send(dice.roll(8)).await?),
            3 => {
                let mut message = Bench::message(round)?;
                message.priority = 9;
                let out = Outgoing {
                    event: Some(Told::sent(&message)),
                    ..Bench::outgoing(&bench.queue, &message)?
                };
                bench.enqueue(&[out]).await?;
            }
            4 => {
                bench
                    .send_due(&Bench::message(round)?, Due::In(MINUTE))
                    .await?
            }
            5 => bench.push_raw(3, b"no message").await?,
            6..=8 => held.extend(worker.claim(dice.roll(12), Duration::ZERO).await?),
            9 | 10 => {
                let ended: Vec<_> = held.drain(..dice.roll(held.len() + 1)).collect();
                let verdicts = ended.iter().map(|d| verdict(&mut dice, d)).collect();
                bench.settle(&worker, verdicts).await?;
            }
            11 => {
                worker = bench.consumer().await?;
                held.clear();
                bench.reclaim(&heir).await?;
                worker.beat().await?;
            }
            12 => {
                let leaving = std::mem::replace(&mut worker, bench.consumer().await?);
                held.clear();
                leaving.close().await?;
                bench.reclaim(&heir).await?;
                worker.beat().await?;
            }
            13 => {
                let listed = bench.broker.dead(&bench.queue, 0, dice.roll(5)).await?;
                let listed: Vec<_> = listed.into_iter().map(|dead| dead.handle).collect();
                // What can not be read is not put back, and nothing beside it.
                let replayed = match dice.roll(3) {
                    0 => None,
                    _ => bench.broker.replay(&bench.queue, &listed).await.ok(),
                };
                if replayed.is_none() {
                    bench.broker.discard(&bench.queue, &listed).await?;
                }
            }
            14 if dice.roll(4) == 0 => drop(bench.broker.purge(&bench.queue, 5).await?),
            15 => {
                let sent = bench.send(2).await?;
                let what = [Revocation::Id(sent[0])];
                bench.broker.revoke(&bench.queue, &what).await?;
                bench.broker.mark_revoked(&bench.queue, &sent[..1]).await?;
            }
            16 if dice.roll(8) == 0 => {
                // Past all retention: what is dead and what was told leaves.
                bench.advance(Duration::from_secs(8 * 86_400)).await?;
                (heir, worker) = (bench.consumer().await?, bench.consumer().await?);
                held.clear();
                bench.reclaim(&heir).await?;
                worker.beat().await?;
            }
            _ => bench.pass(MINUTE, &[&heir, &worker]).await?,
        }
        let name = bench.queue.clone();
        let look = move |view: &View<'_>| Ok((counted(view, &name)?, gaps(view, &name)?));
        let ((told, there), gaps) = broker.link.read(look).await?;
        assert_eq!(told, there, "in round {round}");
        assert!(gaps.iter().all(|gap| *gap == 0), "in round {round}");
        for (most, count) in seen.iter_mut().zip(there) {
            *most = count.max(*most);
        }
    }
    Ok(seen)
}
