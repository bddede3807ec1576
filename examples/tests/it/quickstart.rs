//! The quickstart: what the README shows first.

#[path = "../../quickstart/place.rs"]
#[expect(dead_code, reason = "only what can be tested by itself is called")]
mod place;

#[path = "../../quickstart/out.rs"]
#[expect(dead_code, reason = "only what can be tested by itself is called")]
mod out;

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use private_redis::RedisServer;
use taskq_client::{Client, SendOptions};

use crate::run::{Ended, end_of, folder, interrupt, kill, lines_until, program, run, unread};

/// Nothing that is waited for takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The words of the table's line of a task: done, retried, dead.
fn row<'a>(ended: &'a Ended, task: &str) -> Vec<&'a str> {
    let lines = ended.lines();
    let row = lines.iter().find(|line| line.starts_with(task));
    row.expect("a line of the table")
        .split_whitespace()
        .collect()
}

fn is_whole(ended: &Ended) {
    assert_eq!(row(ended, "quickstart.deliver")[1..4], ["2999", "0", "1"]);
    // Of 600 notices 30 are refused three times and 90 once.
    assert_eq!(row(ended, "quickstart.notify")[1..4], ["600", "180", "0"]);
    assert_eq!(row(ended, "quickstart.report")[1..4], ["1", "0", "0"]);
    let text = &ended.stdout;
    assert!(text.contains("\n3601 calls in "), "{text}");
    let failed = "\nquickstart.deliver FAILURE: ENT-001235 has nothing to deliver\n";
    assert!(text.contains(failed), "{text}");
    // Without a terminal: lines, and the last one says that all is done.
    let last = ended.stderr.lines().last().unwrap_or_default();
    let all = "deliveries 3000 of 3000, notices 600 of 600 (180 tried again), report 30 of 30";
    assert!(last.ends_with(all), "{}", ended.stderr);
}

#[test]
fn it_runs_by_itself_and_prints_what_the_readme_shows() {
    let data = tempfile::tempdir().expect("a folder");
    let quickstart = || {
        let mut quickstart = program("quickstart");
        quickstart.env("XDG_DATA_HOME", data.path());
        run(quickstart)
    };
    is_whole(&quickstart());
    // Again, over the file of the first run.
    let ended = quickstart();
    is_whole(&ended);

    let readme = fs::read_to_string(folder().join("../README.md")).expect("README.md");
    let command = "$ cargo run --release --example quickstart\n";
    let (_, shown) = readme.split_once(command).expect("the command");
    let (shown, _) = shown.split_once("\n```").expect("the end of its block");
    // Figures differ from run to run.
    let shape = |text: &str| {
        let words = text.split_whitespace().map(|word| {
            let figure = word.starts_with(|c: char| c.is_ascii_digit());
            // The folder is the user's.
            let place = word.starts_with("TASKQ_BROKER_URL=sqlite:///")
                && word.ends_with("/taskq/quickstart.db");
            if figure || place { "#" } else { word }.to_owned()
        });
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shape(&ended.stdout), shape(shown));
}

#[test]
fn it_runs_over_redis_and_again() {
    let redis = RedisServer::start();
    for _ in 0..2 {
        let mut quickstart = program("quickstart");
        quickstart.args(["--broker", &redis.url()]);
        let ended = run(quickstart);
        is_whole(&ended);
        let export = format!("\nexport TASKQ_BROKER_URL={}\n", redis.url());
        assert!(ended.stdout.contains(&export), "{}", ended.stdout);
    }
}

/// Ctrl-C in the middle: what runs ends, what waits is told of, and a second run is whole.
#[test]
fn ctrl_c_in_the_middle_is_clean() {
    let redis = RedisServer::start();
    let start = || {
        let mut quickstart = program("quickstart");
        quickstart.args(["--broker", &redis.url()]);
        quickstart.spawn().expect("it starts")
    };
    let mut child = start();
    let mut lines = BufReader::new(child.stderr.take().expect("its stderr")).lines();
    let progress = lines.find(|line| line.as_ref().is_ok_and(|l| l.contains(" of 3000")));
    assert!(progress.is_some(), "it tells of its progress");
    interrupt(&child);
    let ended = end_of(child);
    assert_eq!(ended.status, Some(130), "{}", ended.stdout);
    assert!(ended.stdout.contains("\nstopped: "), "{}", ended.stdout);

    is_whole(&end_of(start()));
}

/// One that stays, once all its calls have ended.
fn staying(arguments: &[&str], data: &Path) -> Child {
    let mut quickstart = program("quickstart");
    quickstart.arg("--stay").args(arguments);
    let mut child = quickstart
        .env("XDG_DATA_HOME", data)
        .spawn()
        .expect("it starts");
    lines_until(&mut child, "inspect active");
    child
}

#[test]
fn a_second_one_is_refused_and_leaves_the_first_alone() {
    let redis = RedisServer::start();
    let data = tempfile::tempdir().expect("a folder");
    let url = redis.url();
    let own = format!("sqlite://{}/taskq/quickstart.db", data.path().display());
    for (first, second, broker) in [
        (&[][..], &[][..], "taskq/quickstart.db"),
        // What an earlier run has printed names the same file.
        (&[], &["--broker", &own], "taskq/quickstart.db"),
        (&["--broker", &own], &[], "taskq/quickstart.db"),
        (&["--broker", &url], &["--broker", &url], &url),
    ] {
        let child = staying(first, data.path());
        let mut other = program("quickstart");
        other.args(second).env("XDG_DATA_HOME", data.path());
        let refused = run(other);
        assert_eq!(refused.status, Some(1), "{}", refused.stdout);
        for part in [
            "another quickstart",
            &format!("process {}", child.id()),
            broker,
            "--broker sqlite:///path/to/file",
        ] {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
        assert_eq!(refused.stdout, "");
        interrupt(&child);
        assert_eq!(end_of(child).status, Some(0));
    }
}

/// All that are started at once stay, so that one which comes late meets one that runs.
#[test]
fn of_those_that_are_started_at_once_one_goes_on() {
    let redis = RedisServer::start();
    let data = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite://{}/named.db", data.path().display());
    for broker in [Some(redis.url()), Some(file), None] {
        let start = |_| {
            let mut quickstart = program("quickstart");
            quickstart.arg("--stay").env("XDG_DATA_HOME", data.path());
            if let Some(url) = &broker {
                quickstart.args(["--broker", url]);
            }
            quickstart.spawn().expect("it starts")
        };
        let mut running: Vec<Child> = (0..4).map(start).collect();
        let since = Instant::now();
        let mut refused = Vec::new();
        while running.len() > 1 && since.elapsed() < PATIENCE {
            let over = |child: &mut Child| child.try_wait().expect("its status").is_some();
            refused.extend(running.extract_if(.., over));
            thread::sleep(Duration::from_millis(5));
        }
        for other in refused {
            let other = end_of(other);
            assert_eq!(other.status, Some(1), "{broker:?}: {other:?}");
            assert_eq!(other.stdout, "", "{broker:?}");
            for part in ["another quickstart", "--broker sqlite:///path/to/file"] {
                assert!(other.stderr.contains(part), "{broker:?}: {}", other.stderr);
            }
        }
        if running.len() > 1 {
            running.iter().for_each(kill);
        }
        assert_eq!(running.len(), 1, "{broker:?}: so many run");
        for mut one in running {
            let lines = lines_until(&mut one, "inspect active");
            assert!(
                lines.iter().any(|line| line.starts_with("3601 calls in ")),
                "{broker:?}: {lines:?}"
            );
            interrupt(&one);
            assert_eq!(end_of(one).status, Some(0), "{broker:?}");
        }
    }
}

/// Before its worker is seen.
#[tokio::test]
async fn a_broker_is_taken_once_until_something_is_sent() {
    const QUEUES: [&str; 2] = ["first", "last"];
    // No test takes as long.
    const HOUR: Duration = Duration::from_secs(3_600);
    let redis = RedisServer::start();
    let data = tempfile::tempdir().expect("a folder");
    let file = format!("sqlite://{}/named.db", data.path().display());
    for url in [redis.url(), file] {
        let one = Client::connect(&url).await.expect("a broker");
        let other = Client::connect(&url).await.expect("a broker");
        let take = |client| place::take(client, &url, &QUEUES, HOUR);
        let (a, b) = tokio::join!(take(&one), take(&other));
        let refusals: Vec<_> = [a, b].into_iter().filter_map(Result::err).collect();
        assert_eq!(refusals.len(), 1, "{url}: {refusals:?}");
        let late = take(&other).await.expect_err("it is taken");
        for refusal in [&refusals[0], &late] {
            let text = refusal.to_string();
            for part in [
                "another quickstart has just begun over",
                &url,
                "--broker",
                "If it was killed, or ended before it sent anything, it is forgotten 3600 s after its start",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        // A run has sent, and is over: no worker is there.
        let sent = SendOptions::default().queue("first");
        let sent = one.send_by_name("t", (), (), sent).await;
        sent.expect("it is sent");
        take(&other).await.expect("the next run");
        take(&one).await.expect_err("it is taken again");
    }
}

/// `| head`: what is written behind its end ends nothing badly, and says nothing.
#[test]
fn a_reader_that_goes_away_ends_it_as_ctrl_c_does_and_quietly() {
    let redis = RedisServer::start();
    let url = redis.url();
    for (line, quiet) in [(&["--stay"][..], false), (&[], false), (&[], true)] {
        let mut quickstart = program("quickstart");
        quickstart.args(["--broker", &url]).args(line);
        quickstart.stdout(unread());
        if quiet {
            quickstart.stderr(unread());
        }
        let ended = run(quickstart);
        assert_eq!(ended.status, Some(0), "{line:?}: {}", ended.stderr);
        let progress = |line: &str| line.contains(" of 3000, ") || line.contains(", 100 at once");
        let rest: Vec<_> = ended
            .stderr
            .lines()
            .filter(|line| !progress(line))
            .collect();
        assert!(rest.is_empty(), "{line:?}: {rest:?}");
        // The next one is not refused: the worker of this has said that it is gone.
    }

    // One line is read, of all that it prints at its end.
    let mut quickstart = program("quickstart");
    quickstart.args(["--broker", &url, "--stay"]);
    let mut child = quickstart.spawn().expect("it starts");
    lines_until(&mut child, "TASK");
    drop(child.stdout.take());
    let ended = end_of(child);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let panicked = ended.stderr.contains("panicked");
    assert!(!panicked, "{}", ended.stderr);

    for line in ["--help", "--version"] {
        let mut quickstart = program("quickstart");
        quickstart.arg(line).stdout(unread());
        let ended = run(quickstart);
        assert_eq!((ended.status, &*ended.stderr), (Some(0), ""), "{line}");
    }
    // A refusal that nobody reads is one all the same.
    let mut quickstart = program("quickstart");
    quickstart.args(["--broker", "redis://127.0.0.1:1/0"]);
    quickstart.stdout(Stdio::null()).stderr(unread());
    assert_eq!(run(quickstart).status, Some(1));
}

/// One that goes between the look for it and the write.
#[test]
fn what_nobody_reads_is_told_from_what_can_not_be_written() {
    struct Broken(ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }
    let gone = out::print_to(&mut Broken(ErrorKind::BrokenPipe), "x");
    assert!(matches!(gone, Ok(false)), "{gone:?}");
    let full = out::print_to(&mut Broken(ErrorKind::StorageFull), "x");
    assert!(full.is_err(), "{full:?}");
    let mut read = Vec::new();
    assert!(matches!(out::print_to(&mut read, "x"), Ok(true)));
    assert_eq!(read, b"x");
}

#[test]
fn one_that_was_killed_is_not_in_the_way() {
    let data = tempfile::tempdir().expect("a folder");
    let killed = staying(&[], data.path());
    kill(&killed);
    assert_eq!(end_of(killed).status, None);
    let mut again = program("quickstart");
    again.env("XDG_DATA_HOME", data.path());
    is_whole(&run(again));
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let mut quickstart = program("quickstart");
    quickstart.args(["--broker", "redis://ana:secret@127.0.0.1:1/0"]);
    let ended = run(quickstart);
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("127.0.0.1:1"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
}

#[test]
fn a_file_of_its_own_is_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    // Each lets the file go again.
    let made = || match place::Place::made_anew(Some(folder.path())) {
        Ok(place) => Ok(place.url),
        Err(refusal) => Err(refusal.to_string()),
    };
    let file = folder.path().join("taskq/quickstart.db");
    fs::create_dir(folder.path().join("taskq")).expect("a folder");

    let expected = format!("sqlite://{}", file.display());
    assert_eq!(made().as_deref(), Ok(&*expected));
    for ending in ["", "-wal", "-shm"] {
        fs::write(format!("{}{ending}", file.display()), "old").expect("a file");
    }
    assert!(made().is_ok());
    let left = fs::read_dir(folder.path().join("taskq")).expect("a folder");
    let left = left.map(|entry| entry.expect("an entry").file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["quickstart.lock"]);

    // What is in the way and is no file of ours is not taken away.
    fs::create_dir(&file).expect("a folder");
    let in_the_way = made().expect_err("a folder is in the way");
    assert!(in_the_way.contains("can not be taken away"), "{in_the_way}");
    let nowhere = place::Place::made_anew(None).expect_err("no place");
    assert!(nowhere.to_string().contains("HOME"));
}

/// The broker's and the services' files lie in the same folder, whoever comes first.
#[cfg(unix)]
#[test]
fn the_folder_it_makes_is_this_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let made = place::Place::made_anew(Some(&data)).map(|_| ());
    assert!(made.is_ok());
    for folder in [data.join("taskq"), data] {
        let rights = fs::metadata(folder).expect("it is there").permissions();
        assert_eq!(rights.mode() & 0o777, 0o700);
    }
}
