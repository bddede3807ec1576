//! What a watch promises: each final record once, as it comes, and an end when its time is over.

use std::time::Duration;

use super::{Bench, dead, done, failed, ids, retry};
use crate::broker::{Wanted, Watch};
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};
use crate::state::State;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

impl Bench {
    fn wanted(&self, ids: &[TaskId]) -> Vec<Wanted> {
        let wanted = |id: &TaskId| Wanted {
            id: *id,
            queue: Some(self.queue.clone()),
        };
        ids.iter().map(wanted).collect()
    }

    async fn watch(&self, ids: &[TaskId], within: Duration) -> Result<Box<dyn Watch>, Error> {
        self.broker.watch(self.wanted(ids), within).await
    }
}

/// The ids and states of all that a watch still answers, by id.
async fn rest(watch: &mut Box<dyn Watch>) -> Result<Vec<(TaskId, State)>, Error> {
    let mut all = Vec::new();
    while let Some(record) = watch.next().await? {
        all.push((record.id, record.state));
        assert!(all.len() <= 100, "more answers than tasks: {record:?}");
    }
    all.sort_by_key(|(id, _)| *id);
    Ok(all)
}

/// What was final before is answered without anything happening, with its result.
pub async fn what_is_final_already_is_answered(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    let mut watch = bench.watch(&sent, LONG).await?;
    let Some(record) = watch.next().await? else {
        panic!("the record is there");
    };
    assert_eq!((record.id, record.state), (sent[0], State::Success));
    assert_eq!(record.result.as_ref().map(|r| r.get()), Some("\"done\""));
    Ok(())
}

/// Who waits is woken by the verdict, whichever final state it brings.
pub async fn a_verdict_wakes_a_watch(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(3).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 3).await?;
    let elsewhere = bench.connect().await?;
    let mut watch = elsewhere.watch(bench.wanted(&sent), LONG).await?;
    let verdicts = [done(&got[0]), failed(&got[1], "no"), dead(&got[2], "no")];
    let states = [State::Success, State::Failure, State::Dead];
    for ((verdict, state), id) in verdicts.into_iter().zip(states).zip(sent) {
        let (found, settled) = tokio::join!(watch.next(), bench.settle(&consumer, vec![verdict]));
        settled?;
        assert_eq!(found?.map(|r| (r.id, r.state)), Some((id, state)));
    }
    assert!(watch.next().await?.is_none());
    Ok(())
}

/// Each is answered once, those that came while nobody asked included; then there are no more.
pub async fn each_is_answered_once(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(50).await?;
    let mut watch = bench.watch(&sent, LONG).await?;
    let consumer = bench.consumer().await?;
    for _ in 0..5 {
        let got = bench.deliver(&consumer, 10).await?;
        bench
            .settle(&consumer, got.iter().map(done).collect())
            .await?;
    }
    let all: Vec<_> = rest(&mut watch).await?.into_iter().map(|r| r.0).collect();
    assert_eq!(all, sent);
    assert!(watch.next().await?.is_none());
    Ok(())
}

/// A task that is wanted twice in one watch is answered once.
pub async fn a_task_wanted_twice_is_answered_once(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    let mut watch = bench.watch(&[id, id, id], LONG).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    assert_eq!(rest(&mut watch).await?, [(id, State::Success)]);
    Ok(())
}

/// When its time is over a watch ends; what was final by then is answered, the rest is not.
pub async fn a_watch_ends_when_its_time_is_over(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    let mut watch = bench.watch(&sent, SHORT).await?;
    assert_eq!(rest(&mut watch).await?, [(sent[0], State::Success)]);
    let mut at_once = bench.watch(&sent, Duration::ZERO).await?;
    assert_eq!(rest(&mut at_once).await?, [(sent[0], State::Success)]);
    Ok(())
}

/// What is not final is not answered: a retry is waited out.
pub async fn a_retry_is_not_answered(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    let mut watch = bench.watch(&sent, LONG).await?;
    let again = retry(&got[0], LONG, got[0].body.clone());
    bench.settle(&consumer, vec![again]).await?;
    let mut short = bench.watch(&sent, SHORT).await?;
    assert!(short.next().await?.is_none());
    bench.pass(LONG * 2, &[&consumer]).await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    assert_eq!(rest(&mut watch).await?, [(sent[0], State::Success)]);
    Ok(())
}

/// A task that is dead by its crashes is answered: its last process can not tell.
pub async fn a_task_that_crashed_for_good_is_answered(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.max_crashes = Some(1);
    bench.send_message(&message).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&silent, 1).await?;
    let mut watch = bench.watch(&[message.id], LONG).await?;
    let (found, swept) = tokio::join!(watch.next(), bench.reclaim(&heir));
    assert_eq!(swept?.dead, 1);
    let found = found?.map(|r| (r.id, r.state));
    assert_eq!(found, Some((message.id, State::Dead)));
    Ok(())
}

/// Without a queue all known ones are asked.
pub async fn a_watch_finds_the_queue_by_itself(bench: Bench) -> Result<(), Error> {
    let other = QueueName::new("conformance.other")?;
    let mut sent = bench.send(1).await?;
    sent.extend(bench.send_to(&other, 1).await?);
    let wanted = sent.iter().map(|id| Wanted {
        id: *id,
        queue: None,
    });
    let mut watch = bench.broker.watch(wanted.collect(), LONG).await?;
    let consumer = bench
        .consumer_at(&[bench.queue.clone(), other.clone()])
        .await?;
    for delivery in bench.deliver(&consumer, 2).await? {
        consumer
            .finish(&delivery.queue, vec![done(&delivery)])
            .await?;
    }
    let all: Vec<_> = rest(&mut watch).await?.into_iter().map(|r| r.0).collect();
    assert_eq!(all, sent);
    Ok(())
}

/// All who wait for a task are answered, also when one of them has gone.
pub async fn every_watch_is_answered(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let elsewhere = bench.connect().await?;
    let mut first = bench.watch(&sent, LONG).await?;
    drop(bench.watch(&sent, LONG).await?);
    let mut second = elsewhere.watch(bench.wanted(&sent), LONG).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    for watch in [&mut first, &mut second] {
        assert_eq!(rest(watch).await?, [(ids(&got)[0], State::Success)]);
    }
    Ok(())
}

/// A `next` that is dropped half way loses no answer.
pub async fn a_dropped_next_loses_nothing(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let mut watch = bench.watch(&sent, LONG).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    assert!(tokio::time::timeout(SHORT, watch.next()).await.is_err());
    bench
        .settle(&consumer, got.iter().map(done).collect())
        .await?;
    assert_eq!(rest(&mut watch).await?.len(), 2);
    Ok(())
}

/// A watch over nothing is over; one over more than 10,000 tasks is refused.
pub async fn a_watch_is_bounded(bench: Bench) -> Result<(), Error> {
    assert!(bench.watch(&[], LONG).await?.next().await?.is_none());
    let ids: Vec<_> = (0..10_001).map(|_| TaskId::random()).collect();
    let refused = bench.watch(&ids, SHORT).await;
    assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Invalid));
    let mut most = bench.watch(&ids[1..], SHORT).await?;
    assert!(most.next().await?.is_none());
    Ok(())
}
