//! Files of other versions, and files that become another version's while they are open.

use super::super::super::schema::{MIGRATIONS, VERSION, bring, migrate};
use super::*;

/// What a later version might bring.
const LATER: &str = "ALTER TABLE ready ADD COLUMN group_id INTEGER; CREATE TABLE later (x INTEGER PRIMARY KEY) STRICT;";

fn later() -> Vec<&'static str> {
    let mut all = MIGRATIONS.to_vec();
    all.push(LATER);
    all
}

/// Has the file opened by a later version of this program.
fn update(path: &Path) -> Result<(), Error> {
    let mut connection = Connection::open(path).unwrap();
    migrate(&mut connection, path, &later())
}

pub(super) fn version(path: &Path) -> i32 {
    let connection = Connection::open(path).unwrap();
    let version = connection.query_row("PRAGMA user_version", (), |row| row.get(0));
    version.unwrap()
}

#[tokio::test]
async fn a_file_is_brought_to_a_later_version_with_all_it_holds() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    let broker = opened(&path).unwrap();
    for _ in 0..3 {
        send(&broker, 1_000).await.unwrap();
    }
    drop(broker);
    update(&path).unwrap();
    assert_eq!(version(&path), VERSION + 1);
    let connection = Connection::open(&path).unwrap();
    let sql = "SELECT count(*), count(group_id) FROM ready";
    let counts: (i64, i64) = connection
        .query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(counts, (3, 0));
    // Nothing to be done is no change.
    update(&path).unwrap();
    assert_eq!(version(&path), VERSION + 1);
}

/// A process of the older version that has it open neither writes nor reads what it does not know any more.
#[tokio::test]
async fn who_has_it_open_meanwhile_stops() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    let broker = opened(&path).unwrap();
    send(&broker, 1).await.unwrap();
    update(&path).unwrap();
    for error in [
        send(&broker, 1).await.unwrap_err(),
        waiting(&broker).await.unwrap_err(),
        opened(&path).unwrap_err(),
    ] {
        names(&error, &path, "update this program");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    let connection = Connection::open(&path).unwrap();
    let there: i64 = connection
        .query_row("SELECT count(*) FROM ready", (), |row| row.get(0))
        .unwrap();
    assert_eq!(there, 1);
}

/// A file of an older version that is put in the place of the open one is told apart, too.
#[tokio::test]
async fn what_became_older_is_not_written_to() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    let broker = opened(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other
        .pragma_update(None, "user_version", VERSION - 1)
        .unwrap();
    let error = send(&broker, 1).await.unwrap_err();
    names(&error, &path, "start this process anew");
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    drop(opened(&path).unwrap());
    let mut connection = Connection::open(&path).unwrap();
    let broken = [MIGRATIONS, &[LATER, "CREATE TABLE later (y)"]].concat();
    let error = migrate(&mut connection, &path, &broken).unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    assert_eq!(version(&path), VERSION);
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'later'";
    let there: i64 = connection.query_row(sql, (), |row| row.get(0)).unwrap();
    assert_eq!(there, 0);
    opened(&path).unwrap();
}

/// What a newer version wrote is refused before anything of it is changed.
#[test]
fn a_newer_file_is_left_as_it_is() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    drop(opened(&path).unwrap());
    update(&path).unwrap();
    until_closed(&path);
    let before = fs::read(&path).unwrap();
    refused(&path, "update this program");
    until_closed(&path);
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// Sessions of the older version can do nothing any more: that is no crash of what they hold.
#[test]
fn who_is_left_behind_by_a_new_version_is_charged_no_crash() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    drop(opened(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let sql = "INSERT INTO session (queue, owner, node, lease_ms, deadline, since) VALUES (1, x'01', 'w', 1000, 1000, 0)";
    connection.execute(sql, ()).unwrap();
    let charged = || {
        let sql = "SELECT count(*) FROM session WHERE NOT retired";
        let count: i64 = connection.query_row(sql, (), |row| row.get(0)).unwrap();
        count
    };
    opened(&path).unwrap();
    assert_eq!(charged(), 1);
    update(&path).unwrap();
    assert_eq!(charged(), 0);
}

/// What was released lies in files that this version has to read: a change of the schema is one more migration.
#[test]
fn a_schema_that_was_released_is_never_changed() {
    /// FNV-1a.
    fn hash(text: &str) -> u64 {
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
    }
    let released: Vec<String> = MIGRATIONS
        .iter()
        .map(|sql| format!("{:016x}", hash(sql)))
        .collect();
    assert_eq!(released, ["2f463f186e179a3d", "3e6273c12a959d5e"]);
}

/// Of two processes that come to an older file at once, the second finds it done, and the first at work.
#[test]
fn who_comes_second_retires_nobody_of_the_first() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    drop(opened(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let sql = "INSERT INTO session (queue, owner, node, lease_ms, deadline, since) VALUES (1, x'01', 'w', 1000, 1000, 0)";
    connection.execute(sql, ()).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    bring(&connection, &path, MIGRATIONS).unwrap();
    connection.execute_batch("COMMIT").unwrap();
    let sql = "SELECT retired FROM session";
    let retired: bool = connection.query_row(sql, (), |row| row.get(0)).unwrap();
    assert!(!retired);
    assert_eq!(version(&path), VERSION);
}
