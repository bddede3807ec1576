//! A retry policy of your own: a pure function from "this attempt failed so" to "wait this long" or "give up".
//!
//! `cargo run --example custom_retry_policy`

use std::time::Duration;

use taskq_core::retry::{Attempt, RetryPolicy};
use taskq_core::{Context, task};
use taskq_examples::{Fault, with_worker};
use taskq_worker::Worker;

/// What the carrier's web service answers when it does not answer well.
#[derive(Debug, thiserror::Error)]
enum CarrierError {
    #[error("429: too many requests")]
    Busy,
    #[error("503: not available")]
    Away,
    #[error("410: this parcel is gone")]
    Gone,
}

/// Which of them no repeat mends.
fn passes(error: &CarrierError) -> bool {
    !matches!(error, CarrierError::Gone)
}

/// Waits twice as long for a service that asks to slow down, and gives up early on one that is away.
struct Polite {
    base: Duration,
}

impl RetryPolicy for Polite {
    fn delay(&self, attempt: &Attempt<'_>) -> Option<Duration> {
        let busy = attempt.error.message.starts_with("429");
        match (busy, attempt.number) {
            (true, n) => Some(self.base * 2 * n),
            (false, 1) => Some(self.base),
            // `max_retries` would allow more.
            (false, _) => None,
        }
    }
}

const POLITE: Polite = Polite {
    base: Duration::from_millis(30),
};

/// Asks the carrier where a parcel is.
#[task(
    name = "lessons.track",
    queue = "lessons.policy",
    max_retries = 8,
    retry = POLITE,
    retry_if = passes
)]
async fn track(ctx: Context, parcel: String) -> Result<String, CarrierError> {
    println!("{parcel}: attempt {}", ctx.attempt());
    match (&*parcel, ctx.attempt()) {
        ("busy", 1..=2) => Err(CarrierError::Busy),
        ("away", _) => Err(CarrierError::Away),
        ("gone", _) => Err(CarrierError::Gone),
        _ => Ok("in Bogotá".to_owned()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    // It needs no worker to be tried out.
    let error = taskq_core::Failure::new("CarrierError", "429: too many requests");
    let third = Attempt {
        number: 3,
        error: &error,
    };
    let wait = POLITE.delay(&third).unwrap_or_default();
    println!("after a third 429 it waits {wait:?}");

    let worker = Worker::builder().queues(["lessons.policy"]);
    with_worker(worker, async |client| {
        for parcel in ["busy", "away", "gone"] {
            let tracked = client.send(track::call(parcel.to_owned())).await?;
            let record = tracked.wait_record(Duration::from_secs(10)).await?;
            println!(
                "{parcel}: {} after {} attempts",
                record.state, record.attempts
            );
        }
        Ok(())
    })
    .await
}
