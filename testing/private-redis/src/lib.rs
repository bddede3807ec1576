//! A redis-server of a test's own: a free port, a folder of its own, gone with the value.
//!
//! ```no_run
//! let mut server = private_redis::RedisServer::start();
//! println!("{}", server.url());
//! server.kill();
//! server.restart();
//! server.pause();
//! server.resume();
//!
//! let full = private_redis::RedisServer::start_with(&["--maxmemory", "16mb"]);
//! assert_eq!(full.config("maxmemory"), "16777216");
//! ```

mod monitor;
mod port;

pub use monitor::{Monitor, Request};

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use port::Port;

/// How long it may take to start, and to answer; on a machine that stands still now and then, too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running redis-server that nobody else uses.
#[derive(Debug)]
pub struct RedisServer {
    child: Option<Child>,
    port: Port,
    folder: TempDir,
    /// Its own options, given again at each start.
    options: Vec<String>,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When there is no redis-server in PATH, or it does not start: a test can not go on without.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with options of its own, as on redis-server's command line: `["--appendonly", "yes"]`.
    ///
    /// They are given again at each restart. Without any, it keeps nothing on disk.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(options: &[&str]) -> Self {
        match Self::try_start_with(options) {
            Ok(server) => server,
            Err(why) => {
                panic!(
                    "no redis-server: {why}; `scripts/test --install` installs what the tests need"
                )
            }
        }
    }

    /// The same for a program, which tells its user why there is none.
    ///
    /// # Errors
    /// There is no redis-server in PATH, or it does not start.
    pub fn try_start() -> Result<Self, String> {
        Self::try_start_with(&[])
    }

    fn try_start_with(options: &[&str]) -> Result<Self, String> {
        let options: Vec<String> = options.iter().map(|&o| o.to_owned()).collect();
        let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
        let mut last = String::new();
        // A program that is no test may take a port between its choice and its use.
        for _ in 0..5 {
            let port = Port::take();
            match launch(port.number(), folder.path(), &options) {
                Ok(child) => {
                    return Ok(Self {
                        child: Some(child),
                        port,
                        folder,
                        options,
                    });
                }
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its URL, database 0.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port())
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it as a power cut does: nothing is saved.
    pub fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            end(child);
        }
    }

    /// Ends it as an orderly stop does: its data set is in its dump file.
    ///
    /// # Panics
    /// When it does not end.
    pub fn shut_down(&mut self) {
        // The connection ends without an answer.
        drop(ask(self.port(), "SHUTDOWN SAVE"));
        if let Some(mut child) = self.child.take() {
            let status = child.wait().expect("the end of redis-server");
            assert!(status.success(), "redis-server ended with {status}");
        }
    }

    /// Starts it again on its port, from its dump file if there is one, and waits until it serves.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.relaunch("+PONG");
    }

    /// As [`restart`](Self::restart), but returns once it answers anything: while it loads its data it answers LOADING.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart_loading(&mut self) {
        self.relaunch("");
    }

    fn relaunch(&mut self, answer: &str) {
        self.kill();
        let until = Instant::now() + PATIENCE;
        loop {
            let spawned = spawn(self.port(), self.folder.path(), &self.options);
            let mut child = spawned.expect("redis-server, as at the first start");
            match answers(self.port(), &mut child, answer) {
                Ok(()) => {
                    self.child = Some(child);
                    return;
                }
                Err(why) => {
                    end(child);
                    assert!(
                        Instant::now() < until,
                        "redis-server does not come back: {why}"
                    );
                }
            }
        }
    }

    /// Stops its process (SIGSTOP): its connections stay open, and it answers nothing.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets a paused one go on (SIGCONT).
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.pid().expect("a running redis-server").to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.is_ok_and(|status| status.success()), "SIG{name}");
    }

    /// Writes the data set to a file that [`restart_from`](Self::restart_from) takes.
    ///
    /// # Panics
    /// When the server does not save.
    #[must_use]
    pub fn dump(&self) -> PathBuf {
        assert_eq!(self.command("SAVE"), "+OK", "SAVE");
        let copy = self.folder.path().join("kept.rdb");
        fs::copy(self.folder.path().join("dump.rdb"), &copy).expect("a dump");
        copy
    }

    /// Restarts it with the data set of an earlier dump: everything since is forgotten.
    ///
    /// # Panics
    /// When it does not start, or has an append-only file, from which it would start instead.
    pub fn restart_from(&mut self, dump: &Path) {
        assert!(
            !self.options.iter().any(|o| o == "--appendonly"),
            "an append-only file goes before a dump"
        );
        self.kill();
        fs::copy(dump, self.folder.path().join("dump.rdb")).expect("the dump put back");
        self.restart();
    }

    /// Listens to what it is asked from here on.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        Monitor::start(self.port()).expect("an answer of redis-server")
    }

    /// Sends one inline command and answers the first line of the reply.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        ask(self.port(), words).expect("an answer of redis-server")
    }

    /// Changes an option of the running server (`CONFIG SET`); a restart forgets it.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn set(&self, option: &str, value: &str) {
        let answer = self.command(&format!("CONFIG SET {option} {value}"));
        assert_eq!(answer, "+OK", "{option} {value}");
    }

    /// The value of an option of the running server (`CONFIG GET`).
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn config(&self, option: &str) -> String {
        let text = self.text(&format!("CONFIG GET {option}"));
        // Two bulk strings: the name, then the value, each behind its length.
        text.lines().nth(4).unwrap_or_default().to_owned()
    }

    /// What `INFO` says of `field`, such as `used_memory`; empty when it says nothing.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn info(&self, field: &str) -> String {
        let text = self.text("INFO everything");
        let value = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name == field).then(|| value.to_owned())
        });
        value.unwrap_or_default()
    }

    /// All keys (`KEYS *`), sorted; none of them may hold a line break.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let text = self.text("KEYS *");
        // Lengths stand between them; what follows is the answer to QUIT.
        let mut keys: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with(['*', '$', '+']))
            .map(str::to_owned)
            .collect();
        keys.sort();
        keys
    }

    /// The whole reply to one inline command, as it came.
    fn text(&self, words: &str) -> String {
        let mut stream = connect(self.port()).expect("a connection to redis-server");
        let mut text = Vec::new();
        let asked = stream
            .write_all(format!("{words}\r\nQUIT\r\n").as_bytes())
            .and_then(|()| stream.read_to_end(&mut text));
        asked.expect("an answer of redis-server");
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of 127.0.0.1 that nobody listens at, and that no other test is given as long as this process lives.
#[must_use]
pub fn free_port() -> u16 {
    static TAKEN: Mutex<Vec<Port>> = Mutex::new(Vec::new());
    let port = Port::take();
    let number = port.number();
    TAKEN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(port);
    number
}

/// Starts one and waits until it answers.
fn launch(port: u16, folder: &Path, options: &[String]) -> Result<Child, String> {
    let mut child = spawn(port, folder, options)?;
    match answers(port, &mut child, "+PONG") {
        Ok(()) => Ok(child),
        Err(why) => {
            end(child);
            Err(why)
        }
    }
}

fn spawn(port: u16, folder: &Path, options: &[String]) -> Result<Child, String> {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("redis-server does not start ({e}); is it in PATH?"))
}

fn end(mut child: Child) {
    // It may have ended by itself; either way it is gone.
    drop(child.kill());
    drop(child.wait());
}

/// Waits until it answers a PING with something that begins so.
fn answers(port: u16, child: &mut Child, answer: &str) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("it ended at once with {status}"));
        }
        if ask(port, "PING").is_ok_and(|said| !said.is_empty() && said.starts_with(answer)) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err("it does not answer".into())
}

fn ask(port: u16, words: &str) -> std::io::Result<String> {
    let mut stream = connect(port)?;
    stream.write_all(format!("{words}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}
