//! Which version of the schema a file has, and bringing it to the one that this version of taskq reads and writes.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::trouble::trouble;
use crate::error::{Error, ErrorKind};
use crate::id::TaskId;

/// "task" in a file's header, so that `file` and others can tell what it is.
const APPLICATION: i32 = 0x7461_736b;

/// What this version of taskq reads and writes: the number of [`MIGRATIONS`].
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

/// Each takes the file from the version that is its place to the next one. What was released is never changed: a test
/// knows each by its hash.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("schema-2.sql")];

/// Refuses what is not ours to change: another program's database, or one of a newer version. Reads only.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Error> {
    let failed = |e| trouble(path, e);
    let number = |pragma: &str| connection.query_row(pragma, (), |row| row.get::<_, i32>(0));
    let owner = number("PRAGMA application_id").map_err(failed)?;
    let there = number("PRAGMA user_version").map_err(failed)?;
    if owner == APPLICATION {
        return if there > VERSION {
            Err(newer(path, there))
        } else {
            Ok(())
        };
    }
    let holds_nothing =
        number("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)").map_err(failed)?;
    if owner == 0 && there == 0 && holds_nothing == 1 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "{} is a database of another program: name another path; it was left as it is",
            path.display()
        ),
    ))
}

/// Takes the file through all that it has not been through, in one step: whole, or not at all.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), Error> {
    let failed = |e| trouble(path, e);
    let latest = migrations.len();
    if version(connection).map_err(failed)? == latest {
        return Ok(());
    }
    let tx = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    bring(&tx, path, migrations)?;
    tx.commit().map_err(failed)
}

/// The same inside a transaction.
pub(super) fn bring(tx: &Connection, path: &Path, migrations: &[&str]) -> Result<(), Error> {
    let failed = |e| trouble(path, e);
    let latest = migrations.len();
    // Another process may have done it while this one waited, of a newer version even; what it has opened since is whole.
    check(tx, path)?;
    let there = version(tx).map_err(failed)?;
    if there >= latest {
        return Ok(());
    }
    for sql in migrations.iter().skip(there) {
        tx.execute_batch(sql).map_err(failed)?;
    }
    // Who opened them can never write here again, and has not crashed: nothing of it is charged to what they hold.
    tx.execute("UPDATE session SET retired = 1 WHERE id > 0", ())
        .map_err(failed)?;
    if there == 0 {
        let identity = TaskId::random();
        let sql = "INSERT INTO store (one, identity) VALUES (1, ?1)";
        tx.execute(sql, [identity.as_bytes()]).map_err(failed)?;
        tx.pragma_update(None, "application_id", APPLICATION)
            .map_err(failed)?;
    }
    let latest = i32::try_from(latest).unwrap_or(i32::MAX);
    tx.pragma_update(None, "user_version", latest)
        .map_err(failed)
}

/// Refuses a file that has become another version's since it was opened; `there` is what it says now.
pub(super) fn still(there: i32, path: &Path) -> Result<(), Error> {
    if there == VERSION {
        return Ok(());
    }
    if there > VERSION {
        return Err(newer(path, there));
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "{} holds an older schema than when it was opened ({there}, it was {VERSION}): start this process anew, so \
             that it is brought up to date",
            path.display()
        ),
    ))
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let there: i32 = connection.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    Ok(usize::try_from(there).unwrap_or(0))
}

fn newer(path: &Path, there: i32) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "{} was written by a newer taskq (schema {there}, this one reads up to {VERSION}): update this program, or \
             name another file",
            path.display()
        ),
    )
}
