//! A process of its own, to be killed: it sends, or it works.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use taskq_core::TaskId;
use taskq_core::broker::sqlite::SqliteBroker;
use taskq_core::broker::{Broker, Consumer};
use tokio::time::sleep;

use super::{LEASE, NEVER, card, consume, consume_for, eventually, finish, id, send};

const ROLE: &str = "TASKQ_SQLITE_ROLE";
const DATABASE: &str = "TASKQ_SQLITE_FILE";

/// A lease that is over long after each test.
pub(super) const LONG: Duration = Duration::from_secs(3_600);

/// A process that is gone with this value, as `kill -9` ends it.
pub(super) struct Process {
    child: Child,
    /// What it said: the ids it knows to be accepted, or finished.
    said: PathBuf,
}

impl Process {
    pub(super) fn start(role: &str, database: &Path, said: PathBuf) -> Self {
        let out = File::create(&said).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "sqlite::child::child",
                "--ignored",
                "--nocapture",
            ])
            .env(ROLE, role)
            .env(DATABASE, database)
            .stdin(Stdio::null())
            .stdout(out)
            .spawn()
            .unwrap();
        Self { child, said }
    }

    pub(super) fn ids(&self) -> Vec<TaskId> {
        let text = std::fs::read_to_string(&self.said).unwrap();
        // A line that it was killed over is not whole.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|l| l.parse().ok()).collect()
    }

    /// It stops where it is, as by Ctrl-Z, but not while it writes: nobody else could until it goes on.
    #[cfg(target_os = "linux")]
    pub(super) async fn stop(&self, database: &Path) {
        use rustix::process::Signal;
        eventually("it is stopped, and does not write", async || {
            self.signal(Signal::STOP);
            eventually("it is stopped", async || self.is_stopped()).await;
            let free = others_can_write(database);
            if !free {
                self.signal(Signal::CONT);
            }
            free
        })
        .await;
    }

    #[cfg(target_os = "linux")]
    fn signal(&self, signal: rustix::process::Signal) {
        use rustix::process::{Pid, kill_process};
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    #[cfg(target_os = "linux")]
    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, state) = stat.rsplit_once(") ").unwrap();
        state.starts_with('T')
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(target_os = "linux")]
fn others_can_write(database: &Path) -> bool {
    let connection = rusqlite::Connection::open(database).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection
        .execute_batch("BEGIN IMMEDIATE; ROLLBACK")
        .is_ok()
}

fn say(ids: impl IntoIterator<Item = TaskId>) {
    let lines: String = ids.into_iter().map(|id| format!("{id}\n")).collect();
    let mut out = std::io::stdout().lock();
    out.write_all(lines.as_bytes()).unwrap();
    out.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other end of tests that start processes"]
async fn child() {
    let (Ok(role), Some(database)) = (std::env::var(ROLE), std::env::var_os(DATABASE)) else {
        return;
    };
    let database = Path::new(&database);
    match role.as_str() {
        "send" => {
            let broker = SqliteBroker::open(database).unwrap();
            for n in (1..=20).cycle() {
                say(send(&broker, n).await.unwrap());
            }
        }
        "work" => {
            let (_broker, consumer) = consume(database).await;
            tokio::spawn(keep(consumer.clone()));
            loop {
                let got = consumer.claim(16, LEASE).await.unwrap();
                if finish(&*consumer, &got).await.unwrap() == got.len() {
                    say(got.iter().map(id));
                }
            }
        }
        "hold" | "hold-and-start" => {
            let (_broker, consumer) = consume_for(database, LONG).await;
            if role != "hold" {
                let mut start = Command::new("sleep");
                // It outlives whoever waits for what its parent held.
                start.arg((2 * NEVER).as_secs().to_string());
                let quiet = start.stdout(Stdio::null()).stderr(Stdio::null());
                drop(quiet.spawn().unwrap());
            }
            loop {
                let got = consumer.claim(16, LEASE).await.unwrap();
                say(got.iter().map(id));
            }
        }
        "register" => {
            let (broker, consumer) = consume_for(database, LONG).await;
            broker.register(&card("killed"), &[], LONG).await.unwrap();
            loop {
                consumer.claim(16, LEASE).await.unwrap();
            }
        }
        other => panic!("{other} is no role"),
    }
}

async fn keep(consumer: Arc<dyn Consumer>) {
    for round in 0.. {
        consumer.beat().await.unwrap();
        if round % 3 == 0 {
            consumer.sweep().await.unwrap();
        }
        sleep(Duration::from_millis(150)).await;
    }
}
