//! What a purge promises: all that nobody has claimed is over, as REVOKED; what is claimed runs on.

use std::time::Duration;

use super::{Bench, done};
use crate::broker::{Depth, Due, Wanted};
use crate::error::Error;
use crate::event::TaskEventKind;
use crate::id::QueueName;
use crate::state::State;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Bench {
    async fn purge(&self, most: usize) -> Result<usize, Error> {
        self.broker.purge(&self.queue, most).await
    }
}

/// What waits is over: REVOKED, and says that it was purged. Counted and told.
pub async fn what_waits_is_purged(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(3).await?;
    let mut urgent = Bench::message(7)?;
    urgent.priority = 7;
    bench.send_message(&urgent).await?;
    assert_eq!(bench.purge(100).await?, 4);
    for id in sent.into_iter().chain([urgent.id]) {
        let record = bench.record(id).await?;
        let error = record.error.map(|e| e.kind);
        assert_eq!(
            (record.state, error.as_deref()),
            (State::Revoked, Some("Purged"))
        );
        assert!(record.finished.is_some());
    }
    bench.nothing_for(&bench.consumer().await?).await?;
    let totals = bench.broker.totals(&bench.queue).await?;
    assert_eq!((totals.revoked, totals.crashed, totals.returned), (4, 0, 0));
    let told = bench.told_of_tasks().await?;
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|e| e.kind == TaskEventKind::Revoked));
    assert_eq!(bench.purge(100).await?, 0);
    Ok(())
}

/// So is what is delayed, whenever it is due.
pub async fn what_is_delayed_is_purged(bench: Bench) -> Result<(), Error> {
    let (soon, later) = (Bench::message(0)?, Bench::message(1)?);
    bench.send_due(&soon, Due::In(HOUR)).await?;
    bench.send_due(&later, Due::In(DAY * 3)).await?;
    assert_eq!(bench.purge(100).await?, 2);
    assert_eq!(bench.depth().await?.delayed, 0);
    for id in [soon.id, later.id] {
        assert_eq!(bench.state(id).await?, Some(State::Revoked));
    }
    // It is as long as it would have been.
    bench.advance(DAY * 2).await?;
    bench.consumer().await?.sweep().await?;
    assert_eq!(bench.state(later.id).await?, Some(State::Revoked));
    Ok(())
}

/// And what is held back for its last life.
pub async fn what_is_held_back_is_purged(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.max_crashes = Some(2);
    bench.send_message(&message).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&silent, 1).await?;
    bench.reclaim(&heir).await?;
    assert_eq!(bench.depth().await?.suspects, 1);
    assert_eq!(bench.purge(100).await?, 1);
    assert_eq!(bench.depth().await?.suspects, 0);
    let record = bench.record(message.id).await?;
    assert_eq!((record.state, record.crashes), (State::Revoked, 1));
    Ok(())
}

/// What is claimed runs on, and its verdict counts.
pub async fn what_is_claimed_outlives_a_purge(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    assert_eq!(bench.purge(100).await?, 1);
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    assert_eq!(bench.state(sent[0]).await?, Some(State::Success));
    assert_eq!(bench.state(sent[1]).await?, Some(State::Revoked));
    Ok(())
}

/// What can not be read is purged like any other; what has no record gets none.
pub async fn what_can_not_be_read_is_purged(bench: Bench) -> Result<(), Error> {
    bench.push_raw(0, b"{\"no\":\"message\"}").await?;
    bench.push_raw(3, b"").await?;
    let mut quiet = Bench::message(0)?;
    quiet.ignore_result = true;
    bench.send_message(&quiet).await?;
    assert_eq!(bench.purge(100).await?, 3);
    assert_eq!(bench.depth().await?, Depth::default());
    assert_eq!(bench.state(quiet.id).await?, None);
    Ok(())
}

/// No more than was asked for goes at once: what would be claimed first goes first.
pub async fn a_purge_ends_no_more_than_asked(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(5).await?;
    assert_eq!(bench.purge(2).await?, 2);
    assert_eq!(bench.depth().await?.waiting, 3);
    assert_eq!(bench.state(sent[1]).await?, Some(State::Revoked));
    assert_eq!(bench.state(sent[2]).await?, Some(State::Queued));
    assert_eq!(bench.purge(0).await?, 0);
    Ok(())
}

/// Many messages of many bytes go call by call, each bounded.
pub async fn a_purge_is_bounded_by_bytes(bench: Bench) -> Result<(), Error> {
    let large = vec![b'x'; 700_000];
    for _ in 0..3 {
        bench.push_raw(0, &large).await?;
    }
    // Beyond the first at most 1 MiB.
    assert_eq!(bench.purge(100).await?, 2);
    assert_eq!(bench.purge(100).await?, 1);
    Ok(())
}

/// Other queues keep what they have.
pub async fn a_purge_belongs_to_its_queue(bench: Bench) -> Result<(), Error> {
    let other = QueueName::new("conformance.other")?;
    bench.send(1).await?;
    bench.send_to(&other, 2).await?;
    assert_eq!(bench.purge(100).await?, 1);
    assert_eq!(bench.broker.depth(&other).await?.waiting, 2);
    let unknown = QueueName::new("conformance.unknown")?;
    assert_eq!(bench.broker.purge(&unknown, 100).await?, 0);
    Ok(())
}

/// A paused queue can be purged, and stays paused.
pub async fn a_paused_queue_can_be_purged(bench: Bench) -> Result<(), Error> {
    bench.send(2).await?;
    bench.broker.pause(&bench.queue, "ops", "").await?;
    assert_eq!(bench.purge(100).await?, 2);
    let depth = bench.depth().await?;
    assert!(depth.paused.is_some() && depth.waiting == 0);
    Ok(())
}

/// A record that was final stays so, and nothing is told of it.
pub async fn a_purge_overwrites_no_final_record(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_message(&message).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    bench.send_message(&message).await?;
    assert_eq!(bench.purge(100).await?, 1);
    assert_eq!(bench.state(message.id).await?, Some(State::Success));
    assert!(bench.told_of_tasks().await?.is_empty());
    Ok(())
}

/// Who waits for what is purged is woken.
pub async fn a_purge_wakes_a_watch(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let elsewhere = bench.connect().await?;
    let wanted = Wanted {
        id: sent[0],
        queue: Some(bench.queue.clone()),
    };
    let mut watch = elsewhere.watch(vec![wanted], HOUR).await?;
    let (found, purged) = tokio::join!(watch.next(), bench.purge(100));
    assert_eq!(purged?, 1);
    assert_eq!(
        found?.map(|r| (r.id, r.state)),
        Some((sent[0], State::Revoked))
    );
    Ok(())
}
