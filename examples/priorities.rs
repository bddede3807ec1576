//! Which of the waiting calls are served first: priorities within a queue, weights between queues.
//!
//! `cargo run --example priorities`

use std::time::Duration;

use taskq_core::{QueueName, task};
use taskq_examples::{Fault, with_worker};
use taskq_worker::Worker;

/// Prints a label; those that nobody waits for have a low priority.
#[task(name = "lessons.label", queue = "lessons.labels", priority = 2)]
async fn label(parcel: String) {
    println!("printed: {parcel}");
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    // One slot, so that the order shows. With several queues `queue_weight("urgent", 3)` gives one three times the
    // share of another, and `strict(true)` serves them in the order of their names here.
    let worker = Worker::builder().queues(["lessons.labels"]).concurrency(1);
    with_worker(worker, async |client| {
        // Nobody takes from a paused queue, so all of them wait when the first is taken.
        let queue: QueueName = "lessons.labels".parse()?;
        client.pause(&queue, "lesson", "to gather some").await?;
        let mut sent = Vec::new();
        for (parcel, priority) in [
            ("of the archive", 0),
            ("of every day", 2), // the task's own
            ("of a customer at the desk", 9),
            ("another of a customer at the desk", 9),
            ("by express", 7),
        ] {
            let call = label::call(parcel.to_owned()).priority(priority);
            sent.push(client.send(call).await?);
            println!("sent with priority {priority}: {parcel}");
        }
        client.resume(&queue).await?;
        let patience = Duration::from_secs(10);
        let ends: Vec<Result<(), _>> = client.wait_all(&sent, patience).await;
        Ok(ends.into_iter().collect::<Result<_, _>>()?)
    })
    .await
}
