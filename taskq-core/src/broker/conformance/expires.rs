//! What `expires` in a record promises: past it, and not final, it reads as REVOKED.

use std::time::Duration;

use super::{Bench, done, untracked};
use crate::broker::{End, RevokeCause, Verdict, Wanted};
use crate::error::Error;
use crate::id::TaskId;
use crate::record::Record;
use crate::state::State;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

impl Bench {
    /// Sends a tracked message that expires in an hour; answers its id, and when that is.
    async fn send_expiring(&self) -> Result<(TaskId, u64), Error> {
        let expires = self.broker_time().await? + 3_600_000;
        let mut message = Self::message(0)?;
        message.expires = Some(expires);
        let mut out = Self::outgoing(&self.queue, &message)?;
        if let Some(record) = &mut out.record {
            record.expires = Some(expires);
        }
        self.enqueue(&[out]).await?;
        Ok((message.id, expires))
    }
}

/// Until then the record reads as it was written.
pub async fn before_its_time_a_record_reads_as_written(bench: Bench) -> Result<(), Error> {
    let (id, expires) = bench.send_expiring().await?;
    bench.advance(HOUR - MINUTE).await?;
    let record = bench.record(id).await?;
    assert_eq!(
        (record.state, record.expires),
        (State::Queued, Some(expires))
    );
    assert_eq!(record.finished, None);
    Ok(())
}

/// Past it the record reads as REVOKED, though nobody touched the task; with and without its queue.
pub async fn past_its_time_a_record_reads_revoked(bench: Bench) -> Result<(), Error> {
    let (id, _) = bench.send_expiring().await?;
    bench.advance(HOUR + MINUTE).await?;
    let record = bench.record(id).await?;
    assert_eq!(record.state, State::Revoked);
    assert!(record.finished.is_some());
    let anywhere = bench.connect().await?.record(id, None).await?;
    assert_eq!(anywhere.map(|r| r.state), Some(State::Revoked));
    Ok(())
}

/// A task that ended in time keeps its state.
pub async fn a_final_record_does_not_expire(bench: Bench) -> Result<(), Error> {
    let (id, expires) = bench.send_expiring().await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    let mut verdict = done(&got[0]);
    if let Some(record) = &mut verdict.record {
        record.expires = Some(expires);
    }
    bench.settle(&consumer, vec![verdict]).await?;
    bench.advance(HOUR + MINUTE).await?;
    assert_eq!(bench.state(id).await?, Some(State::Success));
    Ok(())
}

/// Who waits for it hears that it is REVOKED once its time is over.
pub async fn an_expired_record_is_answered_to_a_watch(bench: Bench) -> Result<(), Error> {
    let (id, _) = bench.send_expiring().await?;
    let wanted = Wanted {
        id,
        queue: Some(bench.queue.clone()),
    };
    let mut watch = bench.broker.watch(vec![wanted], MINUTE).await?;
    let (found, advanced) = tokio::join!(watch.next(), bench.advance(HOUR + MINUTE));
    advanced?;
    let found: Option<Record> = found?;
    assert_eq!(found.map(|r| (r.id, r.state)), Some((id, State::Revoked)));
    assert!(watch.next().await?.is_none());
    Ok(())
}

/// Its message is not lost by that: it is delivered, for its worker to end it as REVOKED.
pub async fn the_expired_message_is_still_owed(bench: Bench) -> Result<(), Error> {
    let (id, _) = bench.send_expiring().await?;
    bench.advance(HOUR + MINUTE).await?;
    assert_eq!(bench.state(id).await?, Some(State::Revoked));
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    let revoked = Verdict {
        end: End::Revoked(RevokeCause::Expired),
        ..untracked(done(&got[0]))
    };
    bench.settle(&consumer, vec![revoked]).await?;
    assert_eq!(bench.broker.totals(&bench.queue).await?.revoked, 1);
    assert_eq!(bench.depth().await?, crate::broker::Depth::default());
    Ok(())
}
