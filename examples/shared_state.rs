//! What all tasks of a worker share: a pool, a cache, a client. It is made once, and told when the worker stops.
//!
//! `cargo run --example shared_state`

use std::collections::BTreeMap;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use taskq_core::{Context, TaskError, task};
use taskq_examples::{Fault, with_worker};
use taskq_worker::Worker;
use taskq_worker::task::State;

/// The prices of a shop, read once. A connection pool is shared in the same way.
#[derive(Default)]
struct Prices {
    cents: RwLock<BTreeMap<String, u64>>,
    asked: AtomicU64,
}

/// What a basket costs.
#[task(name = "lessons.total", queue = "lessons.state")]
async fn total(ctx: Context, basket: Vec<String>) -> Result<u64, TaskError> {
    // By its type; a worker that was not given one fails the call with a sentence that says so.
    let prices = ctx.state::<Prices>()?;
    prices.asked.fetch_add(1, Ordering::Relaxed);
    let cents = prices.cents.read().map_err(|_| "the prices are broken")?;
    let price = |name: &String| {
        let unknown = || TaskError::permanent(format!("{name} has no price"));
        cents.get(name).copied().ok_or_else(unknown)
    };
    basket.iter().map(price).sum()
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let worker = Worker::builder()
        .queues(["lessons.state"])
        .state(Prices::default())
        // Before anything is claimed; an error ends the worker.
        .on_start(|state: State| async move {
            let prices = state.get::<Prices>().ok_or("no prices")?;
            let mut cents = prices.cents.write().map_err(|_| "the prices are broken")?;
            cents.insert("coffee".to_owned(), 450);
            cents.insert("sugar".to_owned(), 120);
            println!("{} prices read", cents.len());
            Ok::<_, &str>(())
        })
        // After the last verdict.
        .on_stop(|state: State| async move {
            let asked = state
                .get::<Prices>()
                .map(|p| p.asked.load(Ordering::Relaxed));
            println!("asked {} times", asked.unwrap_or_default());
        });
    with_worker(worker, async |client| {
        for basket in [vec!["coffee"], vec!["coffee", "sugar"], vec!["tea"]] {
            let basket = basket.into_iter().map(str::to_owned).collect::<Vec<_>>();
            let names = basket.join(", ");
            let sent = client.send(total::call(basket)).await?;
            match sent.wait(Duration::from_secs(10)).await {
                Ok(cents) => println!("{names}: {cents} cents"),
                Err(taskq_client::WaitError::Failed { error, .. }) => {
                    println!("{names}: {}", error.message);
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(())
    })
    .await
}
