//! One thing each 5 ms on an idle machine: the pace of the latency measurement, and a bare LPUSH or insert at it.

use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::error::Error;
use crate::limit;
use crate::server::{Server, Store};
use crate::sqlite::Bare;

/// So often.
const EACH: Duration = Duration::from_millis(5);
/// So many come before those that count.
pub(crate) const WARM_UP: u32 = 50;

pub(crate) fn pace() -> Interval {
    let mut pace = interval(EACH);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// How long each push took, in µs.
pub(crate) async fn pushes(server: &mut Server, count: u32) -> Result<Vec<f64>, Error> {
    server.clear().await?;
    let mut pace = pace();
    let mut took = Vec::new();
    let mut bare = match &server.store {
        Store::Sqlite(file) => Some(Bare::open(file)?),
        Store::Redis { .. } => None,
    };
    for body in limit::bodies(WARM_UP + count)? {
        pace.tick().await;
        let began = Instant::now();
        match (&mut server.store, &mut bare) {
            (Store::Redis { connection, .. }, _) => {
                let _length: u64 = redis::cmd("LPUSH")
                    .arg("paced")
                    .arg(body)
                    .query_async(connection)
                    .await?;
            }
            (Store::Sqlite(_), Some(bare)) => bare.put(&[body])?,
            (Store::Sqlite(_), None) => {}
        }
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(took.split_off(WARM_UP as usize))
}
