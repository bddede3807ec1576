//! What a run that got further can count on: its latest progress is in the record, as long as the run is its session's.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{attempt, decoded};
use super::{Bench, done, retry};
use crate::broker::{Consumer, Delivery, Start};
use crate::error::Error;
use crate::event::EventPosition;
use crate::id::TaskId;
use crate::record::{Progress, Record};
use crate::state::State;

const STARTED: u64 = 1_700_000_000_002;

fn progress(done: u64, note: Option<&str>) -> Progress {
    Progress {
        done,
        total: 10,
        note: note.map(str::to_owned),
        at: STARTED + done,
    }
}

/// A run whose start was told before, and which is this far now.
fn further(delivery: &Delivery, progress: Progress) -> Start {
    let message = decoded(delivery);
    let mut record = Record::new(message.id, &message.task, &delivery.queue, State::Started);
    record.attempts = message.attempt();
    record.started = Some(STARTED);
    record.progress = Some(progress);
    let mut event = attempt(delivery);
    (event.received, event.started) = (None, None);
    Start {
        receipt: delivery.receipt,
        record: Some(record),
        event,
    }
}

impl Bench {
    async fn go(&self, by: &Arc<dyn Consumer>, run: Start) -> Result<(), Error> {
        by.started(&self.queue, vec![run]).await
    }

    async fn read(&self, id: TaskId) -> Result<(State, Option<Progress>), Error> {
        let record = self.record(id).await?;
        Ok((record.state, record.progress))
    }

    /// Behind all that was told so far.
    async fn position(&self) -> Result<EventPosition, Error> {
        let mut position = EventPosition::oldest();
        loop {
            let page = self.broker.events(&position, Duration::ZERO).await?;
            if page.next == position {
                return Ok(position);
            }
            position = page.next;
        }
    }
}

/// The record of a run that tells it reads as STARTED, with all of its latest progress.
pub async fn the_latest_progress_is_in_the_record(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    let steps = [
        progress(1, Some("ñandú \"one\"")),
        progress(7, None),
        progress(3, Some("back")),
    ];
    for step in steps {
        bench.go(&consumer, further(&got[0], step.clone())).await?;
        assert_eq!(bench.read(sent[0]).await?, (State::Started, Some(step)));
    }
    assert_eq!(bench.read(sent[1]).await?, (State::Queued, None));
    Ok(())
}

/// Progress alone is no event: nothing is stored that monitors would have to read.
pub async fn progress_is_no_event(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    let before = bench.position().await?;
    for n in 1..4 {
        bench
            .go(&consumer, further(&got[0], progress(n, None)))
            .await?;
    }
    assert_eq!(bench.position().await?, before);
    assert!(bench.told_of_tasks().await?.is_empty());
    Ok(())
}

/// The progress of a lost session writes nothing over what its heir wrote.
pub async fn the_progress_of_a_lost_session_does_not_count(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&silent, 1).await?;
    bench
        .go(&silent, further(&got[0], progress(8, None)))
        .await?;
    bench.reclaim(&heir).await?;
    let again = bench.deliver(&heir, 1).await?;
    bench
        .go(&heir, further(&again[0], progress(1, None)))
        .await?;
    // Whether it hears of the loss as an error is the broker's affair.
    drop(bench.go(&silent, further(&got[0], progress(9, None))).await);
    let (state, read) = bench.read(sent[0]).await?;
    assert_eq!((state, read.map(|p| p.done)), (State::Started, Some(1)));
    Ok(())
}

/// What comes behind its run's verdict writes nothing, be it final or not.
pub async fn progress_behind_the_verdict_does_not_count(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    let body = got[1].body.clone();
    let verdicts = vec![done(&got[0]), retry(&got[1], Duration::from_secs(60), body)];
    bench.settle(&consumer, verdicts).await?;
    for late in &got {
        drop(bench.go(&consumer, further(late, progress(9, None))).await);
    }
    assert_eq!(bench.read(sent[0]).await?, (State::Success, None));
    assert_eq!(bench.read(sent[1]).await?, (State::Retry, None));
    Ok(())
}

/// A verdict's record tells how far its run had got; that of the next attempt begins without.
pub async fn the_last_progress_stays_with_its_attempt(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench
        .go(&consumer, further(&got[0], progress(1, None)))
        .await?;
    let mut failed = retry(&got[0], Duration::ZERO, got[0].body.clone());
    let last = progress(4, Some("here"));
    if let Some(record) = &mut failed.record {
        record.progress = Some(last.clone());
    }
    bench.settle(&consumer, vec![failed]).await?;
    assert_eq!(bench.read(sent[0]).await?, (State::Retry, Some(last)));
    let again = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&again[0])]).await?;
    assert_eq!(bench.read(sent[0]).await?, (State::Success, None));
    Ok(())
}
