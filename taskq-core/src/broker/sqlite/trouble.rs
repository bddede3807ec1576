//! What SQLite's errors mean for a queue: which pass, which do not, and what to do about each.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::error::{Error, ErrorKind};

/// The error of one call on the file at `path`.
pub(super) fn trouble(path: &Path, error: rusqlite::Error) -> Error {
    let file = path.display();
    let detail = error.sqlite_extended_error_code();
    let (kind, text) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Unreachable,
            format!(
                "{file} is locked by another program: close what holds it open for writing (a copy under way, a shell \
                 with an open transaction)"
            ),
        ),
        Some(ErrorCode::DiskFull) => (
            ErrorKind::Refused,
            format!(
                "the disk that holds {file} is full: make room there; what was accepted before is kept"
            ),
        ),
        Some(ErrorCode::ReadOnly) if detail == Some(ffi::SQLITE_READONLY_DBMOVED) => (
            ErrorKind::Refused,
            format!(
                "{file} was moved or removed while it was open: put it back, or start this process anew"
            ),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            return read_only(path).because(error);
        }
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Refused,
            format!(
                "{file} can not be opened, or no file beside it be made: let this user write to the file and to its \
                 folder, or name another path"
            ),
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            ErrorKind::Protocol,
            format!(
                "{file} is damaged, or no database: stop all that use it and move it away, or put a copy in its place"
            ),
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) => (
            ErrorKind::Unreachable,
            format!(
                "the disk that holds {file} answers with errors: is a quota or the largest size of a file (ulimit -f) \
                 reached? Is it a network share? Then take a local disk, or a Redis broker"
            ),
        ),
        Some(ErrorCode::TooBig) => (
            ErrorKind::TooLarge,
            format!("one value is too large for {file}"),
        ),
        _ => (
            ErrorKind::Protocol,
            format!("{file} answered what this version of taskq does not understand"),
        ),
    };
    Error::new(kind, format!("{text} ({error})")).because(error)
}

/// The file is there, and this user may only read it.
pub(super) fn read_only(path: &Path) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!(
            "{} can not be written to: let this user write to the file and to its folder, or name another path",
            path.display()
        ),
    )
}
