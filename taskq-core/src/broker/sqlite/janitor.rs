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

#[cfg(test)]
mod tests {
    use super::super::SqliteBroker;
    use super::super::open::Location;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    const MANY: usize = AT_ONCE * 5 / 2;

    /// Of each kind as many rows as two steps and a half take, all past their time in an hour; and one that is not.
    async fn littered() -> SqliteBroker {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let litter = broker.link.write(|tx| {
            let soon = tx.now_column() + 3_600_000;
            for sql in [
                "INSERT INTO record (id, queue, final, until, body) VALUES (randomblob(16), 1, 1, ?1, x'')",
                "INSERT INTO once (queue, key, holder, until) VALUES (1, hex(randomblob(9)), x'', ?1)",
                "INSERT INTO revoked (queue, what, at, until) VALUES (1, 't' || hex(randomblob(9)), 0, ?1)",
            ] {
                for _ in 0..MANY {
                    tx.run(sql, [soon])?;
                }
                tx.run(sql, [2 * soon])?;
            }
            Ok(())
        });
        litter.await.unwrap();
        broker
    }

    async fn left(broker: &SqliteBroker) -> [usize; 3] {
        let look = broker.link.read(|view| {
            let count = |table: &str| {
                let sql = format!("SELECT count(*) FROM {table}");
                view.one(&sql, (), |row| row.get::<_, u32>(0))
            };
            Ok([count("record")?, count("once")?, count("revoked")?])
        });
        look.await.unwrap().map(|n| n as usize)
    }

    #[tokio::test]
    async fn what_is_past_its_time_leaves_part_by_part() {
        let broker = littered().await;
        let step = async || broker.link.write(expire).await.unwrap();
        assert!(!step().await);
        assert_eq!(left(&broker).await, [MANY + 1; 3]);
        broker.advance(HOUR).await.unwrap();
        assert!(step().await);
        assert_eq!(left(&broker).await, [MANY + 1 - AT_ONCE; 3]);
        assert!(step().await);
        assert!(!step().await);
        assert_eq!(left(&broker).await, [1; 3]);
    }

    #[tokio::test]
    async fn a_round_leaves_nothing_that_is_past_its_time() {
        let broker = littered().await;
        broker.advance(HOUR).await.unwrap();
        round(&broker.link).await.unwrap();
        assert_eq!(left(&broker).await, [1; 3]);
    }
}
