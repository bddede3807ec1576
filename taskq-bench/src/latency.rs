//! Pickup: how long after a send an idle worker begins the task.

use std::time::{Duration, Instant};

use crate::check::Evidence;
use crate::drain::emptied;
use crate::error::Error;
use crate::paced::{WARM_UP, pace};
use crate::say::say;
use crate::server::Server;
use crate::tally::now_ns;
use crate::tasks::probe;
use crate::worker::Worker;

/// The pickup time of each of `count` probes, in µs: from before `send` to the first line of the task.
pub(crate) async fn pickups(
    server: &mut Server,
    count: u32,
    patience: Duration,
) -> Result<Vec<f64>, Error> {
    server.clear().await?;
    let mut worker = Worker::start(&server.url(), None)?;
    if let Err(error) = send(server, &mut worker, WARM_UP + count, patience).await {
        return Err(worker.give_up(&error.to_string()));
    }
    let (report, log) = worker.stop().await?;
    if !log.is_empty() {
        say(&format_args!("the worker logged:\n{log}"));
    }
    let evidence = Evidence {
        sent: WARM_UP + count,
        report: &report,
        depth: server.depth().await?,
        records: None,
    };
    let faults = evidence.faults();
    if !faults.is_empty() {
        return Err(Error::failed(format!(
            "not every probe ran exactly once: {}",
            faults.join(", ")
        )));
    }
    let counted = report.pickups.iter().filter(|(i, _)| *i >= WARM_UP);
    Ok(counted.map(|&(_, ns)| ns as f64 / 1e3).collect())
}

async fn send(
    server: &Server,
    worker: &mut Worker,
    count: u32,
    patience: Duration,
) -> Result<(), Error> {
    let until = Instant::now() + patience;
    while !server.has_worker().await? {
        worker.must_run()?;
        if Instant::now() > until {
            return Err(Error::failed(format!(
                "no worker has registered within {} s",
                patience.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let client = server.client();
    let mut pace = pace();
    for index in 0..count {
        pace.tick().await;
        client.send(probe::call(index, now_ns())).await?;
    }
    emptied(server, worker, patience).await?;
    Ok(())
}
