//! The limit: what a reliable list queue costs Redis, one command per step, with nothing of taskq in the way.
//!
//! Per task one LPUSH, one LMOVE into a processing list, one LREM from there; pipelines of 100, 4 in flight on one
//! connection of the same redis crate that taskq uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Pipeline};
use serde_json::value::to_raw_value;
use taskq_core::{Message, clock};

use crate::error::Error;

const PIPELINE: usize = 100;
const IN_FLIGHT: usize = 4;
const READY: &str = "limit:ready";
const TAKEN: &str = "limit:taken";
/// A pipeline is answered within this time.
const ANSWERS: Duration = Duration::from_secs(60);

/// Full cycles per second.
pub(crate) async fn cycles_per_second(url: &str, tasks: u32) -> Result<f64, Error> {
    let url = url.to_owned();
    // On one thread of its own, where it is fastest: what it is compared with has to beat that.
    let measured = tokio::task::spawn_blocking(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::failed(format!("a runtime for the limit: {e}")))?
            .block_on(measure(&url, tasks))
    });
    measured
        .await
        .map_err(|e| Error::failed(format!("the limit was not measured: {e}")))?
}

async fn measure(url: &str, tasks: u32) -> Result<f64, Error> {
    let bodies = Arc::new(bodies(tasks)?);
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWERS));
    let connection = redis::Client::open(url)?
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let began = Instant::now();
    beside(&connection, &bodies, put).await?;
    let taken = beside(&connection, &bodies, take).await?;
    let took = began.elapsed();
    let mut left = connection;
    let left: usize = redis::cmd("EXISTS")
        .arg(&[READY, TAKEN])
        .query_async(&mut left)
        .await?;
    if taken != bodies.len() || left > 0 {
        return Err(Error::failed(format!(
            "the limit took {taken} of {tasks} messages and left {left} lists"
        )));
    }
    Ok(f64::from(tasks) / took.as_secs_f64())
}

/// The messages that taskq would send.
pub(crate) fn bodies(tasks: u32) -> Result<Vec<Vec<u8>>, Error> {
    let now = clock::now_ms();
    let body = |index| {
        let mut message = Message::new("bench.noop");
        message.args = to_raw_value(&[index]).ok();
        message.ignore_result = true;
        message.enqueued_at = Some(now);
        Ok(message.encode()?)
    };
    (0..tasks).map(body).collect()
}

type Bodies = Arc<Vec<Vec<u8>>>;

/// Runs `work` as often as pipelines may be in flight; each takes its places from the same counter.
async fn beside<F>(
    connection: &MultiplexedConnection,
    bodies: &Bodies,
    work: impl Fn(MultiplexedConnection, Bodies, Arc<AtomicUsize>) -> F,
) -> Result<usize, Error>
where
    F: Future<Output = Result<usize, Error>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let all: Vec<_> = (0..IN_FLIGHT)
        .map(|_| tokio::spawn(work(connection.clone(), bodies.clone(), next.clone())))
        .collect();
    let mut done = 0;
    for one in all {
        done += one
            .await
            .map_err(|e| Error::failed(format!("the limit broke off: {e}")))??;
    }
    Ok(done)
}

async fn put(
    mut connection: MultiplexedConnection,
    bodies: Bodies,
    next: Arc<AtomicUsize>,
) -> Result<usize, Error> {
    let mut done = 0;
    loop {
        let from = next.fetch_add(PIPELINE, Ordering::Relaxed);
        let Some(rest) = bodies.get(from..).filter(|rest| !rest.is_empty()) else {
            return Ok(done);
        };
        let some = &rest[..rest.len().min(PIPELINE)];
        let mut pushes = Pipeline::with_capacity(some.len());
        for body in some {
            pushes.cmd("LPUSH").arg(READY).arg(body).ignore();
        }
        let () = pushes.query_async(&mut connection).await?;
        done += some.len();
    }
}

async fn take(
    mut connection: MultiplexedConnection,
    bodies: Bodies,
    next: Arc<AtomicUsize>,
) -> Result<usize, Error> {
    let mut done = 0;
    loop {
        let from = next.fetch_add(PIPELINE, Ordering::Relaxed);
        let some = bodies.len().saturating_sub(from).min(PIPELINE);
        if some == 0 {
            return Ok(done);
        }
        let mut moves = Pipeline::with_capacity(some);
        for _ in 0..some {
            moves
                .cmd("LMOVE")
                .arg(READY)
                .arg(TAKEN)
                .arg("RIGHT")
                .arg("LEFT");
        }
        let taken: Vec<Vec<u8>> = moves.query_async(&mut connection).await?;
        let mut removals = Pipeline::with_capacity(some);
        for body in &taken {
            removals.cmd("LREM").arg(TAKEN).arg(-1).arg(body);
        }
        let removed: Vec<usize> = removals.query_async(&mut connection).await?;
        done += removed.iter().sum::<usize>();
    }
}
