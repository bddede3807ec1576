//! The same worker as a process of its own: it is killed with -9 and stopped by SIGSTOP, and tells what it does on its stdout.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::Mix;
use super::books::Books;
use super::life::{Signals, Worker, process};
use super::place::Halves;
use super::site::{Ear, Site, Told};

const ORDER: &str = "TASKQ_FAULT_PROCESS";

/// Runs of successive lives are told apart by so many numbers.
const RUNS: u64 = 1_000_000;

/// What a process is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    mix: Mix,
    url: String,
    number: usize,
    life: usize,
    seed: u64,
    quiet: bool,
}

#[derive(Debug)]
pub(crate) struct Spawned {
    books: Arc<Books>,
    now: Arc<Mutex<Now>>,
    paused_until: Mutex<Instant>,
    supervisor: Option<thread::JoinHandle<()>>,
}

/// The life it lives.
#[derive(Debug)]
struct Now {
    order: Order,
    child: Option<Child>,
    over: bool,
}

impl Spawned {
    pub(crate) fn start(site: &Site, books: Arc<Books>, number: usize, seed: u64) -> Self {
        let order = Order {
            mix: site.mix,
            url: site.url.clone(),
            number,
            life: 0,
            seed,
            quiet: false,
        };
        let now = Arc::new(Mutex::new(Now {
            order,
            child: None,
            over: false,
        }));
        let (lived, kept) = (now.clone(), books.clone());
        Self {
            books,
            now,
            paused_until: Mutex::new(Instant::now()),
            supervisor: Some(thread::spawn(move || supervise(&lived, &kept))),
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap()
    }
}

/// Starts one life after the other, and hears what they tell.
fn supervise(now: &Mutex<Now>, books: &Books) {
    loop {
        let mut told = {
            let mut now = now.lock().unwrap();
            if now.over {
                return;
            }
            let mut child = spawn(&now.order);
            now.order.life += 1;
            let told = child.stdout.take().expect("it is a pipe");
            now.child = Some(child);
            BufReader::new(told).lines()
        };
        let (mut stopped, mut sweeping) = (false, false);
        while let Some(Ok(line)) = told.next() {
            // What else stands there is of the test program, or was cut by a kill.
            let Ok(told) = serde_json::from_str::<Told>(&line) else {
                continue;
            };
            stopped |= matches!(told, Told::Stopped);
            if matches!(told, Told::DiesSweeping) {
                sweeping = true;
                continue;
            }
            books.take(told);
        }
        let mut now = now.lock().unwrap();
        let status = now.child.take().expect("it was started").wait().unwrap();
        if now.over {
            return;
        }
        // Its last step may have been carried out all the same, or another has done the rest.
        if sweeping && !Halves::of(&now.order.url).now().is_empty() {
            books.take(Told::DiesSweeping);
        }
        if let Some(wrong) = judge(status, stopped, books) {
            books.take(Told::Broken(wrong));
        }
    }
}

/// What is wrong with how a process has ended.
fn judge(status: ExitStatus, stopped: bool, books: &Books) -> Option<String> {
    if status.signal().is_some() {
        books.deaths.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    (!status.success() || !stopped).then(|| format!("a process ended by itself: {status}"))
}

fn spawn(order: &Order) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "faults::child::child",
            "--ignored",
            "--nocapture",
        ])
        .env(ORDER, serde_json::to_string(order).unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Now {
    fn say(&mut self, what: &str) {
        let to = self.child.as_mut().and_then(|child| child.stdin.as_mut());
        if let Some(to) = to {
            // It may just have died.
            drop(to.write_all(format!("{what}\n").as_bytes()));
        }
    }

    fn signal(&self, what: &str) {
        // Not waited for yet, its id is of no other process.
        if let Some(child) = &self.child {
            let kill = Command::new("kill")
                .args([what, &child.id().to_string()])
                .stderr(Stdio::null())
                .status();
            drop(kill);
        }
    }
}

#[async_trait]
impl Worker for Spawned {
    fn kill(&self) {
        if let Some(child) = &mut self.now().child {
            child.kill().unwrap();
        }
    }

    fn stop_warm(&self) {
        let at_once = self.is_paused();
        self.now()
            .say(if at_once { "stop at once" } else { "stop" });
    }

    fn pause(&self, span: Duration) {
        if self.is_paused() {
            return;
        }
        *self.paused_until.lock().unwrap() = Instant::now() + span;
        self.now().signal("-STOP");
        self.books.pauses.fetch_add(1, Ordering::Relaxed);
        let (now, life) = (self.now.clone(), self.now().order.life);
        tokio::spawn(async move {
            sleep(span).await;
            let now = now.lock().unwrap();
            if now.order.life == life {
                now.signal("-CONT");
            }
        });
    }

    fn is_paused(&self) -> bool {
        Instant::now() < *self.paused_until.lock().unwrap()
    }

    fn be_quiet(&self) {
        let mut now = self.now();
        now.order.quiet = true;
        now.say("quiet");
        now.signal("-CONT");
    }

    async fn end(&mut self) {
        self.now().over = true;
        self.kill();
        let supervisor = self.supervisor.take();
        let over = tokio::task::spawn_blocking(move || supervisor.map(thread::JoinHandle::join));
        over.await.unwrap();
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // A test that fails leaves none behind.
        if let Ok(mut now) = self.now.lock() {
            now.over = true;
            if let Some(child) = &mut now.child {
                drop(child.kill());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other end of the fault test over a file"]
async fn child() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let order: Order = serde_json::from_str(&order).unwrap();
    let first_run = (order.number as u64 * 1_000 + order.life as u64) * RUNS;
    let site = Arc::new(Site::new(
        order.mix,
        order.url,
        first_run,
        Ear::Lines(Mutex::default()),
    ));
    if order.quiet {
        site.be_quiet();
    }
    let signals = Signals::new();
    let (listening, heard) = (site.clone(), signals.clone());
    thread::spawn(move || listen(&listening, &heard));
    // The test program may have begun a line.
    site.tell(Told::Begun);
    let process = process(
        site.clone(),
        signals.clone(),
        order.number,
        order.life,
        order.seed,
    );
    tokio::select! {
        () = process.live() => site.tell(Told::Stopped),
        () = signals.die.notified() => std::process::abort(),
    }
}

fn listen(site: &Site, signals: &Signals) {
    for line in std::io::stdin().lines() {
        match line.as_deref() {
            Ok("quiet") => site.be_quiet(),
            Ok("stop") => signals.stop.notify_one(),
            Ok("stop at once") => {
                signals.at_once.store(true, Ordering::Relaxed);
                signals.stop.notify_one();
            }
            _ => break,
        }
    }
    // Who started it is gone, and must not leave it behind.
    std::process::abort();
}
