//! The private file, and what bare SQLite does in one beside it, with nothing of taskq in the way.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, OpenFlags, params};
use taskq_core::TaskId;
use tempfile::TempDir;

use crate::args::Sync;
use crate::error::Error;
use crate::limit;

/// Messages of one transaction of the limit.
const TOGETHER: usize = 100;

/// A file in a folder of its own, gone with this value.
#[derive(Debug)]
pub(crate) struct File {
    folder: TempDir,
    sync: Sync,
}

impl File {
    pub(crate) fn make(sync: Sync) -> Result<Self, Error> {
        let folder = tempfile::tempdir();
        let folder = folder
            .map_err(|e| Error::Unavailable(format!("no folder for the private file: {e}")))?;
        Ok(Self { folder, sync })
    }

    pub(crate) fn sync(&self) -> Sync {
        self.sync
    }

    pub(crate) fn url(&self) -> String {
        let (path, sync) = (self.path("taskq.db"), self.sync.name());
        format!("sqlite://{}?sync={sync}", path.display())
    }

    pub(crate) fn version(&self) -> String {
        let (version, sync) = (rusqlite::version(), self.sync.name());
        format!("SQLite {version} with sync={sync}")
    }

    /// Every record there is: its id, and its JSON.
    pub(crate) fn records(&self) -> Result<Vec<(TaskId, Vec<u8>)>, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(self.path("taskq.db"), flags)?;
        let mut all = connection.prepare("SELECT id, body FROM record")?;
        let rows = all.query_map((), |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get(1)?)))?;
        let mut records = Vec::new();
        for row in rows {
            let (id, json) = row?;
            let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            records.push((hex.parse()?, json));
        }
        Ok(records)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// SQLite alone, set up as the embedded broker sets it up.
#[derive(Debug)]
pub(crate) struct Bare {
    connection: Connection,
}

impl Bare {
    pub(crate) fn open(file: &File) -> Result<Self, Error> {
        Self::at(&file.path("bare.db"), file.sync)
    }

    fn at(path: &Path, sync: Sync) -> Result<Self, Error> {
        let connection = Connection::open(path)?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {}; PRAGMA cache_size = -65536;
             DROP TABLE IF EXISTS ready; DROP TABLE IF EXISTS held;
             CREATE TABLE ready (place INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
             CREATE TABLE held (place INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;",
            sync.name()
        ))?;
        Ok(Self { connection })
    }

    /// Puts some in, in one transaction.
    pub(crate) fn put(&mut self, bodies: &[Vec<u8>]) -> Result<(), Error> {
        let tx = self.connection.transaction()?;
        {
            let mut insert = tx.prepare_cached("INSERT INTO ready (body) VALUES (?1)")?;
            for body in bodies {
                insert.execute([body])?;
            }
        }
        Ok(tx.commit()?)
    }

    /// Takes the first ones over, in one transaction; how many.
    fn take(&mut self) -> Result<usize, Error> {
        let tx = self.connection.transaction()?;
        let taken = tx
            .prepare_cached(
                "INSERT INTO held SELECT place, body FROM ready ORDER BY place LIMIT ?1",
            )?
            .execute([TOGETHER as i64])?;
        let sql = "DELETE FROM ready WHERE place <= (SELECT max(place) FROM held)";
        tx.prepare_cached(sql)?.execute(())?;
        tx.commit()?;
        Ok(taken)
    }

    /// Ends what was taken over, in one transaction; how many.
    fn end(&mut self) -> Result<usize, Error> {
        let tx = self.connection.transaction()?;
        let sql = "DELETE FROM held WHERE place <= ?1";
        let ended = tx.prepare_cached(sql)?.execute(params![i64::MAX])?;
        tx.commit()?;
        Ok(ended)
    }
}

/// Full cycles per second: per task one insert, one move into a table of what is held, one delete from there; 100 in each
/// transaction.
pub(crate) async fn cycles_per_second(file: &File, tasks: u32) -> Result<f64, Error> {
    let (path, sync) = (file.path("bare.db"), file.sync);
    let measured = tokio::task::spawn_blocking(move || cycles(&path, sync, tasks));
    measured
        .await
        .map_err(|e| Error::failed(format!("the limit was not measured: {e}")))?
}

fn cycles(path: &Path, sync: Sync, tasks: u32) -> Result<f64, Error> {
    let bodies = limit::bodies(tasks)?;
    let mut bare = Bare::at(path, sync)?;
    let began = Instant::now();
    for some in bodies.chunks(TOGETHER) {
        bare.put(some)?;
    }
    let (mut taken, mut ended) = (0, 0);
    loop {
        let some = bare.take()?;
        if some == 0 {
            break;
        }
        taken += some;
        ended += bare.end()?;
    }
    let took = began.elapsed();
    if taken != bodies.len() || ended != bodies.len() {
        return Err(Error::failed(format!(
            "the limit took {taken} and ended {ended} of {tasks} messages"
        )));
    }
    Ok(f64::from(tasks) / took.as_secs_f64())
}
