//! What `started` promises: a run that is under way can be seen, as long as it is ours.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{attempt, decoded};
use super::{Bench, done, ids};
use crate::broker::{Consumer, Delivery, Start};
use crate::error::Error;
use crate::event::TaskEventKind;
use crate::record::Record;
use crate::state::State;

const RECEIVED: u64 = 1_700_000_000_001;
const STARTED: u64 = 1_700_000_000_002;

/// The start of a tracked run, as its worker tells it.
fn start(delivery: &Delivery) -> Start {
    let message = decoded(delivery);
    let mut record = Record::new(message.id, &message.task, &delivery.queue, State::Started);
    record.attempts = message.attempt();
    record.started = Some(STARTED);
    record.worker = Some("bench".into());
    let mut event = attempt(delivery);
    event.received = Some(RECEIVED);
    event.started = Some(STARTED);
    Start {
        receipt: delivery.receipt,
        record: Some(record),
        event,
    }
}

impl Bench {
    async fn begin(&self, by: &Arc<dyn Consumer>, runs: Vec<Start>) -> Result<(), Error> {
        by.started(&self.queue, runs).await
    }
}

/// A run that began reads as STARTED, with what its worker says of it.
pub async fn a_run_that_began_reads_started(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    bench.begin(&consumer, vec![start(&got[0])]).await?;
    let record = bench.record(sent[0]).await?;
    assert_eq!((record.state, record.attempts), (State::Started, 1));
    assert_eq!(
        (record.started, record.worker.as_deref()),
        (Some(STARTED), Some("bench"))
    );
    assert_eq!(bench.state(sent[1]).await?, Some(State::Queued));
    Ok(())
}

/// A start without a record writes none, and is told all the same.
pub async fn a_start_without_a_record_writes_none(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    let quiet = Start {
        record: None,
        ..start(&got[0])
    };
    bench.begin(&consumer, vec![quiet]).await?;
    assert_eq!(bench.state(sent[0]).await?, Some(State::Queued));
    assert_eq!(bench.told_of_tasks().await?.len(), 2);
    Ok(())
}

/// The start is told as received and started, by its worker and with its times; the verdict then tells the end alone.
pub async fn a_start_is_told_once(bench: Bench) -> Result<(), Error> {
    use TaskEventKind::{Received, Started, Succeeded};
    let sent = bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.begin(&consumer, vec![start(&got[0])]).await?;
    let mut verdict = done(&got[0]);
    verdict.event = Some(attempt(&got[0]));
    bench.settle(&consumer, vec![verdict]).await?;
    let mut told = bench.told_of_tasks().await?;
    told.sort_by_key(|t| t.kind);
    let kinds: Vec<_> = told.iter().map(|t| t.kind).collect();
    assert_eq!(kinds, [Received, Started, Succeeded]);
    assert!(told.iter().all(|t| t.id == sent[0]));
    assert!(told.iter().all(|t| t.worker.as_deref() == Some("bench")));
    let times: Vec<_> = bench.told().await?.iter().map(|e| e.at).collect();
    assert!(times.contains(&RECEIVED) && times.contains(&STARTED));
    Ok(())
}

/// Of a delivery that was lost no start is written or told.
pub async fn the_start_of_a_lost_delivery_does_not_count(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&silent, 1).await?;
    bench.reclaim(&heir).await?;
    let told = bench.told_of_tasks().await?.len();
    // Whether it hears of the loss as an error is the broker's affair.
    drop(bench.begin(&silent, vec![start(&got[0])]).await);
    assert_eq!(bench.state(sent[0]).await?, Some(State::Queued));
    assert_eq!(bench.told_of_tasks().await?.len(), told);
    Ok(())
}

/// Nobody starts what another consumer holds.
pub async fn the_start_of_anothers_delivery_does_not_count(bench: Bench) -> Result<(), Error> {
    bench.send(2).await?;
    let (mine, other) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&mine, 1).await?;
    bench.deliver(&other, 1).await?;
    drop(bench.begin(&other, vec![start(&got[0])]).await);
    assert_eq!(bench.state(ids(&got)[0]).await?, Some(State::Queued));
    assert!(bench.told_of_tasks().await?.is_empty());
    bench.settle(&mine, vec![done(&got[0])]).await
}

/// A final record stands, also against a start of another message with its id.
pub async fn a_start_overwrites_no_final_record(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    let consumer = bench.consumer().await?;
    bench.send_message(&message).await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    bench.send_message(&message).await?;
    let again = bench.deliver(&consumer, 1).await?;
    bench.begin(&consumer, vec![start(&again[0])]).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Success));
    Ok(())
}

/// A start keeps its delivery where it is: it can be finished, and is given back when its process dies.
pub async fn a_start_moves_no_message(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&silent, 2).await?;
    bench
        .begin(&silent, got.iter().map(start).collect())
        .await?;
    assert_eq!(bench.depth().await?.in_flight, 2);
    bench.settle(&silent, vec![done(&got[0])]).await?;
    assert_eq!(bench.reclaim(&heir).await?.returned, 1);
    let again = bench.deliver(&heir, 1).await?;
    assert_eq!((ids(&again)[0], again[0].crashes), (sent[1], 1));
    assert!(heir.claim(1, Duration::ZERO).await?.is_empty());
    Ok(())
}
