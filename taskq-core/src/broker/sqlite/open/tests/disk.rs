//! A disk without room: nothing that was accepted is lost, and it goes on once there is room.

use std::process::Command;
use std::sync::Arc;

use super::*;
use crate::broker::{Broker, Consumer, ConsumerOptions, Order};

/// Names the disk to the process below.
const DISK: &str = "TASKQ_TEST_DISK";

/// A real one, in a mount namespace of its own, where the system allows such a thing: also of the log beside the file, and of
/// a file that can not even be made.
#[test]
fn a_small_disk_is_filled_where_one_can_be_mounted() {
    on_a_small_disk("fills_its_disk");
}

/// Where another program fills it: what makes the file no larger needs only the room that its log has.
#[test]
fn beats_go_on_where_a_small_disk_can_be_mounted_and_filled() {
    on_a_small_disk("beats_on_its_full_disk");
}

fn on_a_small_disk(test: &str) {
    let folder = folder();
    let program = std::env::current_exe().unwrap();
    let test = format!("broker::sqlite::open::tests::disk::{test}");
    let mount =
        r#"mount -t tmpfs -o size=4m none "$1" || exit 77; exec "$2" --ignored --exact "$3""#;
    let run = |how: &[&str]| {
        Command::new("unshare")
            .args(how)
            .args(["sh", "-c", mount, "sh"])
            .arg(folder.path())
            .arg(&program)
            .arg(&test)
            .env(DISK, folder.path())
            .output()
    };
    for how in [&["--mount"][..], &["--mount", "--map-root-user"]] {
        let Ok(output) = run(how) else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        if text.contains("running 1 test") {
            let why = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{text}{why}");
            return;
        }
    }
    eprintln!("no mount namespaces here: a full disk was not tried");
}

/// Not a test by itself: the process that the test above starts on a small disk.
#[tokio::test]
#[ignore = "run by a_small_disk_is_filled_where_one_can_be_mounted"]
async fn fills_its_disk() {
    let disk = PathBuf::from(std::env::var_os(DISK).expect("the test above starts it"));
    let path = disk.join("taskq.db");
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let broker = opened(&path).unwrap();
    let consumer = consumer(&broker).await;
    let mut accepted = 0;
    let error = loop {
        match send(&broker, 50_000).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 1_000, "the disk is not small");
    };
    names(&error, &path, "is full: make room");
    assert!(error.is_transient());
    assert!(accepted > 0);
    // What is there can be read, and nothing of what was refused is there.
    assert_eq!(waiting(&broker).await.unwrap(), accepted);
    assert!(send(&broker, 500_000).await.is_err());
    // A file that can not even be made is named as well.
    fs::write(disk.join("rest"), vec![1; 4 << 20]).unwrap_err();
    let new = disk.join("new.db");
    refused(&new, "make room");
    fs::remove_file(disk.join("rest")).unwrap();
    fs::remove_file(&ballast).unwrap();
    // Whatever became of beats meanwhile, its session is not lost.
    consumer.beat().await.unwrap();
    assert_eq!(sessions(&broker).await, 1);
    send(&broker, 50_000).await.unwrap();
    assert_eq!(waiting(&broker).await.unwrap(), accepted + 1);
    let again = opened(&path).unwrap();
    assert_eq!(waiting(&again).await.unwrap(), accepted + 1);
}

/// Not a test by itself, as the one above.
#[tokio::test]
#[ignore = "run by beats_go_on_where_a_small_disk_can_be_mounted_and_filled"]
async fn beats_on_its_full_disk() {
    let disk = PathBuf::from(std::env::var_os(DISK).expect("the test above starts it"));
    let path = disk.join("taskq.db");
    let broker = opened(&path).unwrap();
    let consumer = consumer(&broker).await;
    send(&broker, 50_000).await.unwrap();
    // As SQLite does by itself after 1,000 pages: what the log holds is in the file.
    let other = Connection::open(&path).unwrap();
    let pass = "PRAGMA wal_checkpoint(PASSIVE)";
    other.query_row(pass, (), |_| Ok(())).unwrap();
    fs::write(disk.join("rest"), vec![1; 4 << 20]).unwrap_err();
    let log = fs::metadata(disk.join("taskq.db-wal")).unwrap().len();
    let (mut fell, mut before) = (0, true);
    // A beat takes a page of the log at least, so that it is used up several times.
    for beat in 0..log / 4_096 * 4 {
        let counts = consumer.beat().await;
        if let Err(error) = &counts {
            names(error, &path, "is full: make room");
            assert!(before, "beat {beat} fell as the one before it: {error}");
            fell += 1;
        }
        before = counts.is_ok();
    }
    assert!(fell > 1, "the log was not used up");
    assert_eq!(sessions(&broker).await, 1);
}

async fn consumer(broker: &SqliteBroker) -> Arc<dyn Consumer> {
    let options = ConsumerOptions {
        queues: vec![QueueName::default().into()],
        order: Order::default(),
        lease: Duration::from_secs(60),
        node: "w".into(),
    };
    broker.consume(options).await.unwrap()
}

/// Those that have their owner.
async fn sessions(broker: &SqliteBroker) -> u64 {
    let sql = "SELECT count(*) FROM session WHERE owner <> x''";
    let look = broker.link.read(|view| view.one(sql, (), |row| row.get(0)));
    look.await.map(number).unwrap()
}

/// By a file that may not grow, which SQLite tells in the same words. It gives up the transaction then: all that share it are
/// told why.
#[tokio::test]
async fn a_full_disk_is_named_and_costs_nothing() {
    let folder = folder();
    let path = folder.path().join("taskq.db");
    let broker = opened(&path).unwrap();
    let limit = async |pages: &'static str| {
        let set = broker.link.write(move |tx| tx.one(pages, (), |_| Ok(())));
        set.await.unwrap();
    };
    for _ in 0..3 {
        send(&broker, 50_000).await.unwrap();
    }
    limit("PRAGMA max_page_count = 100").await;
    let sends = (0..20).map(|_| send(&broker, 50_000));
    let answers = futures_util::future::join_all(sends).await;
    let accepted = 3 + answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        names(error, &path, "is full: make room");
        assert!(error.is_transient());
    }
    assert!(accepted < 23);
    // What is there can be read, here and by who opens it now; and nothing of what was refused is there.
    assert_eq!(waiting(&broker).await.unwrap(), accepted);
    assert_eq!(waiting(&opened(&path).unwrap()).await.unwrap(), accepted);
    // Whoever shares a transaction with what finds no room is told that it does not count: it is not there later.
    let (small, large) = tokio::join!(send(&broker, 10), send(&broker, 500_000));
    names(&large.unwrap_err(), &path, "is full: make room");
    let accepted = accepted + u64::from(small.is_ok());
    assert_eq!(waiting(&broker).await.unwrap(), accepted);
    limit("PRAGMA max_page_count = 100000").await;
    send(&broker, 50_000).await.unwrap();
    assert_eq!(waiting(&broker).await.unwrap(), accepted + 1);
    assert_eq!(
        waiting(&opened(&path).unwrap()).await.unwrap(),
        accepted + 1
    );
}
