//! The worker that is measured: a process of its own, started as a user would start it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use tempfile::TempDir;

use crate::error::Error;
use crate::tally::{REPORT_VARIABLE, Report};
use crate::tasks::QUEUE;

const PROGRAM: &str = "taskq-bench-worker";
/// How long a stop may take.
const STOPS: Duration = Duration::from_secs(30);
/// What is shown of a log.
const LOG_BYTES: usize = 4_000;

/// A worker process, gone with this value.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    folder: TempDir,
}

impl Worker {
    /// Starts one with `-c slots`, or with the default.
    pub(crate) fn start(url: &str, slots: Option<u32>) -> Result<Self, Error> {
        let program = program()?;
        let start = || {
            let folder = tempfile::tempdir()?;
            let log = fs::File::create(folder.path().join("log"))?;
            let mut command = Command::new(&program);
            // It shall run with what is written here, whatever this shell exports.
            for (name, _) in env::vars_os() {
                if name.to_string_lossy().starts_with("TASKQ_") {
                    command.env_remove(name);
                }
            }
            command
                .args(["--broker", url, "-Q", QUEUE, "--loglevel", "warning"])
                .env(REPORT_VARIABLE, folder.path().join("report"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
            if let Some(slots) = slots {
                command.args(["-c", &slots.to_string()]);
            }
            let child = command.spawn()?;
            Ok(Self { child, folder })
        };
        start().map_err(|e: std::io::Error| {
            Error::failed(format!("{} does not start: {e}", program.display()))
        })
    }

    /// Its CPU time so far in seconds, where the system tells it.
    pub(crate) fn cpu(&self) -> Option<f64> {
        // Clock ticks are 100 a second on every Linux that has /proc.
        const TICKS: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name before it may hold spaces, but no later bracket.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / TICKS)
    }

    /// An error if it has ended by itself.
    pub(crate) fn must_run(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.says(&format!("the worker has ended with {status}"))),
            Err(e) => Err(self.says(&format!("the worker can not be looked after: {e}"))),
        }
    }

    /// Kills it, and tells why with the end of its log.
    pub(crate) fn give_up(mut self, why: &str) -> Error {
        let process = self.child.id();
        self.kill();
        self.says(&format!("{why}; the worker, process {process}, was killed"))
    }

    /// Stops it as SIGTERM does, and answers what it saw and what it logged.
    pub(crate) async fn stop(mut self) -> Result<(Report, String), Error> {
        self.must_run()?;
        self.terminate()?;
        let until = Instant::now() + STOPS;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => break,
                Ok(Some(status)) => {
                    return Err(self.says(&format!("the worker has stopped with {status}")));
                }
                Ok(None) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(None) => {
                    let why = format!("the worker did not stop within {} s", STOPS.as_secs());
                    return Err(self.give_up(&why));
                }
                Err(e) => return Err(self.says(&format!("the worker can not be awaited: {e}"))),
            }
        }
        let report = fs::read(self.folder.path().join("report"))
            .map_err(|e| e.to_string())
            .and_then(|json| serde_json::from_slice(&json).map_err(|e| e.to_string()));
        match report {
            Ok(report) => Ok((report, self.log())),
            Err(e) => Err(self.says(&format!("the worker left no tally: {e}"))),
        }
    }

    fn terminate(&self) -> Result<(), Error> {
        let kill = format!("kill -s TERM {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        match sent {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.says(&format!("`{kill}` ended with {status}"))),
            Err(e) => Err(self.says(&format!("`{kill}` can not be run: {e}"))),
        }
    }

    fn kill(&mut self) {
        // It may have ended by itself; either way it is gone.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    fn says(&self, what: &str) -> Error {
        match self.log() {
            log if log.is_empty() => Error::failed(format!("{what}; it logged nothing")),
            log => Error::failed(format!("{what}; it logged:\n{log}")),
        }
    }

    fn log(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        let end = &log[log.len().saturating_sub(LOG_BYTES)..];
        String::from_utf8_lossy(end).trim().to_owned()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program that `cargo build -p taskq-bench` puts beside this one.
fn program() -> Result<PathBuf, Error> {
    let name = format!("{PROGRAM}{}", env::consts::EXE_SUFFIX);
    let beside = env::current_exe()
        .ok()
        .and_then(|own| own.parent().map(|folder| folder.join(&name)));
    match beside {
        Some(path) if Path::is_file(&path) => Ok(path),
        _ => Err(Error::Unavailable(format!(
            "there is no {name} beside this program; build both with `cargo build --release -p taskq-bench`"
        ))),
    }
}
