//! What `enqueue` promises.

use std::time::Duration;

use super::{Bench, done, failed, ids};
use crate::broker::Due;
use crate::error::Error;
use crate::id::QueueName;
use crate::state::State;

const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// An accepted message can be claimed, byte for byte, with nothing charged to it.
pub async fn what_is_accepted_can_be_claimed(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(7)?;
    message.priority = 4;
    bench.send_message(&message).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    assert_eq!(got[0].body, message.encode()?);
    assert_eq!(got[0].queue, bench.queue);
    assert_eq!((got[0].priority, got[0].crashes), (4, 0));
    assert!(!got[0].suspect && !got[0].lost.is_cancelled());
    bench.nothing_for(&consumer).await
}

/// First in, first out: within a batch and from batch to batch.
pub async fn messages_come_in_order(bench: Bench) -> Result<(), Error> {
    let mut sent = bench.send(5).await?;
    sent.extend(bench.send(1).await?);
    sent.extend(bench.send(4).await?);
    let consumer = bench.consumer().await?;
    let mut got = bench.deliver(&consumer, 3).await?;
    got.extend(bench.deliver(&consumer, 7).await?);
    assert_eq!(ids(&got), sent);
    Ok(())
}

/// A batch of 999 is accepted; one over the limits of a batch is refused and leaves nothing behind.
pub async fn a_batch_is_accepted_whole_or_not_at_all(bench: Bench) -> Result<(), Error> {
    let messages: Result<Vec<_>, _> = (0..1_000).map(Bench::message).collect();
    let batch: Result<Vec<_>, _> = messages?
        .iter()
        .map(|m| Bench::outgoing(&bench.queue, m))
        .collect();
    let mut batch = batch?;
    let refused = bench.enqueue(&batch).await;
    assert!(refused.is_err(), "1,000 messages were accepted");
    assert_eq!(bench.depth().await?.waiting, 0);
    assert_eq!(bench.state(batch[0].id).await?, None);

    let mut heavy = batch[..5].to_vec();
    for out in &mut heavy {
        out.body = vec![b' '; 400 << 10].into();
    }
    let refused = bench.enqueue(&heavy).await;
    assert!(refused.is_err(), "1.6 MB beyond the first were accepted");
    assert_eq!(bench.depth().await?.waiting, 0);

    batch.truncate(999);
    bench.enqueue(&batch).await?;
    assert_eq!(bench.depth().await?.waiting, 999);
    bench.enqueue(&[]).await?;
    assert_eq!(bench.depth().await?.waiting, 999);
    Ok(())
}

/// A tracked message can be asked for as soon as it is accepted.
pub async fn a_tracked_message_has_a_record_at_once(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    for id in sent {
        let record = bench.record(id).await?;
        assert_eq!(record.state, State::Queued);
        assert_eq!(record.task, "conformance.task");
        assert_eq!(record.queue, bench.queue);
    }
    Ok(())
}

/// A message sent without a record has none.
pub async fn an_untracked_message_has_none(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.ignore_result = true;
    bench.send_message(&message).await?;
    assert_eq!(bench.state(message.id).await?, None);
    Ok(())
}

/// The same id sent again does not make its result forgotten.
pub async fn sending_again_does_not_forget_a_final_record(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_message(&message).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    bench.send_message(&message).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Success));
    Ok(())
}

/// The same goes for a FAILURE, which is kept longer than a result.
pub async fn sending_again_does_not_forget_a_failure(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_message(&message).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench
        .settle(&consumer, vec![failed(&got[0], "for good")])
        .await?;
    bench.send_message(&message).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Failure));
    let again = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&again[0])]).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Failure));
    Ok(())
}

/// What is sent with a countdown comes when that is over, and not before.
pub async fn what_is_delayed_does_not_come_before_it_is_due(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_due(&message, Due::In(HOUR)).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Scheduled));
    let consumer = bench.consumer().await?;
    bench.nothing_for(&consumer).await?;
    bench.advance(HOUR - MINUTE).await?;
    consumer.beat().await?;
    bench.nothing_for(&consumer).await?;
    bench.advance(MINUTE).await?;
    let got = bench.deliver(&consumer, 1).await?;
    assert_eq!(got[0].body, message.encode()?);
    Ok(())
}

/// An eta is compared with the broker's clock alone.
pub async fn an_eta_is_a_time_of_the_brokers_clock(bench: Bench) -> Result<(), Error> {
    bench.advance(48 * HOUR).await?;
    let eta = bench.broker_time().await? + 3_600_000;
    let message = Bench::message(0)?;
    bench.send_due(&message, Due::At(eta)).await?;
    let consumer = bench.consumer().await?;
    bench.nothing_for(&consumer).await?;
    bench.advance(HOUR - MINUTE).await?;
    consumer.beat().await?;
    bench.nothing_for(&consumer).await?;
    bench.advance(MINUTE).await?;
    let got = bench.deliver(&consumer, 1).await?;
    assert!(got[0].claimed_at >= eta);
    Ok(())
}

/// An eta in the past runs at once.
pub async fn an_eta_in_the_past_is_due_at_once(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_due(&message, Due::At(1_000)).await?;
    let consumer = bench.consumer().await?;
    bench.deliver(&consumer, 1).await?;
    Ok(())
}

/// 9 is served before 0, and each priority in order.
pub async fn a_higher_priority_comes_first(bench: Bench) -> Result<(), Error> {
    for number in 0..20 {
        let mut message = Bench::message(number)?;
        message.priority = u8::try_from(number % 10).unwrap_or(0);
        bench.send_message(&message).await?;
    }
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 20).await?;
    let priorities: Vec<u8> = got.iter().map(|d| d.priority).collect();
    let expected: Vec<u8> = (0..10).rev().flat_map(|p| [p, p]).collect();
    assert_eq!(priorities, expected);
    for pair in ids(&got).chunks(2) {
        assert!(pair[0] < pair[1], "older first within a priority");
    }
    Ok(())
}

/// A consumer of one queue sees nothing of another.
pub async fn a_message_stays_in_its_queue(bench: Bench) -> Result<(), Error> {
    let other = QueueName::new("conformance.other")?;
    bench.send_to(&other, 3).await?;
    let consumer = bench.consumer().await?;
    bench.nothing_for(&consumer).await?;
    assert_eq!(bench.broker.depth(&other).await?.waiting, 3);
    Ok(())
}
