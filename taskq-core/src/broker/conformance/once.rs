//! What an idempotency key promises: within its time, one message.

use std::time::Duration;

use super::{Bench, done};
use crate::broker::{Accepted, Once, Outgoing};
use crate::error::{Error, ErrorKind};
use crate::event::Told;
use crate::id::QueueName;

const SEND_DEADLINE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

impl Bench {
    /// A message on its way in that holds `key` for an hour.
    pub(super) fn keyed(&self, key: &str) -> Result<Outgoing, Error> {
        let message = Self::message(0)?;
        Ok(Outgoing {
            once: Some(Once {
                key: key.to_owned(),
                held_for: HOUR,
            }),
            event: Some(Told::sent(&message)),
            ..Self::outgoing(&self.queue, &message)?
        })
    }

    pub(super) async fn accepted(&self, batch: &[Outgoing]) -> Result<Accepted, Error> {
        let accepted = self.broker.enqueue(&self.queue, batch, SEND_DEADLINE);
        accepted.await
    }
}

/// The second message of a key is not put in; the answer names the first.
pub async fn a_held_key_keeps_the_second_message_out(bench: Bench) -> Result<(), Error> {
    let (first, second) = (bench.keyed("order-7")?, bench.keyed("order-7")?);
    let accepted = bench.accepted(std::slice::from_ref(&first)).await?;
    assert_eq!(accepted, Accepted::default());
    let elsewhere = bench.connect().await?;
    let accepted = elsewhere
        .enqueue(&bench.queue, std::slice::from_ref(&second), SEND_DEADLINE)
        .await?;
    assert_eq!(accepted.duplicates, [(0, first.id)]);
    assert_eq!(bench.depth().await?.waiting, 1);
    Ok(())
}

/// Of a duplicate nothing is left: no record, no event, no count.
pub async fn a_duplicate_leaves_no_trace(bench: Bench) -> Result<(), Error> {
    let (first, second) = (bench.keyed("order-7")?, bench.keyed("order-7")?);
    bench.accepted(std::slice::from_ref(&first)).await?;
    bench.accepted(std::slice::from_ref(&second)).await?;
    assert_eq!(bench.state(second.id).await?, None);
    assert_eq!(bench.broker.totals(&bench.queue).await?.sent, 1);
    let told: Vec<_> = bench.told_of_tasks().await?.iter().map(|t| t.id).collect();
    assert_eq!(told, [first.id]);
    Ok(())
}

/// Within one batch the first message of a key is put in, whatever lies between; places are those of the batch.
pub async fn within_a_batch_the_first_of_a_key_wins(bench: Bench) -> Result<(), Error> {
    let batch = [
        bench.keyed("a")?,
        Bench::outgoing(&bench.queue, &Bench::message(1)?)?,
        bench.keyed("b")?,
        bench.keyed("a")?,
        bench.keyed("c")?,
        bench.keyed("b")?,
    ];
    let accepted = bench.accepted(&batch).await?;
    assert_eq!(accepted.duplicates, [(3, batch[0].id), (5, batch[2].id)]);
    assert_eq!(bench.depth().await?.waiting, 4);
    Ok(())
}

/// When its time is over a key is free again, and holds the next message.
pub async fn a_key_is_free_when_its_time_is_over(bench: Bench) -> Result<(), Error> {
    bench.accepted(&[bench.keyed("k")?]).await?;
    bench.advance(HOUR + MINUTE).await?;
    let second = bench.keyed("k")?;
    let accepted = bench.accepted(std::slice::from_ref(&second)).await?;
    assert_eq!(accepted, Accepted::default());
    let accepted = bench.accepted(&[bench.keyed("k")?]).await?;
    assert_eq!(accepted.duplicates, [(0, second.id)]);
    Ok(())
}

/// The time of a key counts from the first message on; duplicates do not make it longer.
pub async fn duplicates_do_not_hold_a_key_for_longer(bench: Bench) -> Result<(), Error> {
    bench.accepted(&[bench.keyed("k")?]).await?;
    bench.advance(HOUR - MINUTE).await?;
    let accepted = bench.accepted(&[bench.keyed("k")?]).await?;
    assert_eq!(accepted.duplicates.len(), 1);
    bench.advance(MINUTE * 2).await?;
    let accepted = bench.accepted(&[bench.keyed("k")?]).await?;
    assert_eq!(accepted, Accepted::default());
    Ok(())
}

/// A key is held for its time, also when its task is over long before.
pub async fn a_key_outlives_its_task(bench: Bench) -> Result<(), Error> {
    let first = bench.keyed("k")?;
    bench.accepted(std::slice::from_ref(&first)).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    bench.settle(&consumer, vec![done(&got[0])]).await?;
    let accepted = bench.accepted(&[bench.keyed("k")?]).await?;
    assert_eq!(accepted.duplicates, [(0, first.id)]);
    bench.nothing_for(&consumer).await
}

/// Queues know nothing of each other's keys.
pub async fn a_key_belongs_to_its_queue(bench: Bench) -> Result<(), Error> {
    bench.accepted(&[bench.keyed("k")?]).await?;
    let other = QueueName::new("conformance.other")?;
    let accepted = bench
        .broker
        .enqueue(&other, &[bench.keyed("k")?], SEND_DEADLINE)
        .await?;
    assert_eq!(accepted, Accepted::default());
    assert_eq!(bench.broker.depth(&other).await?.waiting, 1);
    Ok(())
}

/// A key has 1 to 256 bytes; another one is refused with its whole batch.
pub async fn a_key_has_1_to_256_bytes(bench: Bench) -> Result<(), Error> {
    for key in ["", &"k".repeat(257)] {
        let batch = [bench.keyed("good")?, bench.keyed(key)?];
        let refused = bench.accepted(&batch).await;
        assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Invalid));
    }
    assert_eq!(bench.depth().await?.waiting, 0);
    let longest = "k".repeat(256);
    let accepted = bench
        .accepted(&[bench.keyed("good")?, bench.keyed(&longest)?])
        .await?;
    assert_eq!(accepted, Accepted::default());
    Ok(())
}
