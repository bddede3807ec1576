//! Opening the file: where it lies, how SQLite is set up for it, and which version of the schema it has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::trouble::trouble;
use crate::error::{Error, ErrorKind};
use crate::id::TaskId;

/// "taskq" in a file's header, so that `file` and others can tell what it is.
const APPLICATION: i32 = 0x7461_736b;

/// What this version of taskq reads and writes: the number of [`MIGRATIONS`].
const VERSION: i32 = MIGRATIONS.len() as i32;

/// Each takes the file from the version that is its place to the next one. What was released is never changed.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// A lock that others hold is waited for this long.
const BUSY: Duration = Duration::from_secs(5);

/// Where the broker lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// In this process alone.
    Memory,
    File(Settings),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) path: PathBuf,
    /// Each commit reaches the disk before it is answered: it survives the loss of power.
    pub(super) full_sync: bool,
}

impl Location {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Memory => Path::new(":memory:"),
            Self::File(settings) => &settings.path,
        }
    }
}

/// The connection that writes; the file is made, or brought to this version's schema.
pub(super) fn writer(location: &Location) -> Result<Connection, Error> {
    let mut connection = connect(location)?;
    migrate(&mut connection, location.path())?;
    Ok(connection)
}

/// A connection for reading beside it.
pub(super) fn reader(location: &Location) -> Result<Connection, Error> {
    connect(location)
}

fn connect(location: &Location) -> Result<Connection, Error> {
    let failed = |e| trouble(location.path(), e);
    let (connection, sync) = match location {
        Location::Memory => (Connection::open_in_memory().map_err(failed)?, "OFF"),
        Location::File(Settings { path, full_sync }) => {
            make_folder(path)?;
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
            (connection, if *full_sync { "FULL" } else { "NORMAL" })
        }
    };
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(256);
    let settings = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {sync}; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;"
    );
    connection.execute_batch(&settings).map_err(failed)?;
    Ok(connection)
}

fn make_folder(path: &Path) -> Result<(), Error> {
    let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|e| {
        let text = format!(
            "the folder {} for the broker's file can not be made: {e}; make it, or name another path",
            folder.display()
        );
        Error::new(ErrorKind::Refused, text)
    })
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let failed = |e| trouble(path, e);
    let version =
        |c: &Connection| c.query_row("PRAGMA user_version", (), |row| row.get::<_, i32>(0));
    let there = version(connection).map_err(failed)?;
    if there == VERSION {
        return Ok(());
    }
    let tx = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    // Another process may have done it while this one waited.
    let there = version(&tx).map_err(failed)?;
    let Some(missing) = usize::try_from(there)
        .ok()
        .and_then(|n| MIGRATIONS.get(n..))
    else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{} was written by a newer taskq (schema {there}, this one reads up to {VERSION}): update this program, \
                 or name another file",
                path.display()
            ),
        ));
    };
    for sql in missing {
        tx.execute_batch(sql).map_err(failed)?;
    }
    if there == 0 {
        let identity = TaskId::random();
        let sql = "INSERT INTO store (one, identity) VALUES (1, ?1)";
        tx.execute(sql, [identity.as_bytes()]).map_err(failed)?;
        tx.pragma_update(None, "application_id", APPLICATION)
            .map_err(failed)?;
    }
    tx.pragma_update(None, "user_version", VERSION)
        .map_err(failed)?;
    tx.commit().map_err(failed)
}
