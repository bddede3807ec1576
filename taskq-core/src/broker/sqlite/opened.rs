//! A connection, and the file that it has open: another may be put in its place at any time.
//!
//! Whoever puts an older copy of the file at its path leaves the processes with the one that was there before, which
//! nobody opens any more. So who reads or writes asks first whether the file at the path is still its own, and goes on
//! with the one that is there.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::bell::Bell;
use super::beside::{Beside, Files};
use super::open::{self, Location};
use super::trouble::trouble;
use crate::error::{Error, ErrorKind};

/// How often a file is opened that is replaced meanwhile.
const TRIES: usize = 5;

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    location: Location,
    /// `None`: what is in memory lies nowhere else.
    held: Option<Held>,
}

/// What a connection has open, told apart from what lies at its path later.
#[derive(Debug)]
struct Held {
    database: PathBuf,
    beside: Beside,
    files: Files,
}

/// What lies at the path.
enum There {
    Same,
    Gone,
    Another,
    /// The same, and beside it a log or an index that is not its own; or none.
    Stripped,
}

impl Opened {
    pub(super) fn new(location: Location, bell: &Bell) -> Result<Self, Error> {
        let (connection, held) = connect(&location, bell)?;
        Ok(Self {
            connection,
            location,
            held,
        })
    }

    /// Whether the file at the path is the one that is open.
    ///
    /// # Errors
    /// There is none, or another.
    pub(super) fn stands(&self) -> Result<(), Error> {
        let Some(held) = &self.held else {
            return Ok(());
        };
        match held.look() {
            There::Same => Ok(()),
            There::Gone => Err(held.gone()),
            There::Another => Err(held.unreachable(
                "was replaced by another file just now: what was asked may be in the old one alone",
            )),
            There::Stripped => Err(held.stripped()),
        }
    }

    /// Goes on with the file at the path, if that is another one now: true.
    ///
    /// # Errors
    /// There is none; or what is the matter with it.
    pub(super) fn follow(&mut self, bell: &Bell) -> Result<bool, Error> {
        let Some(held) = &self.held else {
            return Ok(false);
        };
        match held.look() {
            There::Same => return Ok(false),
            There::Gone => return Err(held.gone()),
            There::Another => self.make_whole(),
            There::Stripped => {
                // Whoever opened it since has a log there, and has gone on without what is in ours.
                if held.beside.now().log.is_none() {
                    self.make_whole();
                }
                // Not opened anew: within a process SQLite goes on with the index that another connection has open.
                return Err(held.stripped());
            }
        }
        bell.alone(|| held.beside.take_away(held.files))?;
        let (connection, held) = connect(&self.location, bell)?;
        (self.connection, self.held) = (connection, held);
        Ok(true)
    }

    /// So that the old file is whole, wherever it lies now. If that can not be, it is as it would be after a crash.
    fn make_whole(&self) {
        let whole = "PRAGMA wal_checkpoint(TRUNCATE)";
        if let Err(error) = self.connection.query_row(whole, (), |_| Ok(())) {
            tracing::debug!(%error, "the file that was replaced may lack its last transactions");
        }
    }

    /// Whether other processes may have it open.
    pub(super) fn is_file(&self) -> bool {
        self.held.is_some()
    }

    /// The bytes of its log.
    pub(super) fn log_size(&self) -> u64 {
        self.held.as_ref().map_or(0, |held| held.beside.log_size())
    }
}

fn connect(location: &Location, bell: &Bell) -> Result<(Connection, Option<Held>), Error> {
    let Location::File(settings) = location else {
        return Ok((open::migrated(location)?, None));
    };
    let path = &settings.path;
    for _ in 0..TRIES {
        // A link may lead elsewhere each time.
        let beside = Beside::new(path);
        if let Some((connection, files)) = bell.alone(|| connect_once(location, &beside))? {
            let held = Held {
                database: path.clone(),
                beside,
                files,
            };
            return Ok((connection, Some(held)));
        }
    }
    Err(Error::new(
        ErrorKind::Unreachable,
        format!("{} is replaced again and again", path.display()),
    ))
}

/// Under the lock, so that what lies beside the file is known to be its own. `None`: it was replaced meanwhile.
fn connect_once(
    location: &Location,
    beside: &Beside,
) -> Result<Option<(Connection, Files)>, Error> {
    let path = location.path();
    beside.settle()?;
    let before = beside.of_file();
    if before.database.is_none() {
        return Err(gone(path));
    }
    beside.note(before);
    let connection = open::migrated(location)?;
    // From here on the files beside it are there.
    let sql = "SELECT count(*) FROM sqlite_schema";
    let read = connection.query_row(sql, (), |_| Ok(()));
    read.map_err(|e| trouble(path, e))?;
    let after = beside.now();
    if before.database != after.database {
        // Of which of the two they are can not be told.
        return Ok(None);
    }
    beside.note(after);
    Ok(Some((connection, after)))
}

impl Held {
    fn look(&self) -> There {
        let there = self.beside.now();
        if there == self.files {
            There::Same
        } else if there.database.is_none() {
            There::Gone
        } else if there.database == self.files.database {
            There::Stripped
        } else {
            There::Another
        }
    }

    fn gone(&self) -> Error {
        gone(&self.database)
    }

    fn stripped(&self) -> Error {
        self.unreachable(
            "was left without its log (-wal, -shm): those were removed or replaced while it was open. End all that use \
             it, and start them again",
        )
    }

    fn unreachable(&self, what: &str) -> Error {
        unreachable(&self.database, what)
    }
}

fn gone(path: &Path) -> Error {
    let what = "is gone: put it back, or end all that use it to begin with an empty one";
    unreachable(path, what)
}

fn unreachable(path: &Path, what: &str) -> Error {
    let text = format!("{} {what}", path.display());
    Error::new(ErrorKind::Unreachable, text)
}
