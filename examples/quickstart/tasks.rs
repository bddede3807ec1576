//! The tasks: one for each queue.

use std::time::Duration;

use taskq_core::retry::{Exponential, Jitter};
use taskq_core::{Context, TaskError, task};
use tokio::time::sleep;

use crate::data::{self, Delivery, number_of};

/// The queues, in the order of the tasks.
pub(crate) const QUEUES: [&str; 3] = [
    "quickstart.deliveries",
    "quickstart.notices",
    "quickstart.reports",
];

/// 100 ms, 200 ms, 400 ms …, and at most half of that less, so that what failed together does not return together.
const SOON: Exponential = Exponential {
    base: Duration::from_millis(100),
    jitter: Jitter::Equal,
    ..Exponential::DEFAULT
};

/// Delivers a parcel; the long ways are slow.
#[task(name = "quickstart.deliver", queue = "quickstart.deliveries")]
pub(crate) async fn deliver(delivery: Delivery) -> Result<u64, TaskError> {
    if delivery.units == 0 {
        let id = &delivery.id;
        return Err(TaskError::permanent(format!("{id} has nothing to deliver")));
    }
    let kilometres = delivery.kilometres() as u64;
    // A millisecond for 50 km, and an aeroplane that is waited for.
    let wait = if kilometres > 700 { 100 } else { 0 };
    sleep(Duration::from_millis(1 + kilometres / 50 + wait)).await;
    Ok(kilometres)
}

/// Tells a receiver, by a mail server that is often busy.
#[task(
    name = "quickstart.notify",
    queue = "quickstart.notices",
    max_retries = 5,
    retry = SOON
)]
pub(crate) async fn notify(ctx: Context, id: String, city: String) -> Result<String, TaskError> {
    sleep(Duration::from_millis(5)).await;
    let busy = match number_of(&id) % 100 {
        0 => 3,
        5 | 10 | 15 => 1,
        _ => 0,
    };
    if ctx.attempt() <= busy {
        return Err("the mail server is busy".into());
    }
    Ok(format!("{id} arrives in {city}"))
}

/// Sums the kilometres of all deliveries, a part of them after the other.
#[task(name = "quickstart.report", queue = "quickstart.reports")]
pub(crate) async fn report(ctx: Context, parts: usize) -> Result<u64, TaskError> {
    let deliveries = data::deliveries().map_err(TaskError::permanent)?;
    let size = deliveries.len().div_ceil(parts.max(1)).max(1);
    let mut kilometres = 0.0;
    for (done, part) in (0..).zip(deliveries.chunks(size)) {
        ctx.progress(done, parts as u64, &part[0].to.city);
        sleep(Duration::from_millis(40)).await;
        kilometres += part.iter().map(Delivery::kilometres).sum::<f64>();
    }
    ctx.progress(parts as u64, parts as u64, "");
    Ok(kilometres as u64)
}
