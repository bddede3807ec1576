//! What can be asked of a task by its id, and for how long.

use std::time::Duration;

use super::{Bench, done, failed};
use crate::broker::Due;
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::state::State;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Of an id that nobody sent there is nothing to say.
pub async fn an_unknown_id_has_no_record(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let foreign = "0198c0de-0000-4000-8000-000000000001".parse()?;
    for id in [TaskId::random(), foreign] {
        assert!(bench.broker.record(id, None).await?.is_none());
        assert!(bench.broker.record(id, Some(&bench.queue)).await?.is_none());
    }
    Ok(())
}

/// An id does not tell its queue: without one, all are asked. That goes for ids of any version.
pub async fn a_record_is_found_without_its_queue(bench: Bench) -> Result<(), Error> {
    let mut foreign = Bench::message(0)?;
    foreign.id = "0198c0de-0000-4000-8000-000000000001".parse()?;
    bench.send_message(&foreign).await?;
    let other = QueueName::new("conformance.other")?;
    let id = bench.send_to(&other, 1).await?[0];
    let found = bench.broker.record(id, None).await?;
    assert_eq!(found.map(|r| (r.id, r.queue)), Some((id, other)));
    let found = bench.broker.record(foreign.id, None).await?;
    assert_eq!(found.map(|r| r.id), Some(foreign.id));
    Ok(())
}

/// Asked by a queue, only that queue answers.
pub async fn a_record_belongs_to_its_queue(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    let other = QueueName::new("conformance.other")?;
    bench.send_to(&other, 1).await?;
    assert!(bench.broker.record(id, Some(&other)).await?.is_none());
    Ok(())
}

/// A result can be read for 24 hours after it was written, and not for ever.
pub async fn a_result_is_kept_for_a_day(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    bench.advance(HOUR * 20).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    bench.advance(HOUR * 23).await?;
    assert_eq!(bench.state(id).await?, Some(State::Success));
    bench.advance(DAY * 15).await?;
    assert_eq!(bench.state(id).await?, None);
    Ok(())
}

/// A FAILURE can be read for 7 days, and not for ever.
pub async fn a_failure_is_kept_for_a_week(bench: Bench) -> Result<(), Error> {
    let id = bench.send(1).await?[0];
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench
        .settle(&consumer, vec![failed(&got[0], "for good")])
        .await?;
    bench.advance(DAY * 7 - HOUR).await?;
    assert_eq!(bench.state(id).await?, Some(State::Failure));
    bench.advance(DAY * 15).await?;
    assert_eq!(bench.state(id).await?, None);
    Ok(())
}

/// The record of a task that is due in a month is there until then.
pub async fn a_scheduled_task_keeps_its_record(bench: Bench) -> Result<(), Error> {
    let message = Bench::message(0)?;
    bench.send_due(&message, Due::In(DAY * 30)).await?;
    bench.advance(DAY * 30 - HOUR).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Scheduled));
    bench.advance(HOUR * 2).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Scheduled));
    let consumer = bench.consumer().await?;
    bench.deliver(&consumer, 1).await?;
    Ok(())
}
