//! Calls that run later: after some time, at a time, and "not yet, ask me again".
//!
//! `cargo run --example delayed`

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use taskq_core::{Outcome, clock, task};
use taskq_examples::{Fault, with_worker};
use taskq_worker::Worker;

/// Reminds somebody.
#[task(name = "lessons.remind", queue = "lessons.delayed")]
async fn remind(what: String) -> String {
    format!("remember {what}")
}

/// Waits until a file is there that somebody else writes.
#[task(name = "lessons.import_when_there", queue = "lessons.delayed")]
async fn import_when_there() -> Outcome<String> {
    // Stands for a look at the disk: it is there at the third look.
    static LOOKS: AtomicU32 = AtomicU32::new(0);
    match LOOKS.fetch_add(1, Ordering::Relaxed) + 1 {
        look @ 1..=2 => {
            println!("look {look}: not there yet");
            // No slot is held meanwhile, and no retry is used up.
            Outcome::Snooze(Duration::from_millis(100))
        }
        look => Outcome::Done(format!("imported at look {look}")),
    }
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let worker = Worker::builder().queues(["lessons.delayed"]);
    with_worker(worker, async |client| {
        let patience = Duration::from_secs(10);
        let sent = Instant::now();

        // It lies in the broker, not in a worker: it is not lost with one, and holds no slot.
        let call = remind::call("the milk".to_owned()).countdown(Duration::from_millis(1_500));
        let milk = client.send(call).await?;
        let state = milk.state().await?.ok_or("no record")?;
        println!("the milk is {state}");

        // The same at a time, in ms since the epoch.
        let call = remind::call("the bread".to_owned()).eta(clock::now_ms() + 500);
        let bread = client.send(call).await?;
        println!("{}", bread.wait(patience).await?);
        println!("{}", milk.wait(patience).await?);
        println!(
            "not before its time: {}",
            sent.elapsed() >= Duration::from_millis(1_500)
        );

        let imported = client.send(import_when_there::call()).await?;
        let record = imported.wait_record(patience).await?;
        let said = imported.wait(patience).await?;
        println!("{said}, attempt {}", record.attempts);
        Ok(())
    })
    .await
}
