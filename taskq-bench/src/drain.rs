//! The drain: a worker is started on a queue full of no-op tasks; every one must run exactly once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use taskq_client::Signature;
use taskq_core::broker::Depth;
use taskq_core::{State, TaskId};

use crate::check::Evidence;
use crate::error::Error;
use crate::row::Run;
use crate::say::say;
use crate::server::Server;
use crate::tally::now_ns;
use crate::tasks::noop;
use crate::worker::Worker;

/// Calls of one `send_many`.
const CHUNK: u32 = 10_000;
/// The queue is looked at so often at most, and at least.
const LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// One way to drain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    /// `-c`; `None` leaves it out.
    pub(crate) slots: Option<u32>,
    /// Whether records are kept.
    pub(crate) tracked: bool,
    pub(crate) tasks: u32,
    /// A worker that moves nothing for so long is stuck.
    pub(crate) patience: Duration,
}

impl Drain {
    /// Tasks per second, from the start of the first until the broker holds nothing more.
    pub(crate) async fn run(self, server: &mut Server) -> Result<Run, Error> {
        server.clear().await?;
        let ids = self.fill(server).await?;
        let redis_before = server.cpu().await?;
        let mut worker = Worker::start(&server.url(), self.slots)?;
        let emptied = match emptied(server, &mut worker, self.patience).await {
            Ok(at) => at,
            Err(error) => return Err(worker.give_up(&error.to_string())),
        };
        let worker_cpu = worker.cpu();
        let redis_cpu = server.cpu().await? - redis_before;
        let (report, log) = worker.stop().await?;
        if !log.is_empty() {
            say(&format_args!("the worker logged:\n{log}"));
        }
        let records = match self.tracked {
            true => Some(server.records(ids, State::Success).await?),
            false => None,
        };
        let evidence = Evidence {
            sent: self.tasks,
            report: &report,
            depth: server.depth().await?,
            records,
        };
        let faults = evidence.faults();
        if !faults.is_empty() {
            return Err(Error::failed(format!(
                "not every task ran exactly once: {}",
                faults.join(", ")
            )));
        }
        let tasks = f64::from(self.tasks);
        let seconds = emptied.saturating_sub(report.first_ns) as f64 / 1e9;
        Ok(Run {
            figure: tasks / seconds,
            ratio: None,
            cpu: worker_cpu.map(|own| (redis_cpu * 1e6 / tasks, own * 1e6 / tasks)),
        })
    }

    /// Sends the tasks as a user would, and answers their ids.
    async fn fill(self, server: &Server) -> Result<HashSet<TaskId>, Error> {
        let client = server.client();
        let mut ids = HashSet::with_capacity(self.tasks as usize);
        for from in (0..self.tasks).step_by(CHUNK as usize) {
            let calls: Vec<Signature<()>> = (from..self.tasks.min(from + CHUNK))
                .map(|index| noop::call(index).ignore_result(!self.tracked))
                .collect();
            for sent in client.send_many(calls).await {
                ids.insert(sent?.id());
            }
        }
        let waiting = server.depth().await?.waiting;
        let tasks = u64::from(self.tasks);
        if ids.len() as u64 != tasks || waiting != tasks {
            return Err(Error::failed(format!(
                "{tasks} tasks were sent under {} ids, {waiting} of them wait",
                ids.len()
            )));
        }
        Ok(ids)
    }
}

/// Waits until nothing is left in the queue; answers when that was.
///
/// It looks seldom while there is much, so that the looking costs nothing, and each millisecond at the end.
pub(crate) async fn emptied(
    server: &Server,
    worker: &mut Worker,
    patience: Duration,
) -> Result<u64, Error> {
    let (mut before, mut changed) = (0, Instant::now());
    let mut pause = LOOKS.0;
    loop {
        let left = held(&server.depth().await?);
        if left == 0 {
            return Ok(now_ns());
        }
        worker.must_run()?;
        let since = changed.elapsed();
        if left != before {
            let done = before.saturating_sub(left).max(1) as f64;
            let rest = since.mul_f64(left as f64 / done / 2.0);
            pause = rest.clamp(LOOKS.0, LOOKS.1);
            (before, changed) = (left, Instant::now());
        } else if since > patience {
            return Err(Error::failed(format!(
                "{left} messages are left and nothing has moved for {} s",
                patience.as_secs()
            )));
        }
        tokio::time::sleep(pause).await;
    }
}

/// Messages that are still owed.
fn held(depth: &Depth) -> u64 {
    depth.waiting + depth.suspects + depth.delayed + depth.in_flight
}
