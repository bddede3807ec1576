//! Opening the file: where it lies, and how SQLite is set up for it.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::log::LONG;
use super::rights;
use super::schema::{self, MIGRATIONS};
use super::trouble::{read_only, trouble};
use crate::error::{Error, ErrorKind};

/// A lock that others hold is waited for this long.
const BUSY: Duration = Duration::from_secs(5);

/// … and looked at this often.
const STEP: Duration = Duration::from_millis(1);

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

/// Has an empty file lie there, if there is none.
pub(super) fn make(settings: &Settings) -> Result<(), Error> {
    let path = absolute(settings)?;
    make_folder(&path)?;
    if !path.exists() {
        // If it can not be made, SQLite says why.
        drop(make_file(&path));
    }
    Ok(())
}

/// A connection; the file is brought to this version's schema. The thread that reads does that as well: of a file that was
/// put in the place of another it may be the first to know.
pub(super) fn migrated(location: &Location) -> Result<Connection, Error> {
    let mut connection = connect(location)?;
    schema::migrate(&mut connection, location.path(), MIGRATIONS)?;
    Ok(connection)
}

/// Whether the file is ours, or a new one.
///
/// # Errors
/// It is another program's, or can not be used.
pub(super) fn check(location: &Location) -> Result<(), Error> {
    connect(location).map(drop)
}

fn connect(location: &Location) -> Result<Connection, Error> {
    let failed = |e| trouble(location.path(), e);
    let connection = match location {
        Location::Memory => Connection::open_in_memory().map_err(failed)?,
        Location::File(settings) => open(settings)?,
    };
    connection.set_prepared_statement_cache_capacity(256);
    let settings = "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;";
    connection.execute_batch(settings).map_err(failed)?;
    Ok(connection)
}

/// Has locks of others waited for. SQLite alone waits longer each time, up to 100 ms, and so comes too late for the gaps
/// between the transactions of who writes without a break.
pub(super) fn wait_for_locks(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(|tries: i32| {
        thread::sleep(STEP);
        STEP.saturating_mul(tries.unsigned_abs()) < BUSY
    }))
}

/// Nothing is changed before it is known that the file is ours.
fn open(settings: &Settings) -> Result<Connection, Error> {
    let named = &settings.path;
    let failed = |e| trouble(named, e);
    let path = absolute(settings)?;
    // Not made: between the look at it and here it may have been moved.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
    // SQLite is content with less than it was asked for.
    if connection.is_readonly("main").map_err(failed)? {
        return Err(read_only(named));
    }
    wait_for_locks(&mut connection).map_err(failed)?;
    schema::check(&connection, named)?;
    let mode = write_ahead(&connection).map_err(failed)?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the disk that holds {} can not be shared by several processes (journal mode {mode}): is it a network \
                 share? Take a local disk, or a Redis broker",
                named.display()
            ),
        ));
    }
    let sync = if settings.full_sync { "FULL" } else { "NORMAL" };
    connection
        .pragma_update(None, "synchronous", sync)
        .map_err(failed)?;
    connection
        .pragma_update(
            None,
            "journal_size_limit",
            i64::try_from(LONG).unwrap_or(i64::MAX),
        )
        .map_err(failed)?;
    Ok(connection)
}

/// Absolute, so that what has a meaning to SQLite (`:memory:`, `file:…`) is a name like any other.
fn absolute(settings: &Settings) -> Result<PathBuf, Error> {
    let named = &settings.path;
    let path = std::path::absolute(named).map_err(|e| {
        let text = format!("`{}` names no file for the broker: {e}", named.display());
        Error::invalid(text)
    })?;
    if path.is_dir() {
        return Err(Error::invalid(format!(
            "{} is a folder: name a file in it, such as {}",
            named.display(),
            named.join("taskq.db").display()
        )));
    }
    Ok(path)
}

/// Turns the write-ahead log on. Of several who do that to a new file at once, SQLite refuses some without waiting.
fn write_ahead(connection: &Connection) -> rusqlite::Result<String> {
    let deadline = Instant::now() + BUSY;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0));
        match mode {
            Err(e) if is_busy(&e) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn make_folder(path: &Path) -> Result<(), Error> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    rights::make_folder(folder).map_err(|e| {
        let is_file = |above: &&Path| above.metadata().is_ok_and(|it| !it.is_dir());
        if let Some(file) = folder.ancestors().find(is_file) {
            return Error::invalid(format!(
                "{} can not be made: {} is a file, not a folder; name another path",
                path.display(),
                file.display()
            ));
        }
        let text = format!(
            "the folder {} for the broker's file can not be made: {e}; make it, or name another path",
            folder.display()
        );
        Error::new(ErrorKind::Refused, text)
    })
}

/// Not opened for it where that can be avoided: closing it, this process would lose the locks that SQLite has on it by
/// then for another thread.
fn make_file(path: &Path) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        // What is sent is nobody else's business. SQLite gives its files beside it the same mode.
        let mode = Mode::RUSR | Mode::WUSR;
        if mknodat(CWD, path, FileType::RegularFile, mode, 0).is_ok() || path.exists() {
            return Ok(());
        }
    }
    rights::new_file().open(path).map(drop)
}

#[cfg(test)]
mod tests;
