//! What SQLite's errors mean for a queue: which pass, which do not, and what to do about each.

use std::error::Error as _;
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
        // The index beside the file is the first that finds no room, and says so in its own way.
        Some(ErrorCode::SystemIoFailure) if detail == Some(ffi::SQLITE_IOERR_SHMSIZE) => (
            ErrorKind::Refused,
            format!(
                "the disk that holds {file} is full, or a quota or the largest size of a file (ulimit -f) is reached: make \
                 room there; what was accepted before is kept"
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
        Some(ErrorCode::OutOfMemory) => (
            ErrorKind::Unreachable,
            format!("there is no memory left for {file}: end what takes it, or raise its limit"),
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

/// Whether a step was refused for what it would have written, so that a step without it may be taken: not for the file,
/// its disk or its version.
pub(super) fn is_of_its_own(error: &Error) -> bool {
    if error.is_transient() || matches!(error.kind(), ErrorKind::Refused | ErrorKind::Unsupported) {
        return false;
    }
    code(error).is_none_or(|code| {
        let of_values = [
            ErrorCode::ConstraintViolation,
            ErrorCode::TypeMismatch,
            ErrorCode::TooBig,
        ];
        of_values.contains(&code)
    })
}

/// Whether the disk is full, or a file may not grow.
pub(super) fn found_no_room(error: &Error) -> bool {
    code(error) == Some(ErrorCode::DiskFull)
}

fn code(error: &Error) -> Option<ErrorCode> {
    let cause = error.source()?.downcast_ref::<rusqlite::Error>();
    cause.and_then(rusqlite::Error::sqlite_error_code)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// So it is at the first start on a full disk: a file fits, the index beside it does not.
    #[test]
    fn an_index_without_room_is_told_as_a_full_disk() {
        let code = ffi::Error::new(ffi::SQLITE_IOERR_SHMSIZE);
        let error = rusqlite::Error::SqliteFailure(code, None);
        let error = trouble(Path::new("q.db"), error);
        assert!(error.to_string().contains("make room there"), "{error}");
        assert!(error.is_transient());
    }

    #[test]
    fn what_the_file_refuses_is_told_from_what_a_value_does() {
        let of = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            trouble(Path::new("q.db"), error)
        };
        for code in [
            ffi::SQLITE_CONSTRAINT,
            ffi::SQLITE_MISMATCH,
            ffi::SQLITE_TOOBIG,
        ] {
            assert!(is_of_its_own(&of(code)), "{code}");
        }
        for code in [
            ffi::SQLITE_FULL,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_ERROR,
        ] {
            assert!(!is_of_its_own(&of(code)), "{code}");
        }
        assert!(of(ffi::SQLITE_NOMEM).is_transient());
        let newer = Error::new(ErrorKind::Unsupported, "a newer version");
        assert!(!is_of_its_own(&newer));
        assert!(is_of_its_own(&Error::new(
            ErrorKind::Protocol,
            "it does not encode"
        )));
    }
}
