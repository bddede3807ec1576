//! Running an example.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// No example takes as long, on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How an example ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What it printed, a line each, of an example that succeeded.
    pub(crate) fn lines(&self) -> Vec<&str> {
        assert_eq!(self.status, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout.lines().collect()
    }
}

/// The program of an example, which cargo builds before it runs tests.
pub(crate) fn program(example: &str) -> Command {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/it");
    let path = profile.join("examples").join(example);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build -p taskq-examples --examples`",
        path.display()
    );
    let mut command = Command::new(path);
    command
        .env_remove("TASKQ_BROKER_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A program of the workspace, which `cargo build --workspace --bins` makes.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/it");
    let path = profile.join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --workspace --bins`",
        path.display()
    );
    path
}

/// What it prints, up to the line that holds `last`; it goes on, and is read on.
pub(crate) fn lines_until(child: &mut Child, last: &str) -> Vec<String> {
    let mut stdout = BufReader::new(child.stdout.take().expect("its stdout"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let read = stdout.read_line(&mut line).expect("text");
        assert!(read > 0, "{last:?} never came: {lines:?}");
        lines.push(line.trim_end_matches('\n').to_owned());
        if line.contains(last) {
            // One whose reader has gone would not stay.
            child.stdout = Some(stdout.into_inner());
            return lines;
        }
    }
}

/// A stream that nobody reads any more.
pub(crate) fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// Runs it to its end.
pub(crate) fn run(mut command: Command) -> Ended {
    end_of(command.spawn().expect("an example starts"))
}

/// Waits for its end.
pub(crate) fn end_of(mut child: Child) -> Ended {
    let stdout = read_all(child.stdout.take());
    let stderr = read_all(child.stderr.take());
    let until = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().expect("its status") {
            Some(status) => break status.code(),
            None if Instant::now() > until => {
                child.kill().expect("it ends");
                break None;
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    Ended {
        status,
        stdout: stdout.join().expect("its stdout"),
        stderr: stderr.join().expect("its stderr"),
    }
}

/// What a supervisor does first: SIGTERM.
pub(crate) fn ask_to_end(child: &Child) {
    signal(child, "-TERM");
}

/// What Ctrl-C does: SIGINT.
pub(crate) fn interrupt(child: &Child) {
    signal(child, "-INT");
}

/// What nobody can prepare for: SIGKILL.
pub(crate) fn kill(child: &Child) {
    signal(child, "-KILL");
}

fn signal(child: &Child, which: &str) {
    let mut kill = Command::new("kill");
    let status = kill.args([which, &child.id().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

/// Reads it to the end meanwhile, so that a full pipe holds up nobody.
fn read_all(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_string(&mut text).expect("text");
        }
        text
    })
}

/// The folder of the examples.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
