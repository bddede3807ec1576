//! What can be the matter with a file, and that each is told with its path and its remedy.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use super::super::SqliteBroker;
use super::super::moves;
use super::super::tx::number;
use super::*;
use crate::broker::marked::Marked;
use crate::broker::{Broker, Due, Outgoing};
use crate::id::{QueueName, TaskId};

#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod permissions;
mod version_1;
mod versions;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn opened(path: &Path) -> Result<SqliteBroker, Error> {
    SqliteBroker::open(path)
}

/// What is the matter with the file at `path`: it names that.
fn refused(path: &Path, remedy: &str) -> Error {
    let error = opened(path).expect_err("it should not open");
    names(&error, path, remedy);
    error
}

fn names(error: &Error, path: &Path, remedy: &str) {
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()), "no path: {text}");
    assert!(text.contains(remedy), "no remedy: {text}");
}

/// Puts a message of so many bytes into the queue.
async fn send(broker: &SqliteBroker, bytes: usize) -> Result<(), Error> {
    let message = Marked {
        body: Bytes::from(vec![b'x'; bytes]),
        priority: 0,
        crashes: 0,
    };
    let step = broker.link.write(move |tx| {
        let (queue, now) = (tx.queue(&QueueName::default())?, tx.now());
        moves::push(tx, queue, &message, now)
    });
    step.await
}

async fn waiting(broker: &SqliteBroker) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM ready WHERE place > 0";
    let look = broker.link.read(|view| view.one(sql, (), |row| row.get(0)));
    look.await.map(number)
}

#[tokio::test]
async fn a_missing_folder_is_made() {
    let folder = folder();
    let path = folder.path().join("a/b/taskq.db");
    let broker = opened(&path).unwrap();
    send(&broker, 1).await.unwrap();
    assert!(path.is_file());
}

#[test]
fn a_folder_that_can_not_be_made_is_named() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let inside = file.join("inside");
    let error = opened(&inside.join("taskq.db")).unwrap_err();
    names(
        &error,
        &inside,
        "is a file, not a folder; name another path",
    );
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let error = opened(&file.join("taskq.db")).unwrap_err();
    names(&error, &file, "is a file, not a folder; name another path");
    let nowhere = folder.path().join("nowhere");
    std::os::unix::fs::symlink(folder.path().join("none"), &nowhere).unwrap();
    let error = opened(&nowhere.join("taskq.db")).unwrap_err();
    names(&error, &nowhere, "make it, or name another path");
    assert!(error.is_transient());
}

#[test]
fn a_folder_is_no_file() {
    let folder = folder();
    refused(folder.path(), "name a file in it, such as");
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn an_empty_path_names_no_file() {
    let error = opened(Path::new("")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// What has a meaning to SQLite is a name like any other.
#[tokio::test]
async fn the_name_of_a_file_means_nothing_else() {
    let folder = folder();
    for name in [":memory:", "file:x?mode=memory", "a b%20c.db"] {
        let path = folder.path().join(name);
        let broker = opened(&path).unwrap();
        send(&broker, 1).await.unwrap();
        assert_eq!(waiting(&opened(&path).unwrap()).await.unwrap(), 1);
        assert!(path.is_file(), "{name}");
    }
}

/// The threads that served it have closed it: the last one removes what lies beside. Of two that close it at once none is
/// the last to SQLite; then the one that is opened here is.
fn until_closed(path: &Path) {
    let mut beside = path.as_os_str().to_owned();
    beside.push("-wal");
    let beside = PathBuf::from(beside);
    let deadline = Instant::now() + Duration::from_secs(20);
    while beside.exists() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
        let last = Connection::open(path).unwrap();
        drop(last.query_row("PRAGMA user_version", (), |_| Ok(())));
    }
    assert!(!beside.exists(), "the file is still open");
}

#[test]
fn what_is_no_database_is_left_as_it_is() {
    let folder = folder();
    let path = folder.path().join("notes.txt");
    let text = "not a database, but long enough to have a header\n".repeat(100);
    fs::write(&path, &text).unwrap();
    let error = refused(&path, "move it away");
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn another_programs_database_is_left_as_it_is() {
    let folder = folder();
    let path = folder.path().join("shop.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE queue (x)").unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    let error = refused(&path, "name another path");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    let broker = opened(&path).unwrap();
    send(&broker, 100_000).await.unwrap();
    drop(broker);
    until_closed(&path);
    // The header stands; all behind the first page is gone.
    let mut bytes = fs::read(&path).unwrap();
    bytes[4_096..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let error = match opened(&path) {
        Err(error) => error,
        Ok(broker) => send(&broker, 1).await.unwrap_err(),
    };
    names(&error, &path, "put a copy in its place");
    assert!(!error.is_transient(), "{error}");
}

/// Who holds the write lock for longer than is waited holds up writers only, and new ones say who it may be.
#[tokio::test]
async fn a_file_that_another_program_locks_is_named() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    let broker = opened(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(waiting(&broker).await.unwrap(), 0);
    let error = send(&broker, 1).await.unwrap_err();
    names(&error, &path, "locked by another program");
    assert!(error.is_transient());
    other.execute_batch("ROLLBACK").unwrap();
    send(&broker, 1).await.unwrap();
}

/// A sender waits for less long than a step does for the lock: it is told what it may be.
#[tokio::test]
async fn a_sender_at_a_locked_file_is_told_what_may_be() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    let broker = opened(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let batch = [Outgoing {
        id: TaskId::random(),
        body: Bytes::from_static(b"x"),
        priority: 0,
        due: Due::Now,
        record: None,
        once: None,
        event: None,
    }];
    let queue = QueueName::default();
    let sent = broker.enqueue(&queue, &batch, Duration::from_millis(299));
    let error = sent.await.unwrap_err();
    names(&error, &path, "close what holds it open for writing");
    assert!(error.to_string().contains("within 0.3 s"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

/// Several processes may be the first at once.
#[tokio::test]
async fn a_new_file_is_made_once() {
    for _ in 0..10 {
        let folder = folder();
        let path = folder.path().join("taskq.db");
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    opened(&path).unwrap();
                });
            }
        });
        let broker = opened(&path).unwrap();
        let sql = "SELECT count(*) FROM store";
        let look = broker.link.read(|view| view.one(sql, (), |row| row.get(0)));
        assert_eq!(look.await.map(number).unwrap(), 1);
    }
}
