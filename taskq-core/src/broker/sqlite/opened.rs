//! A connection, and the file that it has open: another may be put in its place at any time.
//!
//! Whoever puts an older copy of the file at its path leaves the processes with the one that was there before, which
//! nobody opens any more. So who reads or writes asks first whether the file at the path is still its own, and goes on
//! with the one that is there. SQLite's two files beside it (`-wal` and `-shm`) belong to the file that was replaced: they
//! are taken away, for a new connection would take them for its own.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::bell::Bell;
use super::open::Location;
use super::trouble::trouble;
use crate::error::{Error, ErrorKind};

/// How often a file is opened that is replaced meanwhile.
const TRIES: usize = 5;

/// How a location is opened: for reading, or for writing.
type Open = fn(&Location) -> Result<Connection, Error>;

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    location: Location,
    open: Open,
    /// `None`: what is in memory lies nowhere else.
    held: Option<Held>,
}

/// What a connection has open, told apart from what lies at its path later.
#[derive(Debug)]
struct Held {
    database: PathBuf,
    file: Option<Id>,
    /// The log and its index, and what they are called.
    beside: [(PathBuf, Option<Id>); 2],
}

/// Device and number.
type Id = (u64, u64);

/// What lies at the path.
enum There {
    Same,
    Gone,
    Another,
}

impl Opened {
    pub(super) fn new(location: Location, open: Open) -> Result<Self, Error> {
        let (connection, held) = connect(&location, open)?;
        Ok(Self {
            connection,
            location,
            open,
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
            There::Another => {}
        }
        // So that the old file is whole, wherever it lies now. If that can not be, it is as it would be after a crash.
        let whole = "PRAGMA wal_checkpoint(TRUNCATE)";
        if let Err(error) = self.connection.query_row(whole, (), |_| Ok(())) {
            tracing::debug!(%error, "the file that was replaced may lack its last transactions");
        }
        bell.alone(|| held.clear_away())?;
        let (connection, held) = connect(&self.location, self.open)?;
        (self.connection, self.held) = (connection, held);
        Ok(true)
    }
}

fn connect(location: &Location, open: Open) -> Result<(Connection, Option<Held>), Error> {
    let Location::File(settings) = location else {
        return Ok((open(location)?, None));
    };
    let path = &settings.path;
    for _ in 0..TRIES {
        let before = id(path);
        let connection = open(location)?;
        // From here on the files beside it are there.
        let sql = "SELECT count(*) FROM sqlite_schema";
        let read = connection.query_row(sql, (), |_| Ok(()));
        read.map_err(|e| trouble(path, e))?;
        let held = Held::new(path);
        if before.is_none() || before == held.file {
            return Ok((connection, Some(held)));
        }
    }
    Err(Error::new(
        ErrorKind::Unreachable,
        format!("{} is replaced again and again", path.display()),
    ))
}

impl Held {
    fn new(path: &Path) -> Self {
        // SQLite names its files after the file itself, not after a link to it.
        let database = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let beside = ["-wal", "-shm"].map(|suffix| {
            let mut name = database.as_os_str().to_owned();
            name.push(suffix);
            let name = PathBuf::from(name);
            let id = id(&name);
            (name, id)
        });
        Self {
            file: id(path),
            database: path.to_owned(),
            beside,
        }
    }

    fn look(&self) -> There {
        match id(&self.database) {
            there if there == self.file => There::Same,
            None => There::Gone,
            Some(_) => There::Another,
        }
    }

    fn gone(&self) -> Error {
        self.unreachable("is gone: put it back, or end all that use it to begin with an empty one")
    }

    /// Takes away what belongs to the file that was replaced, and only that: another process may have done it, and
    /// gone on with files of the new one.
    fn clear_away(&self) -> Result<(), Error> {
        for (name, id_then) in &self.beside {
            if id_then.is_some() && id(name) == *id_then {
                fs::remove_file(name).map_err(|e| {
                    let text = format!(
                        "{} is of the file that was replaced and can not be taken away ({e}): end all that use it, \
                         remove it, and start them again",
                        name.display()
                    );
                    Error::new(ErrorKind::Refused, text)
                })?;
            }
        }
        Ok(())
    }

    fn unreachable(&self, what: &str) -> Error {
        let text = format!("{} {what}", self.database.display());
        Error::new(ErrorKind::Unreachable, text)
    }
}

#[cfg(unix)]
fn id(path: &Path) -> Option<Id> {
    use std::os::unix::fs::MetadataExt;
    let there = fs::metadata(path).ok()?;
    Some((there.dev(), there.ino()))
}

/// Files can not be told apart here, and not be replaced while they are open either.
#[cfg(not(unix))]
fn id(_path: &Path) -> Option<Id> {
    None
}
