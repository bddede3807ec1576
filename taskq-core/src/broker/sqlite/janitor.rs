//! What is past its time leaves, a part at a time.
//!
//! Who reads does not rely on it: what is past its time counts as gone although it is still there.

use std::time::{Duration, Instant};

use rusqlite::params;

use super::link::Link;
use super::tx::{Tx, column};
use super::{dead, fleet, stream, talk};
use crate::error::Error;

/// One round drops what is past its time in so many steps at most: more than comes in between two rounds.
const STEPS: usize = 1_000;

/// … and no longer than this, so that who calls it is not held up: the next round goes on.
const ROUND: Duration = Duration::from_secs(1);

/// One step drops so many of each kind at most: it holds up the others for a few milliseconds.
const AT_ONCE: usize = 500;

/// Drops what is past its time, step by step: others have their turn between two.
pub(super) async fn round(link: &Link) -> Result<(), Error> {
    let began = Instant::now();
    for _ in 0..STEPS {
        let more = link.write(expire).await?;
        if !more || began.elapsed() > ROUND {
            break;
        }
    }
    Ok(())
}

/// Drops a part of what is past its time; whether there may be more.
pub(super) fn expire(tx: &mut Tx<'_>) -> Result<bool, Error> {
    let mut most = dead::expire(tx, AT_ONCE)?;
    most = most.max(stream::expire(tx, AT_ONCE)?);
    most = most.max(fleet::expire(tx, AT_ONCE)?);
    most = most.max(talk::expire(tx, AT_ONCE)?);
    for sql in [
        "DELETE FROM record WHERE (id, queue) IN \
         (SELECT id, queue FROM record WHERE until <= ?1 ORDER BY until LIMIT ?2)",
        "DELETE FROM once WHERE (queue, key) IN \
         (SELECT queue, key FROM once WHERE until <= ?1 ORDER BY until LIMIT ?2)",
        "DELETE FROM revoked WHERE (queue, what) IN \
         (SELECT queue, what FROM revoked WHERE until <= ?1 ORDER BY until LIMIT ?2)",
    ] {
        let gone = tx.run(sql, params![tx.now_column(), column(AT_ONCE as u64)])?;
        most = most.max(gone);
    }
    Ok(most >= AT_ONCE)
}
