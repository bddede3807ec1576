//! The write-ahead log is bounded: it grows for as long as somebody reads without a break, and SQLite alone never makes it
//! shorter.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::opened::Opened;

/// Above this it is made shorter as soon as nobody reads from it: 64 MiB.
pub(super) const LONG: u64 = 64 << 20;

/// It is looked at this often.
const CHECK: Duration = Duration::from_secs(1);

/// Readers are waited for this long, and beats behind them.
const PATIENCE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Log {
    checked: Instant,
    /// When the file could not take over what it holds.
    stuck: Option<Instant>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            checked: Instant::now(),
            stuck: None,
        }
    }
}

impl Log {
    /// Tries to make it shorter where it is long. Nothing depends on it: the next try does what this one could not.
    pub(super) fn keep_short(&mut self, opened: &mut Opened) {
        if self.checked.elapsed() < CHECK {
            return;
        }
        if opened.log_size() > LONG
            && let Err(error) = shorten(&mut opened.connection)
        {
            tracing::debug!(%error, "the log stays long for now");
        }
        self.checked = Instant::now();
    }

    /// After a step that found no room: the file takes over what the log holds, if it need not grow for that. Then the log
    /// begins again in the room that it has, and what makes the file no larger goes on.
    pub(super) fn begin_again(&mut self, opened: &mut Opened) {
        if !opened.is_file() || self.stuck.is_some_and(|since| since.elapsed() < CHECK) {
            return;
        }
        let passed = pass(&opened.connection).unwrap_or_else(|error| {
            tracing::debug!(%error, "the log goes on where it is");
            false
        });
        self.stuck = (!passed).then(Instant::now);
    }
}

/// Makes it empty, unless somebody still reads what is in it.
fn shorten(connection: &mut Connection) -> rusqlite::Result<()> {
    // Without a lock first: what is left to be done under one is little.
    if pass(connection)? {
        connection.busy_timeout(PATIENCE)?;
        let cut = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        super::open::wait_for_locks(connection)?;
        cut?;
    }
    Ok(())
}

/// Has the file take over what it holds, as far as nobody reads it; whether that is all.
fn pass(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| {
        Ok(row.get::<_, i64>(1)? == row.get::<_, i64>(2)?)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::SqliteBroker;
    use super::super::beside::Beside;
    use super::super::tx::Tx;
    use super::*;

    async fn write(broker: &SqliteBroker, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap();
        let step = move |tx: &mut Tx<'_>| {
            let sql = "INSERT INTO once (queue, key, holder, until) VALUES (1, hex(randomblob(9)), zeroblob(?1), 0)";
            tx.run(sql, [bytes])
        };
        broker.link.write(step).await.unwrap();
    }

    fn size(path: &Path) -> u64 {
        Beside::new(path).log_size()
    }

    #[tokio::test]
    async fn a_log_that_grew_under_a_reader_is_made_short_and_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.db");
        let broker = SqliteBroker::open(&path).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        let count = "SELECT count(*) FROM once";
        reader.query_row(count, (), |_| Ok(())).unwrap();
        while size(&path) <= LONG {
            write(&broker, LONG / 8).await;
        }
        let mut late = 0;
        for _ in 0..100 {
            // Who reads keeps it long, and holds up nobody: of five looks at it none, a disk that stands still one or two.
            let asked = Instant::now();
            write(&broker, 1).await;
            late += usize::from(asked.elapsed() >= Duration::from_secs(2));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(late <= 2, "{late} of 100 were held up");
        assert!(size(&path) > LONG);
        let told = super::super::server::read(&broker.link).await.unwrap();
        assert!(told.warnings.iter().any(|w| w.contains("MiB")), "{told:?}");
        reader.execute_batch("COMMIT").unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while size(&path) > LONG {
            assert!(Instant::now() < until, "it stays long");
            tokio::time::sleep(Duration::from_millis(50)).await;
            write(&broker, 1).await;
        }
        let told = super::super::server::read(&broker.link).await.unwrap();
        assert!(!told.warnings.iter().any(|w| w.contains("MiB")), "{told:?}");
    }
}
