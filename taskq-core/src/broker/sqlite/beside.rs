//! SQLite's two files beside the database, and which database they belong to.
//!
//! SQLite finds its log (`-wal`) and the log's index (`-shm`) by their names alone: who opens a file that was put in the
//! place of another takes the log of that one for its own, and damages both. So a small file (`-bell-of`) keeps whose they
//! are, and who opens takes away what is of another. Only what is known to be of another is: a log that came along with
//! its file is a new one here, and stays, and so does one of which nothing is known.
//!
//! What is mended here belongs into `services/archivo/src/junto.rs` and `fichero.rs` as well, which do the same for the
//! services' files.

use std::fmt;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::rights;
use crate::error::{Error, ErrorKind};

/// So many logs that were put aside may lie beside a file.
const MAX_REPLACED: usize = 1_000;

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

    /// Whether it is known of these two if they are one file, also when one of them is gone: its number may be given again
    /// then, and a disk that is mounted anew may be told by another number.
    fn is_told_from(self, other: Self) -> bool {
        self.0 == other.0 && self.2 != 0 && other.2 != 0
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

    /// What of these counts where `there` lies now, if nobody has them open: they may be gone, and their numbers be of
    /// others.
    fn certain(self, there: Id) -> Self {
        let certain = |id: &Id| id.is_told_from(there);
        let known = self.database.is_some_and(|database| certain(&database));
        Self {
            database: self.database,
            log: self.log.filter(certain).filter(|_| known),
            index: self.index.filter(certain).filter(|_| known),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Beside {
    /// As it was named: it may be a link, and lead elsewhere later.
    database: PathBuf,
    /// The file itself.
    file: PathBuf,
    log: PathBuf,
    index: PathBuf,
    /// Where it is kept whose they are.
    of: PathBuf,
    /// Where a log goes that is of another; followed by a number if there is one already.
    replaced: PathBuf,
}

impl Beside {
    pub(super) fn new(database: &Path) -> Self {
        // SQLite names its files after the file itself, not after a link to it.
        let file = database
            .canonicalize()
            .unwrap_or_else(|_| database.to_owned());
        let named = |suffix| beside(&file, suffix);
        Self {
            database: database.to_owned(),
            log: named("-wal"),
            index: named("-shm"),
            of: named("-bell-of"),
            replaced: named("-wal-replaced"),
            file,
        }
    }

    pub(super) fn now(&self) -> Files {
        Files {
            database: Id::at(&self.database),
            log: Id::at(&self.log),
            index: Id::at(&self.index),
        }
    }

    /// The same, with the file itself: what these are beside, wherever the path leads by now.
    pub(super) fn of_file(&self) -> Files {
        Files {
            database: Id::at(&self.file),
            ..self.now()
        }
    }

    /// Whether this version of taskq had the file open before, or one in its place.
    pub(super) fn is_known(&self) -> bool {
        self.of.exists()
    }

    /// Takes away what is of a file that is not there any more. Under the lock.
    pub(super) fn settle(&self) -> Result<(), Error> {
        match (self.noted(), Id::at(&self.file)) {
            (Some(noted), Some(there)) => self.take_away(noted.certain(there)),
            _ => Ok(()),
        }
    }

    /// Takes these away if another file has taken the place of theirs; and only these: another process may have done it and
    /// gone on with others of the same names. What a log holds is kept, under a name that SQLite does not know: it is all
    /// that is left of its transactions if whoever wrote them is gone. Under the lock.
    pub(super) fn take_away(&self, of: Files) -> Result<(), Error> {
        match Id::at(&self.file) {
            there @ Some(_) if there != of.database => {}
            // The same, or none: it may be put back.
            _ => return Ok(()),
        }
        if of.log.is_some() && Id::at(&self.log) == of.log {
            if fs::metadata(&self.log).is_ok_and(|log| log.len() > 0) {
                let replaced = self.put_aside().map_err(|e| stays(&self.log, &e))?;
                tracing::warn!(
                    file = %self.file.display(),
                    log = %replaced.display(),
                    "the log of the file that was here before was put aside: what that one had not taken over yet is there"
                );
            } else {
                fs::remove_file(&self.log).map_err(|e| stays(&self.log, &e))?;
            }
        }
        if of.index.is_some() && Id::at(&self.index) == of.index {
            fs::remove_file(&self.index).map_err(|e| stays(&self.index, &e))?;
        }
        Ok(())
    }

    /// Where the log is now: never in the place of one that was put aside before.
    fn put_aside(&self) -> io::Result<PathBuf> {
        for n in 1..=MAX_REPLACED {
            let name = match n {
                1 => self.replaced.clone(),
                n => beside(&self.replaced, &format!("-{n}")),
            };
            match rename(&self.log, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => return renamed.map(|()| name),
            }
        }
        let text = format!("{MAX_REPLACED} others were put aside");
        Err(io::Error::other(text))
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
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Gives the file another name, which is not there yet.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every disk can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return Ok(done?),
        }
    }
    // A link takes no other's place either.
    fs::hard_link(from, to)?;
    fs::remove_file(from)
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

    /// Who undoes a mistake finds all that was written before it.
    #[test]
    fn a_log_that_is_put_aside_takes_the_place_of_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let beside = Beside::new(&at("q.db"));
        fs::write(at("q.db"), "0").unwrap();
        for log in ["first", "second", "third"] {
            fs::write(at("q.db-wal"), log).unwrap();
            beside.note(beside.of_file());
            fs::write(at("new"), log).unwrap();
            fs::rename(at("new"), at("q.db")).unwrap();
            beside.settle().unwrap();
            assert!(!beside.log.exists());
        }
        for (n, log) in [("", "first"), ("-2", "second"), ("-3", "third")] {
            let kept = fs::read_to_string(at(&format!("q.db-wal-replaced{n}")));
            assert_eq!(kept.unwrap(), log);
        }
    }

    /// It may be put back.
    #[test]
    fn what_is_of_a_file_that_is_gone_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["q.db", "q.db-wal"] {
            fs::write(at(name), "old").unwrap();
        }
        let beside = Beside::new(&at("q.db"));
        beside.note(beside.now());
        fs::rename(at("q.db"), at("away")).unwrap();
        beside.settle().unwrap();
        fs::rename(at("away"), at("q.db")).unwrap();
        beside.settle().unwrap();
        assert_eq!(fs::read(&beside.log).unwrap(), b"old");
    }

    /// Without the time when it was made a number is no word to go by: the next file gets it.
    #[test]
    fn what_may_be_of_another_by_now_does_not_count() {
        let there = Id(1, 30, 999);
        let files = |database, log| Files {
            database: Some(database),
            log: Some(log),
            index: Some(Id(1, 24, 335)),
        };
        let (database, log) = (Id(1, 22, 333), Id(1, 23, 334));
        assert_eq!(files(database, log).certain(there), files(database, log));
        for (database, log, there) in [
            (database, Id(1, 23, 0), there),
            (Id(1, 22, 0), log, there),
            (database, log, Id(1, 30, 0)),
            (database, log, Id(2, 30, 999)),
            (database, Id(2, 23, 334), there),
        ] {
            assert_eq!(
                files(database, log).certain(there).log,
                None,
                "{log} {there}"
            );
        }
    }

    /// Whoever may write to the folder may lay one to what has no end.
    #[test]
    #[cfg(unix)]
    fn a_link_in_the_place_of_what_is_kept_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("q.db"), "").unwrap();
        let beside = Beside::new(&at("q.db"));
        beside.note(beside.now());
        fs::rename(&beside.of, at("other")).unwrap();
        std::os::unix::fs::symlink(at("other"), &beside.of).unwrap();
        assert_eq!(beside.noted(), None);
    }
}
