//! taskq at work: a few thousand deliveries through three queues, some slow, some that fail and are tried again, one that
//! fails for good, and a report that tells how far it has got.
//!
//! `cargo run --release --example quickstart`, with `--broker redis://127.0.0.1:6379/0` the very same on Redis.

mod data;
mod out;
mod place;
mod screen;
mod seen;
mod table;
mod tasks;

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use taskq_client::{Awaited, Client, DeadFilter, QueueName, Record, TaskHandle, TaskId, WaitError};
use taskq_examples::Fault;
use taskq_worker::{CancellationToken, RunError, Worker, broker};
use tokio::signal::ctrl_c;
use tokio::task::JoinHandle;

use data::Delivery;
use place::Place;
use screen::Screen;
use seen::{RUN, Seen, Watching};

/// How long the broker may take to answer at all.
const REACH: Duration = Duration::from_secs(3);
/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks whether its worker is seen.
const LOOK: Duration = Duration::from_millis(5);
/// How many tasks run at once.
const SLOTS: usize = 100;
/// What a program answers that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Runs a few thousand deliveries through three queues, and shows what becomes of them
#[derive(Debug, Parser)]
#[command(name = "quickstart", version)]
struct Args {
    /// The broker [default: taskq/quickstart.db in the user's data folder, made anew]
    #[arg(
        short,
        long,
        env = "TASKQ_BROKER_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    broker: Option<String>,

    /// Keep the worker running afterwards, for a look with `taskq`, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match quickstart(Args::parse()).await {
        Ok(code) => code,
        Err(fault) => {
            out::note(&format!("quickstart: {fault}"));
            ExitCode::FAILURE
        }
    }
}

async fn quickstart(args: Args) -> Result<ExitCode, Fault> {
    let named = args.broker.is_some();
    let place = Place::find(args.broker)?;
    let url = &place.url;
    let shown = table::shown(url);
    let broker = broker::connect(url).await?;
    let client = Client::builder().over(broker.clone());
    tokio::time::timeout(REACH, client.queues())
        .await
        .map_err(|_| format!("the broker at {shown} does not answer"))??;
    place::take(&client, &shown, &tasks::QUEUES, place::BEGINS).await?;
    clear(&client).await?;

    let seen = Arc::new(Seen::default());
    let run = TaskId::random().to_string();
    let stop = CancellationToken::new();
    let worker = Worker::builder()
        .backend(broker)
        .queues(tasks::QUEUES)
        .concurrency(SLOTS)
        .grace(Duration::from_secs(2))
        .middleware(Watching {
            run: run.clone(),
            seen: seen.clone(),
        })
        .stop(stop.clone())
        .build()?;
    let mut worker = tokio::spawn(worker.run());

    let mut interrupted = pin!(ctrl_c());
    let began = Instant::now();
    let end = tokio::select! {
        done = work(&client, &run, &seen) => done?,
        pressed = &mut interrupted => {
            pressed?;
            End::Interrupted
        }
        end = &mut worker => {
            end??;
            return Err("the worker ended too early".into());
        }
    };
    let took = began.elapsed();
    let ends = match end {
        End::Done(ends) => ends,
        End::Unread => {
            stopped(stop, worker).await?;
            return Ok(ExitCode::SUCCESS);
        }
        End::Interrupted => {
            stopped(stop, worker).await?;
            let next = match named {
                true => "the next start takes it away first",
                false => "the next start makes that file anew",
            };
            out::print(&format!(
                "\nstopped: {} ended, the rest waits in {shown}; {next}\n",
                seen.ended(),
            ))?;
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    let text = table::table(&ends, &seen, took) + &table::where_to_look(&ends, &shown, args.stay);
    let printed = out::print(&text);
    if args.stay && matches!(printed, Ok(true)) {
        tokio::select! {
            pressed = interrupted => pressed?,
            () = out::reader_left() => {}
        }
    }
    stopped(stop, worker).await?;
    printed?;
    Ok(ExitCode::SUCCESS)
}

/// The warm stop: what runs may end.
async fn stopped(
    stop: CancellationToken,
    worker: JoinHandle<Result<(), RunError>>,
) -> Result<(), Fault> {
    stop.cancel();
    Ok(worker.await??)
}

/// Takes away what an earlier run has left.
async fn clear(client: &Client) -> Result<(), Fault> {
    for name in tasks::QUEUES {
        let queue: QueueName = name.parse()?;
        client.purge(&queue).await?;
        client
            .drop_dead(&DeadFilter::default().queue(queue))
            .await?;
    }
    Ok(())
}

/// How the work ended.
enum End {
    /// All calls have, so.
    Done(Vec<Record>),
    Interrupted,
    /// Nobody reads the table that would come.
    Unread,
}

/// Sends it all, and draws until all of it has ended.
async fn work(client: &Client, run: &str, seen: &Seen) -> Result<End, Fault> {
    // Whoever comes from here on finds this run by its worker; before, by what it has not sent.
    while place::taker(client, &tasks::QUEUES).await?.is_none() {
        tokio::time::sleep(LOOK).await;
    }
    let deliveries = data::deliveries()?;
    let notices: Vec<&Delivery> = deliveries.iter().filter(|d| d.is_told()).collect();
    out::note(&format!(
        "{} deliveries, {} notices and a report, {SLOTS} at once",
        deliveries.len(),
        notices.len()
    ));
    let mut screen = Screen::new(deliveries.len(), notices.len())?;

    let report = client
        .send(tasks::report::call(30).header(RUN, run))
        .await?;
    let told: Vec<_> = notices
        .into_iter()
        .map(|d| tasks::notify::call(d.id.clone(), d.to.city.clone()).header(RUN, run))
        .collect();
    let rides = deliveries
        .into_iter()
        .map(|d| tasks::deliver::call(d).header(RUN, run))
        .collect();
    let mut sent = vec![Awaited::from(&report)];
    sent.extend(accepted(client.send_many(rides).await)?);
    sent.extend(accepted(client.send_many(told).await)?);

    let ends = {
        let drawing = async {
            let mut left = pin!(out::reader_left());
            loop {
                tokio::select! {
                    () = &mut left => return,
                    () = tokio::time::sleep(screen::PACE) => {}
                }
                let progress = report.progress().await.ok().flatten();
                screen.draw(seen, progress.as_ref());
            }
        };
        tokio::select! {
            ends = client.wait_all_records(sent, PATIENCE) => ends,
            () = drawing => return Ok(End::Unread),
        }
    };
    let last = report.progress().await?;
    screen.finish(seen, last.as_ref());
    let ends: Result<_, WaitError> = ends.into_iter().collect();
    Ok(End::Done(ends?))
}

fn accepted<R>(
    answers: Vec<Result<TaskHandle<R>, taskq_client::Error>>,
) -> Result<Vec<Awaited>, Fault> {
    let handles = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(handles.iter().map(Awaited::from).collect())
}
