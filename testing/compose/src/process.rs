//! One container as a plain process.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::Addresses;
use crate::document::Service;

/// A running command of a service; killed when it is let go.
#[derive(Debug)]
pub struct Container {
    /// What it is called: its `HOSTNAME`, and the `%h` of its command.
    pub name: String,
    pub(crate) service: String,
    child: Child,
    log: PathBuf,
}

impl Container {
    /// Starts the command of `service`.
    pub(crate) fn start(
        called: &str,
        name: String,
        service: &Service,
        addresses: &Addresses,
        logs: &Path,
    ) -> Self {
        for (volume, _) in service.mounts() {
            fs::create_dir_all(addresses.volume(volume)).expect("a folder for the volume");
        }
        let mut words: Vec<String> = service.command.clone();
        if words
            .first()
            .is_some_and(|program| program == "redis-server")
        {
            let port = addresses.port(called, 6379).expect("a published port");
            let (volume, _) = service.mounts()[0];
            let folder = addresses.volume(volume).display().to_string();
            let port = port.to_string();
            let more = ["--port", &port, "--bind", "127.0.0.1", "--dir", &folder];
            words.extend(more.map(String::from));
        }
        let log = logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.expect("a file for the log");
        let mut command = command(called, &name, service, addresses, &words);
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the log once more"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|e| panic!("{called} does not start: {e}"));
        Self {
            name,
            service: called.to_owned(),
            child,
            log,
        }
    }

    /// What it has written so far.
    ///
    /// # Panics
    /// When its log can not be read.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("its log")
    }

    /// Sends it a signal: `TERM`, `STOP`, `CONT`.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.is_ok_and(|s| s.success()), "{} is gone", self.name);
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of this process")
    }

    /// Waits for its end, at most so long.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        ended_within(&mut self.child, patience)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone. One that is stopped is killed all the same.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs the health check of a service, as in the container called `name`: what it said, or why it is not healthy.
pub(crate) fn check(
    called: &str,
    name: &str,
    service: &Service,
    addresses: &Addresses,
) -> Result<String, String> {
    let check = service
        .healthcheck
        .as_ref()
        .ok_or("it has no healthcheck")?;
    let (form, test) = check.test.split_first().ok_or("its healthcheck is empty")?;
    let mut words: Vec<String> = match form.as_str() {
        "CMD" => test.to_vec(),
        "CMD-SHELL" => vec!["sh".into(), "-c".into(), test.join(" ")],
        other => return Err(format!("{other} is no form of a healthcheck")),
    };
    if words.first().is_some_and(|program| program == "redis-cli") {
        let port = addresses.port(called, 6379).expect("a published port");
        words.splice(1..1, ["-p".to_owned(), port.to_string()]);
    }
    let mut child = command(called, name, service, addresses, &words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", words[0]))?;
    let timely = ended_within(&mut child, check.timeout.0).is_some();
    // Nothing of one that is too late is left.
    drop(child.kill());
    let said = child.wait_with_output().map_err(|e| e.to_string())?;
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    match (timely, said.status) {
        (true, status) if status.success() => Ok(text),
        (true, status) => Err(format!("{status}: {text}")),
        (false, _) => Err(format!("no end within {:?}: {text}", check.timeout.0)),
    }
}

/// Runs a command to its end, as in a container of `service`.
pub(crate) fn exec(
    called: &str,
    service: &Service,
    addresses: &Addresses,
    words: &[&str],
) -> Output {
    let words: Vec<String> = words.iter().map(|&w| w.to_owned()).collect();
    let mut command = command(called, called, service, addresses, &words);
    command.output().expect("its output")
}

/// How a process ended that was killed, or ended by itself, told as an engine tells it.
pub(crate) fn code(status: ExitStatus) -> i32 {
    let by_signal = status.signal().map(|signal| 128 + signal);
    status.code().or(by_signal).unwrap_or(-1)
}

/// `words` with the service's environment, and nothing of the tester's own.
fn command(
    called: &str,
    name: &str,
    service: &Service,
    addresses: &Addresses,
    words: &[String],
) -> Command {
    let programs = programs();
    let own = programs.join(&words[0]);
    assert!(
        own.is_file() || !service.is_ours() || words[0] == "sh",
        "there is no {}: run `cargo build --workspace --bins` first, with the profile of this test",
        own.display()
    );
    let mut command = if own.is_file() {
        Command::new(own)
    } else {
        Command::new(&words[0])
    };
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display());
    command
        .env_clear()
        .env("PATH", path)
        .env("HOSTNAME", name)
        // A container has its network to itself; here others are on it.
        .env("HOST", "127.0.0.1");
    for word in &words[1..] {
        command.arg(addresses.here(service, &word.replace("%h", name)));
    }
    for (variable, value) in &service.environment {
        let own_port = (variable == "PORT").then(|| value.parse().ok()).flatten();
        let value = match own_port.and_then(|port| addresses.port(called, port)) {
            Some(port) => port.to_string(),
            None => addresses.here(service, value),
        };
        command.env(variable, value);
    }
    if let Some((volume, _)) = service.mounts().first() {
        command.current_dir(addresses.volume(volume));
    }
    command
}

/// Where cargo puts the programs of this workspace.
fn programs() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    // target/<profile>/deps/it-… → target/<profile>
    test.ancestors()
        .nth(2)
        .expect("the folder of the programs")
        .to_owned()
}

fn ended_within(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            return Some(status);
        }
        if Instant::now() > until {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}
