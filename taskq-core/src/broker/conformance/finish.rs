//! What `finish` promises.

use std::time::Duration;

use super::bench::decoded;
use super::{Bench, dead, done, failed, ids, retry, return_, snooze, untracked};
use crate::broker::{Delivery, Finished};
use crate::error::Error;
use crate::state::State;

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

fn next_attempt(delivery: &Delivery) -> Result<bytes::Bytes, Error> {
    let mut message = decoded(delivery);
    message.retries += 1;
    Ok(message.encode()?.into())
}

/// A verdict with a record is what the record says from then on; the message is gone.
pub async fn a_result_is_recorded(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    let mut verdict = done(&got[0]);
    if let Some(record) = &mut verdict.record {
        record.worker = Some("w1@host".into());
    }
    bench.settle(&consumer, vec![verdict]).await?;
    let record = bench.record(id).await?;
    assert_eq!(record.state, State::Success);
    assert_eq!(record.result.as_ref().map(|r| r.get()), Some("\"done\""));
    assert_eq!(
        (record.attempts, record.worker.as_deref()),
        (1, Some("w1@host"))
    );
    assert_eq!(bench.depth().await?, crate::broker::Depth::default());
    Ok(())
}

/// A retry comes when its wait is over and not before, in the form the verdict gave it.
pub async fn a_retry_comes_when_due_in_its_new_form(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    let body = next_attempt(&got[0])?;
    bench
        .settle(&consumer, vec![retry(&got[0], HOUR, body.clone())])
        .await?;
    assert_eq!(bench.state(id).await?, Some(State::Retry));
    bench.nothing_for(&consumer).await?;
    bench.advance(HOUR - MINUTE).await?;
    consumer.beat().await?;
    bench.nothing_for(&consumer).await?;
    bench.advance(MINUTE).await?;
    let again = bench.deliver(&consumer, 1).await?;
    assert_eq!(again[0].body, body);
    assert_ne!(again[0].receipt, got[0].receipt);
    bench.settle(&consumer, vec![done(&again[0])]).await?;
    assert_eq!(bench.record(id).await?.attempts, 2);
    Ok(())
}

/// A snoozed message comes back as it was.
pub async fn a_snoozed_message_comes_when_due_unchanged(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![snooze(&got[0], HOUR)]).await?;
    bench.advance(HOUR - MINUTE).await?;
    consumer.beat().await?;
    bench.nothing_for(&consumer).await?;
    bench.advance(MINUTE).await?;
    let again = bench.deliver(&consumer, 1).await?;
    assert_eq!((&again[0].body, again[0].crashes), (&got[0].body, 0));
    Ok(())
}

/// What is returned comes before what waits, in its old order, whatever order the verdicts had.
pub async fn what_is_returned_goes_to_the_front(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(6).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 4).await?;
    let shuffled = [2, 0, 3, 1].map(|i: usize| return_(&got[i]));
    bench.settle(&consumer, shuffled.to_vec()).await?;
    let again = bench.deliver(&consumer, 6).await?;
    assert_eq!(ids(&again), sent);
    assert!(again.iter().all(|d| d.crashes == 0));
    assert_eq!(bench.state(sent[0]).await?, Some(State::Queued));
    Ok(())
}

/// Return, retry and snooze leave a message in its priority.
pub async fn a_returned_message_keeps_its_priority(bench: Bench) -> Result<(), Error> {
    for number in 0..3 {
        let mut message = Bench::message(number)?;
        message.priority = 6;
        bench.send_message(&message).await?;
    }
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 3).await?;
    let verdicts = vec![
        return_(&got[0]),
        retry(&got[1], MINUTE, next_attempt(&got[1])?),
        snooze(&got[2], MINUTE),
    ];
    bench.settle(&consumer, verdicts).await?;
    bench.send(1).await?;
    bench.advance(MINUTE * 2).await?;
    let again = bench.deliver(&consumer, 4).await?;
    let priorities: Vec<u8> = again.iter().map(|d| d.priority).collect();
    assert_eq!(priorities, [6, 6, 6, 0]);
    Ok(())
}

/// What is put to the dead is listed there, with its body and its reason, and recorded.
pub async fn what_is_dead_is_listed_with_its_reason(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    let at = got[0].claimed_at;
    bench
        .settle(&consumer, vec![dead(&got[0], "no task of that name")])
        .await?;
    let listed = bench.broker.dead(&bench.queue, 0, 10).await?;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].body, got[0].body);
    assert_eq!(listed[0].state, State::Dead);
    assert_eq!(listed[0].reason, "no task of that name");
    assert!(listed[0].at >= at);
    assert_eq!(bench.state(id).await?, Some(State::Dead));
    assert_eq!(bench.depth().await?.dead, 1);
    Ok(())
}

/// A FAILURE lies in the dead set as such.
pub async fn a_failure_is_listed_with_its_state(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench
        .settle(&consumer, vec![failed(&got[0], "card refused")])
        .await?;
    let listed = bench.broker.dead(&bench.queue, 0, 10).await?;
    assert_eq!(listed[0].state, State::Failure);
    let record = bench.record(id).await?;
    assert_eq!(record.state, State::Failure);
    assert_eq!(
        record.error.map(|e| e.message).as_deref(),
        Some("card refused")
    );
    Ok(())
}

/// A verdict without a record leaves none, and leaves an old one as it is.
pub async fn untracked_verdicts_write_no_record(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.ignore_result = true;
    bench.send_message(&message).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench
        .settle(&consumer, vec![untracked(done(&got[0]))])
        .await?;
    assert_eq!(bench.state(message.id).await?, None);
    assert_eq!(bench.depth().await?.in_flight, 0);
    Ok(())
}

/// What a session says after it was given up counts for nothing, and overwrites nothing.
pub async fn the_verdict_of_a_lost_session_does_not_count(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let old = bench.deliver(&silent, 2).await?;
    assert_eq!(bench.reclaim(&heir).await?.returned, 2);
    let new = bench.deliver(&heir, 1).await?;
    bench.settle(&heir, vec![done(&new[0])]).await?;

    let late = old.iter().map(|d| dead(d, "too late")).collect();
    let finished = bench.finish(&silent, late).await?;
    assert_eq!(
        finished,
        Finished {
            applied: 0,
            lost: 2
        }
    );
    assert_eq!(bench.state(sent[0]).await?, Some(State::Success));
    assert_eq!(bench.state(sent[1]).await?, Some(State::Queued));
    assert_eq!(bench.depth().await?.dead, 0);
    bench.deliver(&heir, 1).await?;
    Ok(())
}

/// The second verdict on one delivery does not count, whether of a later batch or of the same.
pub async fn a_delivery_is_finished_once(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(3).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 3).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    let twice = vec![dead(&got[0], "again")];
    let finished = bench.finish(&consumer, twice).await?;
    assert_eq!(
        finished,
        Finished {
            applied: 0,
            lost: 1
        }
    );
    assert_eq!(bench.state(sent[0]).await?, Some(State::Success));
    let depth = bench.depth().await?;
    assert_eq!((depth.in_flight, depth.dead), (2, 0));
    bench
        .settle(&consumer, vec![done(&got[1]), done(&got[2])])
        .await?;
    assert_eq!(bench.depth().await?.in_flight, 0);
    Ok(())
}

/// Nobody can finish what another holds.
pub async fn the_receipt_of_another_consumer_does_not_count(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let (holder, other) = (bench.consumer().await?, bench.consumer().await?);
    let held = bench.deliver(&holder, 1).await?;
    let own = bench.deliver(&other, 1).await?;
    let finished = bench.finish(&other, vec![done(&held[0])]).await?;
    assert_eq!(finished.applied, 0);
    assert_eq!(bench.state(sent[0]).await?, Some(State::Queued));
    bench.settle(&holder, vec![done(&held[0])]).await?;
    drop(own);
    Ok(())
}

/// Of two messages with one id the first to end decides what the record says.
pub async fn a_final_record_is_never_overwritten(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_message(&message).await?;
    bench.send_message(&message).await?;
    bench.send_message(&message).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 3).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    bench
        .settle(&consumer, vec![failed(&got[1], "later")])
        .await?;
    let again = retry(&got[2], MINUTE, next_attempt(&got[2])?);
    bench.settle(&consumer, vec![again]).await?;
    let record = bench.record(message.id).await?;
    assert_eq!(record.state, State::Success);
    assert!(record.error.is_none());
    Ok(())
}

/// One batch may end its deliveries in every way there is.
pub async fn one_finish_takes_every_kind_of_verdict(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(6).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 6).await?;
    let verdicts = vec![
        done(&got[0]),
        retry(&got[1], HOUR, next_attempt(&got[1])?),
        snooze(&got[2], HOUR),
        return_(&got[3]),
        dead(&got[4], "rejected"),
        failed(&got[5], "for good"),
    ];
    bench.settle(&consumer, verdicts).await?;
    let states = [
        State::Success,
        State::Retry,
        State::Scheduled,
        State::Queued,
        State::Dead,
        State::Failure,
    ];
    for (id, state) in sent.iter().zip(states) {
        assert_eq!(bench.state(*id).await?, Some(state));
    }
    let depth = bench.depth().await?;
    assert_eq!((depth.waiting, depth.delayed, depth.dead), (1, 2, 2));
    assert_eq!(depth.in_flight, 0);
    Ok(())
}
