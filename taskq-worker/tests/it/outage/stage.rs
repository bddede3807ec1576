//! A server, worker processes whose runs leave a trace, and a client that sends to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use private_redis::RedisServer;
use serde_json::json;
use taskq_client::{Client, Error, Record, State};
use taskq_worker::{Signature, TaskId, task};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::process;

/// No wait of these tests is longer; what takes longer has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// What comes back within this time has come back by itself; what is seen is printed.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// A send is given up after this long.
const SEND: Duration = Duration::from_secs(2);

/// Writes down that it began, and after `ms` that it ended.
#[task(name = "trace", crate = taskq_worker)]
async fn trace(file: String, n: u64, ms: u64, ballast: Option<String>) -> u64 {
    drop(ballast);
    note(&file, "begin", n);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    note(&file, "end", n);
    n
}

fn note(file: &str, what: &str, n: u64) {
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    // One write: lines of several processes do not mix.
    let line = format!("{what} {n} {}\n", now_ms());
    file.write_all(line.as_bytes()).unwrap();
}

/// This machine's time, in ms.
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// When each task began and ended, by its number, ms since the epoch.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub(super) begun: BTreeMap<u64, Vec<u64>>,
    pub(super) ended: BTreeMap<u64, Vec<u64>>,
}

impl Runs {
    /// How often `n` ended.
    pub(super) fn ends(&self, n: u64) -> usize {
        self.ended.get(&n).map_or(0, Vec::len)
    }

    /// Those that ended more than once.
    pub(super) fn doubled(&self) -> BTreeSet<u64> {
        let doubled = self.ended.iter().filter(|(_, at)| at.len() > 1);
        doubled.map(|(n, _)| *n).collect()
    }

    /// When the first run began at or after `at`.
    pub(super) fn begun_since(&self, at: u64) -> Option<u64> {
        let since = self.begun.values().flatten().filter(|t| **t >= at);
        since.min().copied()
    }

    /// Those that ended at or after `at`.
    pub(super) fn ended_since(&self, at: u64) -> BTreeSet<u64> {
        let since = self
            .ended
            .iter()
            .filter(|(_, t)| t.iter().any(|t| *t >= at));
        since.map(|(n, _)| *n).collect()
    }

    /// Runs that have begun and not ended.
    pub(super) fn open(&self) -> usize {
        let count = |all: &BTreeMap<u64, Vec<u64>>| all.values().map(Vec::len).sum::<usize>();
        count(&self.begun) - count(&self.ended)
    }
}

/// What was sent: the ids of the accepted calls by number, and the numbers of which the sender does not know.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) accepted: BTreeMap<u64, TaskId>,
    pub(super) unknown: BTreeSet<u64>,
    pub(super) errors: Vec<Error>,
}

/// A server, a client, and a folder for traces and logs.
pub(super) struct Stage {
    pub(super) server: RedisServer,
    pub(super) client: Client,
    folder: TempDir,
    next: Arc<AtomicU64>,
    sent: Arc<Mutex<Sent>>,
}

impl Stage {
    pub(super) async fn new(options: &[&str]) -> Self {
        let server = RedisServer::start_with(options);
        let client = Client::builder()
            .send_deadline(SEND)
            .connect(&server.url())
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("trace")).unwrap();
        Self {
            server,
            client,
            folder,
            next: Arc::default(),
            sent: Arc::default(),
        }
    }

    /// Starts a worker called `name`.
    pub(super) fn worker(&self, name: &str, more: &[&str]) -> Worker {
        let log = self.folder.path().join(format!("{name}.log"));
        let (url, node) = (self.server.url(), format!("{name}@test"));
        let args = ["--broker", &url, "-n", &node, "--lease", "2"];
        let child = process::command(&[&args, more].concat())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Worker { child, log }
    }

    /// What the tasks wrote down.
    pub(super) fn runs(&self) -> Runs {
        let text = fs::read_to_string(self.folder.path().join("trace")).unwrap();
        let mut runs = Runs::default();
        for line in text.split_inclusive('\n').filter(|l| l.ends_with('\n')) {
            let words: Vec<_> = line.split_whitespace().collect();
            let (n, at) = (words[1].parse().unwrap(), words[2].parse().unwrap());
            let side = match words[0] {
                "begin" => &mut runs.begun,
                _ => &mut runs.ended,
            };
            side.entry(n).or_default().push(at);
        }
        runs
    }

    /// A call of the task that leaves a trace, and its number.
    fn call(&self, queue: &str, ms: u64, ballast: usize) -> (u64, Signature<u64>) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let file = self.folder.path().join("trace");
        let kwargs = json!({"file": file, "n": n, "ms": ms, "ballast": "x".repeat(ballast)});
        let call = Signature::by_name("trace").kwargs(&kwargs).queue(queue);
        (n, call)
    }

    /// Sends `count` calls, each with `ballast` bytes more, and answers how many were accepted.
    pub(super) async fn send(&self, queue: &str, count: usize, ms: u64, ballast: usize) -> usize {
        let calls = (0..count).map(|_| self.call(queue, ms, ballast));
        self.send_all(calls).await
    }

    /// Sends `count` calls of 100 to 300 ms, so that some end at any time.
    pub(super) async fn send_mixed(&self, queue: &str, count: usize) -> usize {
        let calls = (0..count as u64).map(|i| self.call(queue, 100 + i * 37 % 200, 0));
        self.send_all(calls).await
    }

    async fn send_all(&self, calls: impl Iterator<Item = (u64, Signature<u64>)>) -> usize {
        let (numbers, calls): (Vec<_>, Vec<_>) = calls.unzip();
        let answers = self.client.send_many(calls).await;
        let mut sent = self.sent.lock().unwrap();
        let before = sent.accepted.len();
        for (n, answer) in numbers.into_iter().zip(answers) {
            sent.note(n, answer.map(|handle| handle.id()));
        }
        sent.accepted.len() - before
    }

    /// Pushes a call with `priority` as a foreign producer does: no check of the queue's other keys.
    pub(super) fn push(&self, queue: &str, priority: u8) {
        let (n, id) = (self.next.fetch_add(1, Ordering::Relaxed), TaskId::random());
        let file = self.folder.path().join("trace");
        let kwargs = json!({"file": file, "n": n, "ms": 0});
        let message = json!({"id": id, "task": "trace", "kwargs": kwargs}).to_string();
        let message = message.replace('"', "\\\"");
        let push = format!("LPUSH taskq:{{{queue}}}:ready:{priority} \"{message}\"");
        let pushed = self.server.command(&push);
        assert!(pushed.starts_with(':'), "{pushed}");
        self.sent().note(n, Ok(id));
    }

    /// Sends one call after the other, `pause` apart, until told to stop.
    pub(super) fn feed(&self, queue: &'static str, pause: Duration, ms: u64) -> Feed {
        let stop = Arc::new(AtomicBool::new(false));
        let (client, sent, told) = (self.client.clone(), self.sent.clone(), stop.clone());
        let (next, file) = (self.next.clone(), self.folder.path().join("trace"));
        let sending = tokio::spawn(async move {
            while !told.load(Ordering::Relaxed) {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let kwargs = json!({"file": file, "n": n, "ms": ms});
                let call = Signature::<u64>::by_name("trace").kwargs(&kwargs);
                let answer = client.send(call.queue(queue)).await;
                let answer = answer.map(|handle| handle.id());
                sent.lock().unwrap().note(n, answer);
                tokio::time::sleep(pause).await;
            }
        });
        Feed { stop, sending }
    }

    /// What was sent so far.
    pub(super) fn sent(&self) -> std::sync::MutexGuard<'_, Sent> {
        self.sent.lock().unwrap()
    }

    /// The records of the accepted, as far as there are any.
    pub(super) async fn records(&self) -> Vec<Record> {
        let ids: Vec<TaskId> = self.sent().accepted.values().copied().collect();
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            let handle = self.client.handle::<u64>(id);
            let record = works(PATIENCE, "a record is read", || handle.record()).await;
            records.extend(record);
        }
        records
    }

    /// Waits until every accepted call has its SUCCESS on record.
    pub(super) async fn all_succeed(&self) {
        let since = Instant::now();
        loop {
            // Between two looks at the records the traces are cheap.
            let runs = self.runs();
            let ended = self.sent().accepted.keys().all(|n| runs.ends(*n) > 0);
            if ended {
                let records = self.records().await;
                let finals = records.iter().filter(|r| r.state.is_final());
                let failed = finals.clone().find(|r| r.state != State::Success);
                assert!(failed.is_none(), "{failed:?}");
                if finals.count() == self.sent().accepted.len() {
                    return;
                }
            }
            assert!(since.elapsed() < PATIENCE, "not all have ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Takes the server away while some task certainly runs: the workers are frozen meanwhile. Answers when that was.
    pub(super) async fn take_away(
        &mut self,
        workers: &[&Worker],
        away: impl FnOnce(&mut RedisServer),
    ) -> u64 {
        let all = |signal: &str| workers.iter().for_each(|w| w.signal(signal));
        let since = Instant::now();
        loop {
            all("STOP");
            if self.runs().open() > 0 {
                break;
            }
            all("CONT");
            assert!(since.elapsed() < PATIENCE, "nothing runs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        away(&mut self.server);
        let gone = now_ms();
        all("CONT");
        gone
    }

    /// Waits until `condition` has an answer.
    pub(super) async fn until<T>(&self, what: &str, condition: impl FnMut() -> Option<T>) -> T {
        within(PATIENCE, what, condition).await
    }
}

impl Sent {
    fn note(&mut self, n: u64, answer: Result<TaskId, Error>) {
        match answer {
            Ok(id) => drop(self.accepted.insert(n, id)),
            Err(error) => {
                self.unknown.insert(n);
                self.errors.push(error);
            }
        }
    }
}

/// Waits until `condition` has an answer, at most for `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(since.elapsed() < limit, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Repeats a call of the broker until it works, at most for `limit`.
pub(super) async fn works<T, F>(limit: Duration, what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, Error>>,
{
    let since = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(since.elapsed() < limit, "{what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Calls that are being sent.
pub(super) struct Feed {
    stop: Arc<AtomicBool>,
    sending: JoinHandle<()>,
}

impl Feed {
    /// Ends it after the send under way.
    pub(super) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.await.unwrap();
    }
}

/// A worker process and the file of its log.
pub(super) struct Worker {
    pub(super) child: Child,
    log: PathBuf,
}

impl Worker {
    /// Its log so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until its log holds `text`.
    pub(super) async fn logs(&self, text: &str) {
        let since = Instant::now();
        while !self.log().contains(text) {
            let log = self.log();
            assert!(since.elapsed() < PATIENCE, "{text:?} never came:\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Stops it as SIGTERM does; answers its log.
    pub(super) async fn end(mut self) -> String {
        self.signal("TERM");
        let status = within(PATIENCE, "the worker ends", || {
            self.child.try_wait().unwrap()
        })
        .await;
        let log = self.log();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Ended already, unless the test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
