//! A task that fails is run again: when, how often, and how it says that no repeat will mend it.
//!
//! `cargo run --example retries`

use std::time::Duration;

use taskq_client::WaitError;
use taskq_core::retry::{Exponential, Jitter};
use taskq_core::{Context, TaskError, task};
use taskq_examples::{Fault, with_worker};
use taskq_worker::Worker;

/// Waits 50 ms, 100 ms, 200 ms …; without `retry` it is 1 s, 2 s, 4 s … up to 10 min, at random below that.
const QUICK: Exponential = Exponential {
    base: Duration::from_millis(50),
    jitter: Jitter::None,
    ..Exponential::DEFAULT
};

/// Charges an account at a bank that is away twice.
#[task(name = "lessons.charge", queue = "lessons.retries", max_retries = 5, retry = QUICK)]
async fn charge(ctx: Context, account: u32, cents: i64) -> Result<String, TaskError> {
    println!("{account}: attempt {}", ctx.attempt());
    if cents <= 0 {
        // Never retried: FAILURE at once, and kept in the dead set.
        return Err(TaskError::permanent("an amount is more than 0"));
    }
    match ctx.attempt() {
        // Any error will do: a `?` on an `io::Error` is the same.
        1 => Err("the bank is away".into()),
        // When it knows better than the policy.
        2 => Err(TaskError::retry_after(
            Duration::from_millis(20),
            "the bank asks for 20 ms",
        )),
        _ => Ok(format!("{cents} cents taken")),
    }
}

/// Asks a bank that never answers.
#[task(name = "lessons.ask", queue = "lessons.retries", max_retries = 2, retry = QUICK)]
async fn ask(ctx: Context, account: u32) -> Result<(), std::io::Error> {
    println!("{account}: attempt {}", ctx.attempt());
    Err(std::io::ErrorKind::TimedOut.into())
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let worker = Worker::builder().queues(["lessons.retries"]);
    with_worker(worker, async |client| {
        let patience = Duration::from_secs(10);

        let charged = client.send(charge::call(4711, 250)).await?;
        println!("4711: {}", charged.wait(patience).await?);

        let wrong = client.send(charge::call(4712, -1)).await?;
        if let Err(WaitError::Failed { error, .. }) = wrong.wait(patience).await {
            println!("4712: FAILURE: {}", error.message);
        }

        // One call may have more or fewer retries than its task.
        let asked = client.send(ask::call(4713).max_retries(1)).await?;
        let record = asked.wait_record(patience).await?;
        println!("4713: {} after {} attempts", record.state, record.attempts);
        Ok(())
    })
    .await
}
