//! The real `taskq events` before a real Redis: an outage, Ctrl-C, a reader that leaves.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use private_redis::RedisServer;
use serde_json::Value;

struct Watch {
    program: Child,
    out: Option<Lines<BufReader<ChildStdout>>>,
    err: Lines<BufReader<ChildStderr>>,
}

fn taskq(server: &RedisServer, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskq"));
    command.args(["--broker", &server.url()]).args(line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn call(server: &RedisServer, task: &str) {
    let said = taskq(server, &["call", task]).output().unwrap();
    assert!(said.status.success(), "{said:?}");
}

impl Watch {
    /// One that has shown the first call.
    fn start(server: &RedisServer) -> Self {
        call(server, "first");
        let mut program = taskq(server, &["events", "--json", "--oldest", "--follow"])
            .spawn()
            .unwrap();
        let out = BufReader::new(program.stdout.take().unwrap()).lines();
        let err = BufReader::new(program.stderr.take().unwrap()).lines();
        let mut watch = Self {
            program,
            out: Some(out),
            err,
        };
        assert_eq!(watch.next(), "first");
        watch
    }

    /// The task of the next event.
    fn next(&mut self) -> String {
        let line = self.out.as_mut().unwrap().next().unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["type"], "task-sent", "{event}");
        event["name"].as_str().unwrap().to_owned()
    }

    fn notice(&mut self) -> String {
        self.err.next().unwrap().unwrap()
    }

    fn interrupt(&self) {
        self.signal("INT");
    }

    fn signal(&self, name: &str) {
        let pid = self.program.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Its exit code, and the notices that nobody has read yet.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let status = self.program.wait().unwrap();
        (status.code(), self.err.map(Result::unwrap).collect())
    }
}

#[test]
fn an_outage_is_told_once_and_lived_through() {
    let mut server = RedisServer::start();
    let mut watch = Watch::start(&server);
    call(&server, "second");
    assert_eq!(watch.next(), "second");
    server.shut_down();
    let notice = watch.notice();
    assert!(
        notice.ends_with("going on from here once it answers"),
        "{notice}"
    );
    server.restart();
    assert_eq!(watch.notice(), "taskq: the broker answers again");
    call(&server, "third");
    // Neither of the two before is told again.
    assert_eq!(watch.next(), "third");
    watch.interrupt();
    assert_eq!(watch.end(), (Some(0), Vec::new()));
}

#[test]
fn what_was_missed_is_told() {
    const BLOCKED: &str =
        r#"EVAL "return tonumber(redis.call('INFO','clients'):match('blocked_clients:(%d+)'))" 0"#;
    let server = RedisServer::start();
    let mut watch = Watch::start(&server);
    // Its next question is under way: it may get the second yet, and only that one.
    while server.command(BLOCKED) != ":1" {
        std::thread::sleep(Duration::from_millis(5));
    }
    watch.signal("STOP");
    call(&server, "second");
    call(&server, "third");
    assert_eq!(server.command("FLUSHALL"), "+OK");
    call(&server, "fourth");
    watch.signal("CONT");
    let notice = watch.notice();
    assert!(
        notice.starts_with("taskq: events were missed here"),
        "{notice}"
    );
    assert_eq!(watch.next(), "second");
    assert_eq!(watch.next(), "fourth");
    watch.interrupt();
    let (code, _) = watch.end();
    assert_eq!(code, Some(0));
}

#[test]
fn a_reader_that_leaves_ends_it_though_nothing_happens() {
    let server = RedisServer::start();
    let mut watch = Watch::start(&server);
    watch.out = None;
    assert_eq!(watch.end(), (Some(0), Vec::new()));
}

#[test]
fn without_a_broker_at_its_start_it_does_not_wait() {
    let mut server = RedisServer::start();
    let address = server.url();
    server.kill();
    let said = Command::new(env!("CARGO_BIN_EXE_taskq"))
        .args(["--broker", &address, "events"])
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(69), "{said:?}");
}
