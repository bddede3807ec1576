//! One bell file: eight bytes that are never the same twice.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::broker::sqlite::rights;
use crate::broker::sqlite::trouble::read_only;
use crate::error::{Error, ErrorKind};

/// Whether the file at the path is still the one that is open is asked this often; one that can not be opened is tried
/// again this often.
const CHECK: Duration = Duration::from_secs(1);

/// Who holds the lock does not hold it for longer: it opens the file, and may wait for another program's lock on it.
const PATIENCE: Duration = Duration::from_secs(15);

/// The bell file of one topic.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    /// Whose owner and permissions it takes.
    database: PathBuf,
    /// Why it could not be opened at first.
    refusal: Option<io::Error>,
    open: Mutex<Open>,
    /// What this process wrote last. Its upper half tells it from all others.
    own: AtomicU64,
}

#[derive(Debug)]
struct Open {
    file: Option<File>,
    checked: Instant,
}

impl Mark {
    pub(super) fn new(database: &Path, topic: &str) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-bell-");
        path.push(topic);
        let path = PathBuf::from(path);
        let (file, refusal) = match open(&path, database) {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(error)),
        };
        let own = u64::from(rand::random::<u32>()) << 32;
        Self {
            path,
            database: database.to_owned(),
            refusal,
            open: Mutex::new(Open {
                file,
                checked: Instant::now(),
            }),
            own: AtomicU64::new(own),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that can not be written to, and why.
    pub(super) fn refusal(&self) -> Option<(&Path, &io::Error)> {
        Some((&self.path, self.refusal.as_ref()?))
    }

    /// Writes what was never there before. An error is none for the caller: the others look by themselves, later.
    pub(super) fn strike(&self) {
        let mut open = self.lock();
        if open.checked.elapsed() >= CHECK {
            self.look_after(&mut open);
        }
        let last = self.own.load(Ordering::Relaxed);
        let next = (last & !0xffff_ffff) | ((last + 1) & 0xffff_ffff);
        self.own.store(next, Ordering::SeqCst);
        if let Some(file) = &mut open.file {
            let written = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| file.write_all(&next.to_le_bytes()));
            if let Err(error) = written {
                tracing::debug!(file = %self.path.display(), %error, "a bell could not be rung");
            }
        }
    }

    /// What stands there; 0 for what can not be read.
    pub(super) fn read(&self) -> u64 {
        let mut bytes = [0; 8];
        let mut open = self.lock();
        if let Some(file) = &mut open.file {
            let read = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| file.read_exact(&mut bytes));
            if read.is_err() {
                return 0;
            }
        }
        u64::from_le_bytes(bytes)
    }

    /// Whether `seen` is what this process wrote last.
    pub(super) fn is_own(&self, seen: u64) -> bool {
        seen == self.own.load(Ordering::SeqCst)
    }

    /// Runs `what` under the lock of this file. No other file of ours is locked so: closing the database's own, SQLite
    /// would lose its locks.
    pub(super) fn alone<T>(&self, what: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let failed = |e: io::Error| {
            // It has the owner and the permissions of the database.
            if matches!(
                e.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) {
                return read_only(&self.database).because(e);
            }
            let text = format!("{} can not be locked: {e}", self.path.display());
            Error::new(ErrorKind::Unreachable, text)
        };
        let file = open(&self.path, &self.database).map_err(failed)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(e) => return Err(failed(e.into())),
            }
        }
        // Closing it gives the lock back.
        what()
    }

    /// Somebody may have removed or replaced the file: the one at the path counts, made anew if need be. Whether it is
    /// another one now.
    pub(super) fn renew(&self) -> bool {
        self.look_after(&mut self.lock())
    }

    fn look_after(&self, open: &mut Open) -> bool {
        open.checked = Instant::now();
        if open
            .file
            .as_ref()
            .is_some_and(|f| rights::is_at(f, &self.path))
        {
            return false;
        }
        open.file = self::open(&self.path, &self.database).ok();
        open.file.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens it for reading and writing, made if need be: by whoever may write the database, as the files of SQLite are.
fn open(path: &Path, database: &Path) -> io::Result<File> {
    match rights::open_beside(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    match rights::create_beside(path, database) {
        Ok(mut file) => {
            // Full-length from the start: a ring must not need room on a full disk.
            file.write_all(&[0; 8])?;
            Ok(file)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => rights::open_beside(path),
        failed => failed,
    }
}
