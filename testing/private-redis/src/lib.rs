//! A redis-server of a test's own: a free port, a folder of its own, gone with the value.
//!
//! ```no_run
//! let mut server = private_redis::RedisServer::start();
//! println!("{}", server.url());
//! server.kill();
//! server.restart();
//! ```

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running redis-server that nobody else uses.
#[derive(Debug)]
pub struct RedisServer {
    child: Option<Child>,
    port: u16,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When there is no redis-server in PATH, or it does not start: a test can not go on without.
    #[must_use]
    pub fn start() -> Self {
        match Self::try_start() {
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
        let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
        let mut last = String::new();
        // Between the choice of a port and its use another process may take it.
        for _ in 0..5 {
            let port = free_port();
            match launch(port, folder.path()) {
                Ok(child) => {
                    return Ok(Self {
                        child: Some(child),
                        port,
                        folder,
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
        self.port
    }

    /// Its URL, database 0.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it as a power cut does: nothing is saved.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way it is gone.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Starts it again on its port, from its dump file if there is one.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill();
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            match launch(self.port, self.folder.path()) {
                Ok(child) => {
                    self.child = Some(child);
                    return;
                }
                Err(why) => assert!(
                    Instant::now() < until,
                    "redis-server does not come back: {why}"
                ),
            }
        }
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
    /// When it does not start.
    pub fn restart_from(&mut self, dump: &Path) {
        self.kill();
        fs::copy(dump, self.folder.path().join("dump.rdb")).expect("the dump put back");
        self.restart();
    }

    /// Sends one inline command and answers the first line of the reply.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn command(&self, words: &str) -> String {
        ask(self.port, words).expect("an answer of redis-server")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn launch(port: u16, folder: &Path) -> Result<Child, String> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("it ended at once with {status}"));
        }
        if ask(port, "PING").is_ok_and(|answer| answer == "+PONG") {
            return Ok(child);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(child.kill());
    drop(child.wait());
    Err("it does not answer".into())
}

fn ask(port: u16, words: &str) -> std::io::Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("{words}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        answer.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}
