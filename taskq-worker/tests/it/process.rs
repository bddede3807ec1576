//! The command line as a process: exit statuses and signals.
//!
//! The child is this very test binary: the test `child` is the worker when the parent says so.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use private_redis::RedisServer;
use serde_json::json;
use taskq_worker::{Message, cli, task};

use crate::bench::PATIENCE;

const ARGS: &str = "TASKQ_TEST_CHILD";

/// What the child runs: it never ends by itself.
#[task(name = "forever", queue = "long", crate = taskq_worker)]
async fn forever() {
    tracing::warn!("forever runs");
    tokio::time::sleep(Duration::from_secs(3600)).await;
}

/// Gives the child a second task.
#[task(name = "ping", crate = taskq_worker)]
fn ping() -> &'static str {
    "pong"
}

/// Takes its process down.
#[task(name = "boom", crate = taskq_worker)]
fn boom() {
    std::process::abort();
}

/// Holds a slot for a while.
#[task(name = "nap", crate = taskq_worker)]
async fn nap(ms: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

/// What no task should do: it blocks a thread of the runtime.
#[task(name = "block", crate = taskq_worker)]
async fn block(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

#[test]
#[expect(clippy::exit, reason = "the child of this test is a program")]
fn child() {
    let Ok(args) = std::env::var(ARGS) else {
        return;
    };
    let args: Vec<String> = serde_json::from_str(&args).unwrap();
    if args.iter().any(|a| a == "memory://busy") {
        let broker = taskq_worker::broker::memory::MemoryBroker::named("busy");
        let queue = taskq_worker::QueueName::default();
        let body = Message::new("forever").encode().unwrap();
        broker.push_raw(&queue, 0, body).unwrap();
        // It lives as long as the process.
        Box::leak(Box::new(broker));
    }
    let complete = |worker| Ok(crate::hooks::complete(worker));
    std::process::exit(cli::run_with(args, complete).into());
}

/// The child with these arguments, not yet started; nothing of the tester's own settings reaches it.
pub(crate) fn command(args: &[&str]) -> Command {
    let args: Vec<_> = ["worker"].iter().chain(args).collect();
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TASKQ_")) {
        command.env_remove(name);
    }
    command
        .args(["--exact", "process::child", "--nocapture"])
        .env(ARGS, serde_json::to_string(&args).unwrap())
        .stdout(Stdio::null());
    command
}

pub(crate) struct Process {
    pub(crate) child: Child,
    log: BufReader<std::process::ChildStderr>,
    seen: String,
}

impl Process {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of(&mut command(args))
    }

    /// A child that is more than its arguments.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            log,
            seen: String::new(),
        }
    }

    /// Reads the log until a line holds `text`.
    pub(crate) fn logs(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).unwrap();
            assert!(read > 0, "{text:?} never came; the log:\n{}", self.seen);
            self.seen.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Exit status and the rest of the log.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        std::io::Read::read_to_string(&mut self.log, &mut self.seen).unwrap();
        (status.code(), std::mem::take(&mut self.seen))
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let pid = pid.to_string();
    let kill = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(kill.unwrap().success());
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, unless the test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What it has to say before it is refused, and the refusal, are told to nobody.
#[test]
fn without_a_reader_of_stderr_the_status_is_the_same() {
    for args in [
        &["-Q", "celery,celery"][..],
        &["-E", "-Q", "celery,celery"],
        &["--no-such-flag"],
    ] {
        let (reader, unread) = std::io::pipe().unwrap();
        drop(reader);
        let status = command(args).stderr(unread).status().unwrap();
        assert_eq!(status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn the_first_sigterm_is_a_warm_stop() {
    for signal in ["TERM", "INT"] {
        let mut worker = Process::start(&["--broker", "memory://idle", "-n", "w@%h"]);
        worker.logs("memory:// is a broker inside this process");
        worker.logs("is ready");
        worker.signal(signal);
        let (status, log) = worker.end();
        assert_eq!(status, Some(0), "{log}");
        assert!(log.contains("stopping: 0 tasks run"), "{log}");
    }
}

#[test]
fn the_second_signal_ends_it_at_once() {
    for (signal, expected) in [("TERM", 143), ("INT", 130)] {
        let mut worker = Process::start(&["--broker", "memory://busy", "--grace", "1h"]);
        worker.logs("forever runs");
        worker.signal("TERM");
        worker.logs("stopping: 1 task runs");
        worker.signal(signal);
        assert_eq!(worker.end().0, Some(expected));
    }
}

#[test]
fn the_grace_ends_what_runs() {
    let mut worker = Process::start(&["-b", "memory://busy", "--grace", "10ms"]);
    worker.logs("forever runs");
    worker.signal("TERM");
    let (status, log) = worker.end();
    assert_eq!(status, Some(0), "{log}");
}

#[test]
fn a_wrong_start_exits_with_2_and_a_sentence() {
    for (args, sentence) in [
        (&["--broker", "http://x"][..], "no known scheme"),
        (&["--broker", "nonsense"], "no scheme"),
        (&["-b", "amqp://x"], "not built yet"),
        (&["-c", "0", "-b", "memory://"], "the concurrency is 0"),
        (
            &["--lease", "1ms", "-b", "memory://"],
            "the lease in ms is 1",
        ),
        (
            &["--time-limit", "0", "-b", "memory://"],
            "the time limit is 0ns: give at least 1 ms",
        ),
        (
            &[
                "--time-limit",
                "2",
                "--soft-time-limit",
                "2s",
                "-b",
                "memory://",
            ],
            "the soft time limit, 2s, must be under the time limit, 2s",
        ),
        (&["-n", "a b", "-b", "memory://"], "no node name"),
        (&["-Q", "a b"], "no queue name"),
        (&["-Q", "a=0"], "\"0\" is no weight of the queue a"),
        (&["-Q", "a=many"], "\"many\" is no weight of the queue a"),
        (&["-Q", "a=3,b,a"], "names the queue a twice"),
        (
            &["-Q", "a=3,b", "--strict", "-b", "memory://"],
            "the weight of the queue a says nothing in strict order",
        ),
        (&["-l", "loud"], "no log level"),
        (&["-Q", "a", "-X", "a"], "no queue is left"),
        (
            &["-b", "memory://", "-l", "info", "-l", "loud"],
            "no log level",
        ),
        (&["--frobnicate"], "unexpected argument"),
        (&["-A", "proj", "worker"], "leave"),
    ] {
        let (status, log) = Process::start(args).end();
        assert_eq!(status, Some(2), "{args:?}: {log}");
        assert!(log.contains(sentence), "{args:?}: {log}");
    }
}

#[test]
fn the_banner_tells_what_was_chosen_and_hides_the_password() {
    let server = RedisServer::start();
    assert_eq!(server.command("CONFIG SET requirepass s3cret"), "+OK");
    let url = format!("redis://:s3cret@127.0.0.1:{}/0", server.port());
    let all_but_long = "celery,mail,money,notes";
    let args = [
        "-b",
        &url,
        "-l",
        "debug",
        "-X",
        all_but_long,
        "-c",
        "3",
        "-n",
        "w9@here",
    ];
    let mut worker = Process::start(&args);
    let banner = worker.logs("is ready");
    for part in [
        "w9@here",
        "concurrency=3",
        "queues=\"long\"",
        "nap, ping",
        &url.replace("s3cret", "***"),
    ] {
        assert!(banner.contains(part), "{part}: {banner}");
    }
    worker.signal("TERM");
    let (status, log) = worker.end();
    assert_eq!(status, Some(0));
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn the_banner_tells_weights_and_the_order() {
    for (args, said) in [
        (&["-Q", "a=3,b"][..], "up to 2 tasks at once from a=3, b=1"),
        (
            &["-Q", "b,a", "--strict"],
            "up to 2 tasks at once from b, a, in this order",
        ),
    ] {
        let line = [&["-b", "memory://banner", "-c", "2"], args].concat();
        let mut worker = Process::start(&line);
        let banner = worker.logs("is ready");
        assert!(banner.contains(said), "{banner}");
    }
}

#[test]
fn queues_that_are_left_out_are_a_warning_unless_it_was_said_which_ones() {
    for (args, level) in [
        (&[][..], "WARN"),
        (&["-Q", "celery"], "INFO"),
        (&["-X", "long"], "INFO"),
    ] {
        let line = [&["-b", "memory://elsewhere"], args].concat();
        let mut worker = Process::start(&line);
        let said = worker.logs("that this worker does not take from");
        assert!(said.contains(level), "{args:?}: {said}");
        assert!(said.contains("long (1 task)"), "{args:?}: {said}");
        let flag = said.split_once("; -Q celery,").expect("the flag").1;
        assert!(flag.contains("long"), "{args:?}: {said}");
    }
}

#[test]
fn a_broker_that_is_away_is_waited_for_and_named_without_its_password() {
    let address = format!("127.0.0.1:{}", private_redis::free_port());
    let url = format!("redis://u:s3cret@{address}/0");
    let mut worker = Process::start(&["-b", &url, "-l", "debug"]);
    worker.logs(&address);
    worker.signal("TERM");
    let (status, log) = worker.end();
    assert_eq!(status, Some(0));
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn json_logs_are_one_object_a_line() {
    let args = [
        "-b",
        "memory://busy",
        "--log-format",
        "json",
        "--grace",
        "0",
    ];
    let mut worker = Process::start(&args);
    let line = worker.logs("forever runs");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["message"], json!("forever runs"));
    assert_eq!(line["span"]["task"], json!("forever"));
    assert_eq!(line["span"]["queue"], json!("celery"));
    worker.signal("TERM");
    assert_eq!(worker.end().0, Some(0));
}
