//! Calling off: a call that waits, one that runs, and runs that take too long.
//!
//! `cargo run --example cancellation`

use std::time::Duration;

use taskq_client::{Revocation, RevokeOptions, State};
use taskq_core::task::Cancelled;
use taskq_core::{Context, QueueName, TaskError, task};
use taskq_examples::{Fault, with_worker};
use taskq_worker::Worker;

/// Waits for a truck for an hour. An async function is dropped where it awaits: nothing to be done for it.
#[task(
    name = "lessons.wait_for_truck",
    queue = "lessons.cancel",
    track_started
)]
async fn wait_for_truck() {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
}

/// Writes as much of a report as it can within its soft limit; the hard one would cut it off.
#[task(
    name = "lessons.report",
    queue = "lessons.cancel",
    soft_time_limit = "200ms",
    time_limit = "5s"
)]
async fn report(ctx: Context) -> Result<String, TaskError> {
    match ctx.within_limits(whole_report()).await {
        Ok(whole) => Ok(whole),
        Err(_) => Ok("half of it".to_owned()),
    }
}

async fn whole_report() -> String {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    "all of it".to_owned()
}

/// Counts parcels on a thread of its own; a plain function can not be dropped, so it asks.
#[task(
    name = "lessons.count",
    queue = "lessons.cancel",
    soft_time_limit = "200ms",
    time_limit = "5s"
)]
fn count(ctx: Context) -> Result<String, TaskError> {
    for parcel in 0_u64.. {
        std::thread::sleep(Duration::from_millis(1));
        match ctx.cancelled_by() {
            None => {}
            // What is done so far counts.
            Some(Cancelled::SoftTimeLimit) => return Ok(format!("{parcel} so far")),
            // Nobody listens any more.
            Some(why) => return Err(TaskError::permanent(format!("{why:?}"))),
        }
    }
    unreachable!("there is no last number")
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let worker = Worker::builder().queues(["lessons.cancel"]);
    with_worker(worker, async |client| {
        let patience = Duration::from_secs(10);

        // One that waits for its time. `taskq control revoke <id>` does the same.
        let call = wait_for_truck::call().countdown(Duration::from_secs(3_600));
        let later = client.send(call).await?;
        let id = Revocation::Id(later.id());
        client.revoke(&[id], RevokeOptions::default()).await?;
        let end = later.wait_record(patience).await?;
        println!("one that waited is {}", end.state);

        // One that runs goes on, unless it is cut off: `taskq control terminate <id>`.
        let running = client.send(wait_for_truck::call()).await?;
        while running.state().await? != Some(State::Started) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let options = RevokeOptions {
            terminate: true,
            ..RevokeOptions::default()
        };
        let id = Revocation::Id(running.id());
        let revoked = client.revoke(&[id], options).await?;
        println!("{} was cut off", revoked.terminated.len());
        let end = running.wait_record(patience).await?;
        println!("its sender reads {}", end.state);

        // Two that end by themselves when their time is over.
        let written = client.send(report::call()).await?.wait(patience).await?;
        println!("report: {written}");
        let counted = client.send(count::call()).await?.wait(patience).await?;
        println!("count: {counted}");

        // One that nobody needs after a while: it is sent to a queue that is taken from too late.
        let queue: QueueName = "lessons.cancel".parse()?;
        client.pause(&queue, "lesson", "to be late").await?;
        let call = report::call().expires(Duration::from_millis(50));
        let late = client.send(call).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.resume(&queue).await?;
        let end = late.wait_record(patience).await?;
        println!("one that came too late is {}", end.state);
        Ok(())
    })
    .await
}
