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
