//! One file is opened once in a process, however often its URL is connected to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::link::Link;
use super::open::{Location, Settings};
use super::{SqliteBroker, url};
use crate::error::{Error, ErrorKind};

/// A disk may hang for ever.
const DEADLINE: Duration = Duration::from_secs(30);

/// What is open: by the file's own path, and by whether each commit reaches the disk.
type Key = (PathBuf, bool);

static OPEN: Mutex<BTreeMap<Key, Weak<Link>>> = Mutex::new(BTreeMap::new());

impl SqliteBroker {
    /// The broker that a URL names, from behind its `sqlite:`: opened, or shared with who has it open in this process.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no such URL; and what is the matter with the file.
    pub(in crate::broker) async fn connect(rest: &str) -> Result<Self, Error> {
        let location = url::parse(rest)?;
        let path = location.path().to_owned();
        let opening = within_deadline(&path, move || match location {
            Location::Memory => Link::open(&location).map(Arc::new),
            Location::File(settings) => shared(settings),
        });
        let link = opening.await?;
        Ok(Self { link })
    }
}

impl SqliteBroker {
    /// Whether there is a file for a URL, from behind its `sqlite:`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no such URL, [`ErrorKind::Unreachable`] for a file that is not there or a disk that
    /// does not answer, [`ErrorKind::Refused`] where it can not be seen.
    pub(in crate::broker) async fn check_it_is_there(rest: &str) -> Result<(), Error> {
        match url::parse(rest)? {
            Location::Memory => Ok(()),
            Location::File(Settings { path, .. }) => {
                within_deadline(&path.clone(), move || is_there(&path)).await
            }
        }
    }
}

/// On a thread that may wait for the disk.
async fn within_deadline<T: Send + 'static>(
    path: &Path,
    what: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let path = path.display();
    match timeout(DEADLINE, spawn_blocking(what)).await {
        Ok(Ok(came_to)) => came_to,
        Ok(Err(_)) => {
            let text = format!("opening {path} was given up: the program ends");
            Err(Error::new(ErrorKind::Unreachable, text))
        }
        Err(_) => {
            let text = format!("{path} did not open within {DEADLINE:?}: does its disk hang?");
            Err(Error::new(ErrorKind::Unreachable, text))
        }
    }
}

fn is_there(path: &Path) -> Result<(), Error> {
    let Err(e) = fs::metadata(path) else {
        return Ok(());
    };
    let file = path.display();
    let remedy = match e.kind() {
        io::ErrorKind::NotFound => {
            return Err(Error::new(
                ErrorKind::Unreachable,
                format!(
                    "there is no broker's file at {file}: a worker or a service makes it at its start; is it the file \
                     that they name?"
                ),
            ));
        }
        io::ErrorKind::PermissionDenied => {
            "let this user into its folder, or ask as the user that it belongs to"
        }
        _ => "mend the path, or the disk that it leads to",
    };
    let text = format!("whether {file} is there can not be seen ({e}): {remedy}");
    Err(Error::new(ErrorKind::Refused, text).because(e))
}

fn shared(settings: Settings) -> Result<Arc<Link>, Error> {
    let full_sync = settings.full_sync;
    let key = |path: &Path| path.canonicalize().ok().map(|path| (path, full_sync));
    let path = settings.path.clone();
    if let Some(key) = key(&path)
        && let Some(link) = known(&key)
    {
        return Ok(link);
    }
    // Not under the lock: a disk that hangs must not keep others from their files.
    let opened = Arc::new(Link::open(&Location::File(settings))?);
    let Some(key) = key(&path) else {
        return Ok(opened);
    };
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|_, link| link.strong_count() > 0);
    if let Some(link) = alive(open.get(&key)) {
        return Ok(link);
    }
    open.insert(key, Arc::downgrade(&opened));
    Ok(opened)
}

fn known(key: &Key) -> Option<Arc<Link>> {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    alive(open.get(key))
}

/// One whose threads have ended is of no use any more.
fn alive(link: Option<&Weak<Link>>) -> Option<Arc<Link>> {
    link.and_then(Weak::upgrade).filter(|link| link.is_open())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connect(path: &Path, query: &str) -> SqliteBroker {
        let url = format!("{}{query}", url::of(path));
        let rest = url.strip_prefix("sqlite:").unwrap();
        SqliteBroker::connect(rest).await.unwrap()
    }

    #[tokio::test]
    async fn one_file_is_open_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new folder").join("q.db");
        let a = connect(&path, "").await;
        let b = connect(&path, "?sync=normal").await;
        assert!(Arc::ptr_eq(&a.link, &b.link));
        std::fs::create_dir(folder.path().join("x")).unwrap();
        let roundabout = folder.path().join("x/../new folder/q.db");
        assert!(Arc::ptr_eq(&a.link, &connect(&roundabout, "").await.link));
        let full = connect(&path, "?sync=full").await;
        assert!(!Arc::ptr_eq(&a.link, &full.link));
        let other = connect(&folder.path().join("other.db"), "").await;
        assert!(!Arc::ptr_eq(&a.link, &other.link));
    }

    #[tokio::test]
    async fn one_whose_thread_has_ended_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.db");
        let a = connect(&path, "").await;
        crate::broker::sqlite::link::tests::end(&a.link).await;
        let b = connect(&path, "").await;
        assert!(!Arc::ptr_eq(&a.link, &b.link));
        b.link.write(|_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_in_memory_is_shared_with_nobody() {
        let a = SqliteBroker::connect(":memory:").await.unwrap();
        let b = SqliteBroker::connect(":memory:").await.unwrap();
        assert!(!Arc::ptr_eq(&a.link, &b.link));
    }
}
