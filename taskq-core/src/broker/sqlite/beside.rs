//! SQLite's two files beside the database, and which database they belong to.
//!
//! SQLite finds its log (`-wal`) and the log's index (`-shm`) by their names alone: who opens a file that was put in the
//! place of another takes the log of that one for its own, and damages both. So a small file (`-bell-of`) keeps whose they
//! are, and who opens takes away what is of another. Only what is known to be of another is: a log that came along with
//! its file is a new one here, and stays.

use std::fmt;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::rights;
use crate::error::{Error, ErrorKind};

/// A note is far shorter than so many bytes.
const MAX_NOTE: u64 = 1_024;

/// Which file it is. Device, number, and when it was made (ns; 0 where that is not told): numbers are given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u64, u64, u64);

impl Id {
    #[cfg(unix)]
    pub(super) fn of(there: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let made = there.created().ok();
        let since = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        let ns = since.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        });
        Self(there.dev(), there.ino(), ns)
    }

    /// Files can not be told apart here, and not be replaced while they are open either.
    #[cfg(not(unix))]
    pub(super) fn of(_there: &Metadata) -> Self {
        Self(0, 0, 0)
    }

    fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|there| Self::of(&there))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(device, number, made) = self;
        write!(f, "{device} {number} {made}")
    }
}

/// What lies at the names of the database, its log and the log's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) database: Option<Id>,
    pub(super) log: Option<Id>,
    pub(super) index: Option<Id>,
}

impl Files {
    fn written(self) -> String {
        let line = |id: Option<Id>| id.map_or("-".into(), |id| id.to_string());
        [self.database, self.log, self.index].map(line).join("\n")
    }
}

#[derive(Debug, Clone)]
pub(super) struct Beside {
    database: PathBuf,
    log: PathBuf,
    index: PathBuf,
    /// Where it is kept whose they are.
    of: PathBuf,
    /// Where a log goes that is of another.
    replaced: PathBuf,
}

impl Beside {
    pub(super) fn new(database: &Path) -> Self {
        let named = |suffix| beside(database, suffix);
        Self {
            database: database.to_owned(),
            log: named("-wal"),
            index: named("-shm"),
            of: named("-bell-of"),
            replaced: named("-wal-replaced"),
        }
    }

    pub(super) fn now(&self) -> Files {
        Files {
            database: Id::at(&self.database),
            log: Id::at(&self.log),
            index: Id::at(&self.index),
        }
    }

    /// Whether this version of taskq had the file open before, or one in its place.
    pub(super) fn is_known(&self) -> bool {
        self.of.exists()
    }

    /// Takes away what is of a file that is not at the path any more. Under the lock.
    pub(super) fn settle(&self) -> Result<(), Error> {
        match self.noted() {
            Some(noted) if noted.database != Id::at(&self.database) => self.take_away(noted),
            _ => Ok(()),
        }
    }

    /// Takes these away, and only these: another process may have done it and gone on with others of the same names. What
    /// a log holds is kept, under a name that SQLite does not know: it is all that is left of its transactions if whoever
    /// wrote them is gone. Under the lock.
    pub(super) fn take_away(&self, of: Files) -> Result<(), Error> {
        if of.log.is_some() && Id::at(&self.log) == of.log {
            let holds = fs::metadata(&self.log).is_ok_and(|log| log.len() > 0);
            let gone = if holds {
                fs::rename(&self.log, &self.replaced)
            } else {
                fs::remove_file(&self.log)
            };
            gone.map_err(|e| stays(&self.log, &e))?;
            if holds {
                tracing::warn!(
                    file = %self.database.display(),
                    log = %self.replaced.display(),
                    "the log of the file that was here before was put aside: what that one had not taken over yet is there"
                );
            }
        }
        if of.index.is_some() && Id::at(&self.index) == of.index {
            fs::remove_file(&self.index).map_err(|e| stays(&self.index, &e))?;
        }
        Ok(())
    }

    /// Keeps whose they are. Under the lock.
    pub(super) fn note(&self, files: Files) {
        if self.noted() == Some(files) {
            return;
        }
        let draft = beside(&self.of, "-new");
        // One that was left half written.
        drop(fs::remove_file(&draft));
        let noted = rights::create_beside(&draft, &self.database)
            .and_then(|mut file| file.write_all(files.written().as_bytes()))
            .and_then(|()| fs::rename(&draft, &self.of));
        if let Err(error) = noted {
            // What stood there may be of another by now.
            drop(fs::remove_file(&self.of));
            tracing::warn!(
                file = %self.of.display(),
                %error,
                "it can not be kept which file the log is of: end all that use the file before another is put in its place"
            );
        }
    }

    fn noted(&self) -> Option<Files> {
        let text = rights::read_beside(&self.of, MAX_NOTE).ok()?;
        let mut lines = text.lines().map(read);
        let files = Files {
            database: lines.next()?,
            log: lines.next()?,
            index: lines.next()?,
        };
        // What does not read as it was written is no word to go by.
        (files.written() == text).then_some(files)
    }

    /// The bytes of the log.
    pub(super) fn log_size(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |log| log.len())
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    // SQLite names its files after the file itself, not after a link to it.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = path.into_os_string();
    name.push(suffix);
    name.into()
}

fn stays(file: &Path, error: &io::Error) -> Error {
    let text = format!(
        "{} is of the file that was replaced and can not be taken away ({error}): end all that use it, remove it, and \
         start them again",
        file.display()
    );
    Error::new(ErrorKind::Refused, text)
}

fn read(line: &str) -> Option<Id> {
    let mut numbers = line.split(' ').map(|n| n.parse().ok());
    Some(Id(numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let beside = Beside::new(&folder.path().join("q.db"));
        assert_eq!(beside.noted(), None);
        fs::write(&beside.database, "").unwrap();
        fs::write(&beside.log, "").unwrap();
        let files = beside.now();
        assert!(files.database.is_some() && files.database != files.log && files.index.is_none());
        beside.note(files);
        assert_eq!(beside.noted(), Some(files));
        fs::write(&beside.of, "12 x 3\n-\n-").unwrap();
        assert_eq!(beside.noted(), None);
    }

    /// A log that came along with its file is not the one that was there; what can not be told apart stays, too.
    #[test]
    fn only_what_is_of_another_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let beside = Beside::new(&at("q.db"));
        for (name, text) in [("q.db", "old"), ("q.db-wal", "old"), ("q.db-shm", "old")] {
            fs::write(at(name), text).unwrap();
        }
        beside.settle().unwrap();
        beside.note(beside.now());
        beside.settle().unwrap();
        assert_eq!(fs::read(&beside.log).unwrap(), b"old");
        // Another, with a log of its own.
        fs::write(at("new"), "new").unwrap();
        fs::write(at("new-wal"), "new").unwrap();
        fs::rename(at("new"), at("q.db")).unwrap();
        fs::rename(at("new-wal"), at("q.db-wal")).unwrap();
        beside.settle().unwrap();
        assert_eq!(fs::read(&beside.log).unwrap(), b"new");
        assert!(!beside.index.exists());
        beside.note(beside.now());
        // Another one without.
        fs::write(at("third"), "third").unwrap();
        fs::rename(at("third"), at("q.db")).unwrap();
        beside.settle().unwrap();
        assert!(!beside.log.exists());
        assert_eq!(fs::read(&beside.replaced).unwrap(), b"new");
    }
}
