//! A long task tells how far it has got, and whoever sent it looks.
//!
//! `cargo run --example progress`

use std::time::Duration;

use taskq_core::{Context, task};
use taskq_examples::{Fault, with_worker};
use taskq_worker::Worker;

/// Sums the kilometres of a week, day by day.
#[task(name = "lessons.weekly_report", queue = "lessons.progress")]
async fn weekly_report(ctx: Context, days: Vec<String>) -> u64 {
    let mut kilometres = 0;
    for (done, day) in (0..).zip(&days) {
        // A note in memory: call it as often as there is something to tell. It is stored twice a second at most.
        ctx.progress(done, days.len() as u64, day);
        tokio::time::sleep(Duration::from_millis(200)).await; // the work
        kilometres += 100 + done;
    }
    ctx.progress(days.len() as u64, days.len() as u64, "");
    kilometres
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let worker = Worker::builder().queues(["lessons.progress"]);
    with_worker(worker, async |client| {
        let days = ["Mon", "Tue", "Wed", "Thu", "Fri"].map(str::to_owned);
        let report = client.send(weekly_report::call(days.into())).await?;

        // `taskq result <id> --follow` shows the same.
        let mut shown = None;
        while !report.state().await?.is_some_and(|state| state.is_final()) {
            let progress = report.progress().await?;
            if let Some(p) = &progress
                && progress != shown
            {
                let note = p.note.as_deref().unwrap_or("done");
                println!("{} of {}: {note}", p.done, p.total);
                shown = progress;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("{} km", report.wait(Duration::from_secs(10)).await?);
        let last = report.progress().await?.ok_or("it told of its progress")?;
        println!("at the end: {} of {}", last.done, last.total);
        Ok(())
    })
    .await
}
