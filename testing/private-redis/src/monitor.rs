//! What a server is asked, as its `MONITOR` tells it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One command that the server carried out; those that scripts carry out are not told.
#[derive(Debug, Clone)]
pub struct Request {
    /// When, by the server's clock: µs since the epoch.
    pub at_us: u64,
    /// The address of the connection it came through.
    pub client: String,
    /// The command and its arguments as `MONITOR` writes them, each in quotes.
    pub words: Vec<String>,
}

impl Request {
    /// Whether it is this command.
    #[must_use]
    pub fn is(&self, command: &str) -> bool {
        self.words
            .first()
            .is_some_and(|word| word.eq_ignore_ascii_case(command))
    }

    /// Whether any of its words ends with `end`.
    #[must_use]
    pub fn names(&self, end: &str) -> bool {
        self.words.iter().any(|word| word.ends_with(end))
    }

    fn read(line: &str) -> Option<Self> {
        let (time, rest) = line.strip_prefix('+')?.split_once(' ')?;
        let (seconds, micros) = time.split_once('.')?;
        let (origin, words) = rest.strip_prefix('[')?.split_once("] ")?;
        let (_database, client) = origin.split_once(' ')?;
        if client == "lua" {
            return None;
        }
        Some(Self {
            at_us: seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?,
            client: client.to_owned(),
            words: words
                .trim_end()
                .trim_matches('"')
                .split("\" \"")
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// Listens to what a server is asked, from its start on.
#[derive(Debug)]
pub struct Monitor {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Monitor {
    pub(crate) fn start(port: u16) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut lines = BufReader::new(stream).lines();
        // "+OK": from here on all is told.
        lines.next().transpose()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::downgrade(&seen);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Some(into) = into.upgrade() else { return };
                if let Some(request) = Request::read(&line) {
                    into.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(request);
                }
            }
        });
        Ok(Self { port, seen })
    }

    /// All requests so far, in their order, ours left out.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        // What comes back through the monitor has been told after all that came before it.
        let fence = format!("fence-{:?}", Instant::now());
        let fence: String = fence.chars().filter(char::is_ascii_alphanumeric).collect();
        super::ask(self.port, &format!("ECHO {fence}")).expect("an answer of redis-server");
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(end) = seen.iter().rposition(|r| r.is("ECHO") && r.names(&fence)) {
                let before = seen.iter().take(end).filter(|r| !r.is("ECHO"));
                return before.cloned().collect();
            }
            drop(seen);
            assert!(Instant::now() < until, "the monitor tells nothing any more");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = r#"+1766435046.123456 [0 127.0.0.1:5000] "EVALSHA" "ab" "1" "taskq:{q}:bell""#;
        let request = Request::read(line).expect("a request");
        assert_eq!(request.at_us, 1_766_435_046_123_456);
        assert_eq!(request.client, "127.0.0.1:5000");
        assert_eq!(request.words, ["EVALSHA", "ab", "1", "taskq:{q}:bell"]);
        assert!(request.is("evalsha") && request.names(":bell"));
        let inside = r#"+1766435046.123456 [0 lua] "ZADD" "taskq:{q}:bell" "0" "1""#;
        assert!(Request::read(inside).is_none());
    }
}
