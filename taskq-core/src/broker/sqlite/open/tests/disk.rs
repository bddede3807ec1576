//! A disk without room: nothing that was accepted is lost, and it goes on once there is room.

use std::process::Command;

use super::*;

/// Names the disk to the process below.
const DISK: &str = "TASKQ_TEST_DISK";

/// A real one, in a mount namespace of its own, where the system allows such a thing: also of the log beside the file, and of
/// a file that can not even be made.
#[test]
fn a_small_disk_is_filled_where_one_can_be_mounted() {
    let folder = folder();
    let program = std::env::current_exe().unwrap();
    let test = "broker::sqlite::open::tests::disk::fills_its_disk";
    let mount =
        r#"mount -t tmpfs -o size=4m none "$1" || exit 77; exec "$2" --ignored --exact "$3""#;
    let run = |how: &[&str]| {
        Command::new("unshare")
            .args(how)
            .args(["sh", "-c", mount, "sh"])
            .arg(folder.path())
            .arg(&program)
            .arg(test)
            .env(DISK, folder.path())
            .output()
    };
    for how in [&["--mount"][..], &["--mount", "--map-root-user"]] {
        let Ok(output) = run(how) else { continue };
        let text = String::from_utf8_lossy(&output.stdout);
        if text.contains("running 1 test") {
            assert!(output.status.success(), "{text}");
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
    send(&broker, 50_000).await.unwrap();
    assert_eq!(waiting(&broker).await.unwrap(), accepted + 1);
    let again = opened(&path).unwrap();
    assert_eq!(waiting(&again).await.unwrap(), accepted + 1);
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
