//! Files and folders that this user may not write to.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Runs as a user whom permissions bind: as another one where this is root.
fn unprivileged(run: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                // Of this thread alone, and of those that it starts.
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65_534)).unwrap();
            }
            run();
        });
    });
}

/// A folder that any user may enter.
fn open_folder() -> TempDir {
    let folder = folder();
    permit(folder.path(), 0o777);
    folder
}

fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_may_only_be_read_is_refused() {
    let folder = open_folder();
    let path = folder.path().join("taskq.db");
    drop(opened(&path).unwrap());
    until_closed(&path);
    permit(&path, 0o444);
    unprivileged(|| {
        let error = refused(&path, "let this user write to the file");
        assert_eq!(error.kind(), ErrorKind::Refused);
    });
}

#[test]
fn a_file_in_a_folder_that_may_only_be_read_is_refused() {
    let folder = open_folder();
    let path = folder.path().join("taskq.db");
    drop(opened(&path).unwrap());
    for beside in fs::read_dir(folder.path()).unwrap() {
        permit(&beside.unwrap().path(), 0o666);
    }
    // Those that wrote it are gone, and SQLite's files beside it with them.
    until_closed(&path);
    permit(folder.path(), 0o555);
    let new = folder.path().join("new.db");
    unprivileged(|| {
        for path in [&path, &new] {
            let error = refused(path, "to its folder");
            assert_eq!(error.kind(), ErrorKind::Refused);
        }
        let inside = folder.path().join("inside");
        let error = opened(&inside.join("taskq.db")).unwrap_err();
        names(&error, &inside, "make it, or name another path");
    });
    assert!(!new.exists());
}

/// Who may not see whether it is there is not told that it is not.
#[test]
fn a_file_in_a_folder_that_may_not_be_entered_is_not_said_to_be_missing() {
    let folder = open_folder();
    let path = folder.path().join("taskq.db");
    drop(opened(&path).unwrap());
    permit(folder.path(), 0o000);
    let url = SqliteBroker::url(&path);
    unprivileged(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let looked = runtime.block_on(crate::broker::connect_existing(&url));
        let error = looked.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused);
        names(&error, &path, "let this user into its folder");
    });
    permit(folder.path(), 0o700);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The modes of what lies in a folder, by name.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let all = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, mode(&entry.path()))
    });
    all.collect()
}

/// A broker that is used: all that it lays beside its file is there.
async fn in_use(path: &Path) -> (SqliteBroker, std::sync::Arc<dyn crate::broker::Consumer>) {
    use crate::broker::{Broker, ConsumerOptions, Order};
    let broker = opened(path).unwrap();
    let options = ConsumerOptions {
        queues: vec![QueueName::default().into()],
        order: Order::default(),
        lease: Duration::from_secs(60),
        node: "w".into(),
    };
    let consumer = broker.consume(options).await.unwrap();
    send(&broker, 1).await.unwrap();
    let folder = modes(path.parent().unwrap());
    for ending in ["", "-wal", "-shm", "-bell-of", "-bell-work", "-life-"] {
        let name = format!("taskq.db{ending}");
        let there = folder.iter().any(|(there, _)| there.starts_with(&name));
        assert!(there, "no {name} in {folder:?}");
    }
    (broker, consumer)
}

#[tokio::test]
async fn what_is_made_is_this_users_alone() {
    let folder = open_folder();
    let inside = folder.path().join("a/b");
    let _used = in_use(&inside.join("taskq.db")).await;
    for (name, mode) in modes(&inside) {
        assert_eq!(mode, 0o600, "{name}");
    }
    assert_eq!(
        (mode(&inside), mode(&folder.path().join("a"))),
        (0o700, 0o700)
    );
    // What was there before stays as it was.
    assert_eq!(mode(folder.path()), 0o777);
}

#[tokio::test]
async fn a_file_that_was_made_for_several_users_stays_so_with_all_beside_it() {
    let folder = open_folder();
    let path = folder.path().join("taskq.db");
    fs::write(&path, "").unwrap();
    permit(&path, 0o666);
    let (broker, consumer) = in_use(&path).await;
    for (name, mode) in modes(folder.path()) {
        assert_eq!(mode, 0o666, "{name}");
    }
    // Another user works with it, and knows who lives.
    let other = async {
        let (_broker, other) = in_use(&path).await;
        assert_eq!(
            other.sweep().await.unwrap(),
            crate::broker::Swept::default()
        );
        other.close().await.unwrap();
    };
    unprivileged(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(other);
    });
    drop((broker, consumer));
}
