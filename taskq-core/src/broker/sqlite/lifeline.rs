//! Whether the process that a session is of still lives: the kernel knows.
//!
//! A process that has sessions in a file holds the lock of a small file beside it, its lifeline, and the sessions name
//! that. The kernel drops the lock with the process, however it ends; so who gets the lock of another's lifeline knows
//! that its process is gone, whatever is left of the lease. A process that is merely stopped keeps its lock. Where nothing
//! can be known (the lifeline is missing or is another file, it was made on another machine, the disk has no locks)
//! nothing is said, and the lease decides.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::seq::{IteratorRandom, SliceRandom};

use super::beside::Id;
use super::rights;

/// How often a lifeline is made that somebody takes for litter meanwhile.
const TRIES: usize = 5;

/// So many lifelines are gone through when litter is looked for: of more, any.
const MAX_LISTED: usize = 10_000;

/// … and so many pieces of it are found at a time.
const MAX_LITTER: usize = 100;

/// Of so many lifelines of ours that somebody moved the locks are kept: then none is made any more.
const MAX_FORMER: usize = 16;

/// What another machine made is left to it for this long, by when it was made: the lock that is got here may be held there.
const OLD: Duration = Duration::from_secs(24 * 3_600);

/// The lifelines beside one database: our own, and those of others. Beside none (`default`) nothing is known.
#[derive(Debug, Default)]
pub(super) struct Lifelines {
    place: Option<Place>,
    /// Consumers of this process that have not ended well.
    consumers: AtomicUsize,
    /// Not to be locked where the disk must not be waited for.
    own: Mutex<Own>,
}

#[derive(Debug)]
struct Place {
    database: PathBuf,
    folder: PathBuf,
    /// What the names of all of them begin with.
    prefix: OsString,
    /// Which kernel keeps the locks: on a disk that several machines share, each may know of its own alone.
    machine: String,
}

/// What this process holds at this database.
#[derive(Debug, Default)]
struct Own {
    line: Option<Line>,
    /// Those that were there before, and are not at their names any more. Open sessions say them, and they may come back.
    former: Vec<Line>,
    /// That there is none was told.
    told: bool,
}

#[derive(Debug)]
struct Line {
    /// Locked for as long as it is open.
    file: File,
    path: PathBuf,
    mark: String,
}

/// A lifeline that nobody holds.
#[derive(Debug)]
pub(super) struct Loose {
    path: PathBuf,
    /// What sessions of its process say.
    pub(super) mark: String,
}

impl Lifelines {
    /// Those beside the database at `path`, which is there.
    pub(super) fn beside(path: &Path) -> Self {
        Self {
            place: Place::beside(path),
            ..Self::default()
        }
    }

    /// Whether anything can be known here of any process.
    pub(super) fn tell(&self) -> bool {
        self.place.is_some()
    }

    /// One consumer more has sessions here.
    pub(super) fn join(&self) {
        self.consumers.fetch_add(1, Ordering::SeqCst);
    }

    /// One consumer has ended its sessions, or came to none: with the last of them there is something to
    /// [`tidy`](Self::tidy).
    pub(super) fn leave(&self) {
        let one_less = |n: usize| Some(n.saturating_sub(1));
        let (set, fetch) = (Ordering::SeqCst, Ordering::SeqCst);
        // With an answer each time, it is never refused.
        let before = self.consumers.fetch_update(set, fetch, one_less);
        debug_assert!(before.is_ok());
    }

    /// Takes our lifeline away if no consumer is left.
    pub(super) fn tidy(&self) {
        let own = &mut *self.own();
        if self.is_kept() {
            return;
        }
        if let Some(line) = own.line.take() {
            line.cut();
        }
        for line in own.former.drain(..) {
            if rights::is_at(&line.file, &line.path) {
                line.cut();
            }
        }
    }

    fn is_kept(&self) -> bool {
        self.consumers.load(Ordering::SeqCst) > 0
    }

    /// What our sessions are to say; the lifeline is made if there is none. `None`: nothing will be known of this process,
    /// or the consumer has left that asked.
    pub(super) fn mark(&self) -> Option<String> {
        let place = self.place.as_ref()?;
        let own = &mut *self.own();
        if !self.is_kept() {
            return None;
        }
        let away = |line: &mut Line| rights::is_away(&line.file, &line.path);
        own.former.extend(own.line.take_if(away));
        own.former.retain(|line| rights::has_name(&line.file));
        if own.line.is_none() {
            let made = if own.former.len() < MAX_FORMER {
                place.make()
            } else {
                let text =
                    format!("{MAX_FORMER} of them were moved away: leave them where they are");
                Err(io::Error::other(text))
            };
            if let Err(error) = &made
                && !own.told
            {
                tracing::warn!(
                    file = %place.database.display(),
                    %error,
                    "no lock that tells of the death of this process can be held beside the file: if it is killed, \
                     others run what it held only once its lease is over"
                );
            }
            own.told = made.is_err();
            own.line = made.ok();
        }
        own.line.as_ref().map(|line| line.mark.clone())
    }

    /// Whether the process whose sessions say `mark` is known to be gone. It stays so.
    pub(super) fn is_over(&self, mark: &str) -> bool {
        let over = || {
            let (place, (name, _)) = (self.place.as_ref()?, mark.split_once(' ')?);
            // What stands there is no word to go by: it becomes part of a path.
            if !is_name(name) || !place.is_of_here(name) {
                return None;
            }
            let there = open(&place.path(name)).ok()?;
            let same = marked(name, &there).ok()? == mark;
            // Shared: of several who ask at once none takes another for the one that holds it.
            (same && there.try_lock_shared().is_ok()).then_some(())
        };
        over().is_some()
    }

    /// Lifelines that nobody holds: of processes that are gone, or of one that is about to take its own.
    pub(super) fn loose(&self) -> Vec<Loose> {
        self.some_loose(MAX_LISTED, MAX_LITTER)
    }

    /// Any `most` of those among any `listed` lifelines: what is loose and stays, because a session names it, hides none of
    /// the others for ever.
    fn some_loose(&self, listed: usize, most: usize) -> Vec<Loose> {
        let Some(place) = &self.place else {
            return Vec::new();
        };
        let entries = fs::read_dir(&place.folder).into_iter().flatten();
        let names = entries.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let bytes = name.as_encoded_bytes();
            let rest = bytes.strip_prefix(place.prefix.as_encoded_bytes())?;
            let rest = std::str::from_utf8(rest).ok().filter(|n| is_name(n))?;
            Some(rest.to_owned())
        });
        let mut rng = rand::rng();
        let mut names = names.sample(&mut rng, listed);
        // A sample alone is not in any order.
        names.shuffle(&mut rng);
        let loose = names.into_iter().filter_map(|name| {
            let path = place.path(&name);
            let file = open(&path).ok()?;
            if !place.is_of_here(&name) && !is_old(&file) {
                return None;
            }
            file.try_lock().ok()?;
            let mark = marked(&name, &file).ok()?;
            Some(Loose { path, mark })
        });
        loose.take(most).collect()
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loose {
    /// Takes it away, unless somebody holds it by now.
    pub(super) fn clear(&self) {
        let Ok(file) = open(&self.path) else {
            return;
        };
        if file.try_lock().is_ok()
            && rights::is_at(&file, &self.path)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(file = %self.path.display(), %error, "it is of no use any more, and stays");
        }
    }
}

impl Place {
    fn beside(path: &Path) -> Option<Self> {
        // A link to the file is the file: SQLite names its own files so, too.
        let database = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut prefix = database.file_name()?.to_owned();
        prefix.push("-life-");
        Some(Self {
            folder: database.parent()?.to_owned(),
            prefix,
            machine: machine()?,
            database,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        let mut file = self.prefix.clone();
        file.push(name);
        self.folder.join(file)
    }

    fn is_of_here(&self, name: &str) -> bool {
        name.split('-').next() == Some(&*self.machine)
    }

    fn make(&self) -> io::Result<Line> {
        for _ in 0..TRIES {
            let name = format!("{}-{:016x}", self.machine, rand::random::<u64>());
            let path = self.path(&name);
            let file = rights::create_beside(&path, &self.database)?;
            match file.try_lock() {
                // Taken for litter before it was locked: by now it may be gone.
                Ok(()) if !rights::is_at(&file, &path) => continue,
                Err(TryLockError::WouldBlock) => continue,
                Ok(()) => {}
                Err(TryLockError::Error(error)) => {
                    drop(fs::remove_file(&path));
                    return Err(error);
                }
            }
            let mark = marked(&name, &file)?;
            let line = Line { file, path, mark };
            if let Err(TryLockError::WouldBlock) = open(&line.path)?.try_lock() {
                return Ok(line);
            }
            line.cut();
            return Err(io::Error::other("locks keep nobody out on this disk"));
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Line {
    /// Ends it while it is held, so that nobody takes this process for one that died.
    fn cut(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(file = %self.path.display(), %error, "it is of no use any more, and stays");
        }
    }
}

/// For writing as well: some disks lock nothing else.
fn open(path: &Path) -> io::Result<File> {
    rights::open_beside(path)
}

/// Nothing is ever written to one, so it is as old as that says.
fn is_old(file: &File) -> bool {
    let made = file.metadata().and_then(|there| there.modified()).ok();
    let age = made.and_then(|made| made.elapsed().ok());
    age.is_some_and(|age| age >= OLD)
}

/// What sessions say: the name, and which file it is. A copy of the file is another.
fn marked(name: &str, file: &File) -> io::Result<String> {
    Ok(format!("{name} {}", Id::of(&file.metadata()?)))
}

fn is_name(name: &str) -> bool {
    let fits = |c: u8| c == b'-' || c.is_ascii_hexdigit();
    !name.is_empty() && name.len() <= 64 && name.bytes().all(fits)
}

/// Which start of which machine this is: containers on one kernel share its locks, and this.
#[cfg(target_os = "linux")]
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = boot.chars().filter(char::is_ascii_hexdigit).collect();
    (digits.len() == 32).then_some(digits)
}

/// Nothing tells machines apart here.
#[cfg(not(target_os = "linux"))]
fn machine() -> Option<String> {
    None
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
