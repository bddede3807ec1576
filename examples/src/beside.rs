//! A worker in the lesson's own process.

use std::time::{Duration, Instant};

use taskq_client::{Client, Command};
use taskq_worker::{Builder, CancellationToken, broker};

use crate::{Fault, Place};

/// How long a call may take to be accepted, and the worker to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `lesson` beside `worker`, which is given the broker, and stops the worker when the lesson is over.
///
/// It offers all tasks of the program. In a system of your own the worker is a program by itself, see `by_name_worker`.
///
/// # Errors
/// The lesson's own, and the worker's if it can not be built or ends too early.
pub async fn with_worker(
    worker: Builder,
    lesson: impl AsyncFnOnce(Client) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let broker = broker::connect(Place::read().url()).await?;
    let client = Client::builder()
        .send_deadline(PATIENCE)
        .over(broker.clone());
    let stop = CancellationToken::new();
    let worker = worker.backend(broker).stop(stop.clone()).build()?;
    let mut worker = tokio::spawn(worker.run());

    tokio::select! {
        told = async {
            ready(&client).await?;
            lesson(client).await
        } => told?,
        end = &mut worker => {
            end??;
            return Err("the worker ended before the lesson did".into());
        }
    }
    stop.cancel();
    Ok(worker.await??)
}

/// Waits until the worker answers, so that a lesson begins beside one that listens.
async fn ready(client: &Client) -> Result<(), Fault> {
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        let wait = Duration::from_millis(200);
        let answers = client.ask(Command::Ping, &[], wait).await?;
        if !answers.replies.is_empty() {
            return Ok(());
        }
        // With no worker registered yet it answers at once.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the worker does not answer".into())
}
