//! Sending without the task's code: this program links no task, the worker is another program.
//!
//! `cargo run --example by_name_worker -- -Q lessons.names` in one terminal, `cargo run --example by_name` in another.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use taskq_client::{ChosenBroker, Client, PublishedTask, SendOptions};
use taskq_examples::{Fault, Place};

const TASK: &str = "lessons.distance";

#[tokio::main]
async fn main() -> ExitCode {
    match lesson(Place::read().broker).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("by_name: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn lesson(named: Option<String>) -> Result<(), Fault> {
    // Two programs that are told of no broker take the same one: a file of this user's.
    let broker = ChosenBroker::from(named, |name| std::env::var_os(name))?;
    if let Some(notice) = &broker.notice {
        eprintln!("{notice}");
    }
    let client = Client::builder()
        .send_deadline(Duration::from_secs(3))
        .connect(&broker.url)
        .await?;

    // Workers publish what they offer, so a sender can look before it sends. `taskq list` shows the same.
    let task = published(&client).await?;
    let params = task
        .params
        .iter()
        .map(|p| format!("{}: {}", p.name, p.kind));
    println!("{}({})", task.name, params.collect::<Vec<_>>().join(", "));
    println!("{}", task.doc);

    // Arguments are anything that serializes: by place, or by name. It goes to the queue that was published.
    let bogota = json!({"lat": 4.60971, "lon": -74.08175});
    let cali = json!({"lat": 3.43722, "lon": -76.5225});
    let by_place = client
        .send_by_name(TASK, (&bogota, &cali), (), SendOptions::default())
        .await?;
    let named = json!({"to": bogota, "from": cali});
    let by_key = client
        .send_by_name(TASK, (), named, SendOptions::default())
        .await?;
    for way in [by_place, by_key] {
        // A `Value`; `client.handle::<f64>(id)` has a type.
        let kilometres = way.wait(Duration::from_secs(10)).await?;
        println!("{kilometres} km");
    }

    // What does not fit is told by the worker.
    let wrong = client
        .send_by_name(TASK, ("Bogotá",), (), SendOptions::default())
        .await?;
    match wrong.wait(Duration::from_secs(10)).await {
        Ok(_) => println!("it fits"),
        Err(why) => println!("{why}"),
    }
    Ok(())
}

/// The task as a live worker publishes it; half a minute is time enough to start one.
async fn published(client: &Client) -> Result<PublishedTask, Fault> {
    for second in 0..30 {
        match client.task(TASK).await? {
            Some(task) if task.live => return Ok(task),
            _ if second == 0 => {
                eprintln!(
                    "by_name: no worker offers {TASK} yet: start `by_name_worker -Q lessons.names`"
                );
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err("no worker came".into())
}
