//! One SQLite file, which other programs lock, and in whose place or into which older copies of it are put.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use taskq_core::broker::sqlite::SqliteBroker;
use tempfile::TempDir;

/// Who waits for the lock for longer never gets it: no measure.
const NEVER: Duration = Duration::from_secs(30);

pub(crate) struct File {
    folder: TempDir,
    /// Holds the file locked.
    locked: Option<Connection>,
    copies: usize,
    /// The last time it went back it was replaced.
    replaced: bool,
}

/// What the row of each queue says lies there, beside what its tables hold. Keys: see `place.rs` of the broker.
const COUNTS: &str = "SELECT name, \
    waiting, (SELECT count(*) FROM ready WHERE place >> 48 = q.id AND (place >> 44) & 15 < 10), \
    suspects, (SELECT count(*) FROM ready WHERE place >> 48 = q.id AND (place >> 44) & 15 = 10), \
    delayed, (SELECT count(*) FROM delayed WHERE queue = q.id), \
    held, (SELECT count(*) FROM held JOIN session AS s ON s.id = held.tag >> 40 WHERE s.queue = q.id), \
    dead, (SELECT count(*) FROM dead WHERE queue = q.id), \
    dead_bytes, (SELECT ifnull(sum(length(body) + octet_length(reason)), 0) FROM dead WHERE queue = q.id), \
    events, (SELECT count(*) FROM event WHERE queue = q.id), \
    event_bytes, (SELECT ifnull(sum(length(entry)), 0) FROM event WHERE queue = q.id) \
    FROM queue AS q";

const COUNTED: [&str; 8] = [
    "waiting",
    "suspects",
    "delayed",
    "held",
    "dead",
    "dead_bytes",
    "events",
    "event_bytes",
];

impl File {
    pub(super) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = Self {
            folder,
            locked: None,
            copies: 0,
            replaced: false,
        };
        SqliteBroker::open(file.path()).unwrap();
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("taskq.db")
    }

    pub(super) fn url(&self) -> String {
        SqliteBroker::url(&self.path())
    }

    /// As another program has it open. It knows nothing of files that are replaced: the broker must have opened the one at
    /// the path before.
    fn open(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(NEVER).unwrap();
        connection
    }

    pub(super) fn lock(&mut self, on: bool) {
        self.locked = on.then(|| {
            let connection = self.open();
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            connection
        });
    }

    /// A copy as a backup makes it, of one moment and in one file.
    pub(super) fn copy(&mut self) -> PathBuf {
        self.copies += 1;
        let copy = self.folder.path().join(format!("copy-{}.db", self.copies));
        let sql = "VACUUM INTO ?1";
        self.open().execute(sql, [copy.to_str().unwrap()]).unwrap();
        copy
    }

    /// Under those who have it open: another file is at the path from then on; every other time the older copy is written
    /// into the one that is there.
    pub(super) fn go_back_to(&mut self, copy: &Path) {
        self.replaced = !self.replaced;
        if self.replaced {
            fs::rename(copy, self.path()).unwrap();
        } else {
            self.restore(copy);
        }
    }

    /// What `.restore` of the sqlite3 program does, in one transaction.
    fn restore(&self, copy: &Path) {
        let mut connection = self.open();
        let sql = "ATTACH ?1 AS older";
        connection.execute(sql, [copy.to_str().unwrap()]).unwrap();
        let tx = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        let tables: Vec<String> = {
            let sql = "SELECT name FROM older.sqlite_schema WHERE type = 'table'";
            let mut names = tx.prepare(sql).unwrap();
            let names = names.query_map((), |row| row.get(0)).unwrap();
            names.collect::<Result<_, _>>().unwrap()
        };
        for table in tables {
            let sql = format!(
                "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM older.{table};"
            );
            tx.execute_batch(&sql).unwrap();
        }
        tx.commit().unwrap();
    }

    /// Takes away what tells that a process is gone: how many there were.
    pub(super) fn cut(&self) -> u64 {
        let lifelines = fs::read_dir(self.folder.path()).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("taskq.db-life-")
        });
        // Its process may just have done it.
        let cut = lifelines.filter(|entry| fs::remove_file(entry.as_ref().unwrap().path()).is_ok());
        cut.count() as u64
    }

    pub(super) fn held(&self) -> Option<String> {
        let sql = "SELECT count(*), group_concat(tag >> 40) FROM held";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(0)?, row.get(1)?));
        let (held, sessions): (_, Option<String>) = self.open().query_row(sql, (), row).unwrap();
        (held > 0).then(|| format!("{held} by the sessions {sessions:?}"))
    }

    /// Counts that are kept with each step and do not fit what is there; and what SQLite finds.
    pub(super) fn audit(&self) -> Vec<String> {
        let connection = self.open();
        let mut wrong = Vec::new();
        let mut queues = connection.prepare(COUNTS).unwrap();
        let mut rows = queues.query(()).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let queue: String = row.get(0).unwrap();
            for (at, what) in COUNTED.iter().enumerate() {
                let kept: i64 = row.get(1 + 2 * at).unwrap();
                let there: i64 = row.get(2 + 2 * at).unwrap();
                if kept != there {
                    wrong.push(format!("{queue}: {what} is {kept}, and there are {there}"));
                }
            }
        }
        let sql = "PRAGMA integrity_check";
        let whole: String = connection.query_row(sql, (), |row| row.get(0)).unwrap();
        if whole != "ok" {
            wrong.push(whole);
        }
        wrong
    }
}

/// Looks from any process at what sweeps leave half done in a file, which must not be replaced meanwhile.
#[derive(Debug)]
pub(crate) struct Halves {
    connection: Connection,
}

impl Halves {
    pub(crate) fn of(url: &str) -> Self {
        let path = url.strip_prefix("sqlite://").expect("the URL of a file");
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(NEVER).unwrap();
        Self { connection }
    }

    /// Sessions of which a part was given back, and which hold the rest. Those that were given up are none.
    pub(crate) fn now(&self) -> HashSet<i64> {
        let sql = "SELECT id FROM session WHERE owner = x'' AND deadline > 0 AND EXISTS \
                   (SELECT 1 FROM held WHERE tag >= session.id << 40 AND tag < (session.id + 1) << 40)";
        let mut halves = self.connection.prepare_cached(sql).unwrap();
        let halves = halves.query_map((), |row| row.get(0)).unwrap();
        halves.collect::<Result<_, _>>().unwrap()
    }
}
