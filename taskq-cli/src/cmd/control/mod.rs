//! `taskq control …`: tells the running workers what to do. Orders that each worker carries out are here.

mod pause;
mod revoke;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use taskq_core::QueueName;
use taskq_core::control::{Command, Done};

use super::ask::{refusal, tell, understood};
use crate::args::Whom;
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::quantity;
use crate::reach::Reach;
use crate::table::Table;

#[derive(Debug, Args)]
pub(crate) struct Control {
    #[command(flatten)]
    whom: Whom,
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, Subcommand)]
#[command(rename_all = "snake_case")]
enum Order {
    /// Take from one more queue
    AddConsumer {
        /// The queue
        #[arg(value_name = "QUEUE")]
        queue: QueueName,
        /// Its share of the slots while several queues have more than they get
        #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000))]
        weight: u32,
    },
    /// Take nothing more from a queue; what runs goes on
    CancelConsumer {
        /// The queue
        #[arg(value_name = "QUEUE")]
        queue: QueueName,
    },
    /// Stop all claims from a queue until it is resumed, restarts of workers included; what runs goes on
    Pause(pause::Pause),
    /// Run so many more tasks at once
    PoolGrow {
        /// How many more, at each worker
        #[arg(value_name = "N", default_value = "1", value_parser = count)]
        n: usize,
    },
    /// Run so many fewer tasks at once; what runs goes on
    PoolShrink {
        /// How many fewer, at each worker
        #[arg(value_name = "N", default_value = "1", value_parser = count)]
        n: usize,
    },
    /// End a pause
    Resume(pause::Resume),
    /// Keep calls from running that were accepted; those that run go on, unless `--terminate` is given
    Revoke(revoke::Revoke),
    /// Stop once the running tasks have ended, or their time is over; asks first when all workers are meant
    Shutdown,
    /// Revoke calls, and cut off those that run
    Terminate(revoke::Terminate),
    /// Give runs of a task other limits, those that begin from now on
    TimeLimit {
        /// The task's name
        #[arg(value_name = "TASK")]
        task: String,
        /// After this long a run is told to end; `none`: never
        #[arg(value_name = "SOFT", value_parser = limit)]
        soft: Limit,
        /// After this long a run is cut off; `none`, or left out: never
        #[arg(value_name = "HARD", value_parser = limit)]
        hard: Option<Limit>,
    },
}

/// A limit of a run, in ms.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<u64>);

pub(crate) async fn run(
    control: Control,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let Control { whom, order } = control;
    let command = match order {
        Order::AddConsumer { queue, weight } => Command::AddConsumer { queue, weight },
        Order::CancelConsumer { queue } => Command::CancelConsumer { queue },
        Order::PoolGrow { n } => Command::PoolGrow { n },
        Order::PoolShrink { n } => Command::PoolShrink { n },
        Order::TimeLimit { task, soft, hard } => time_limit(task, soft, hard)?,
        Order::Shutdown => {
            agreed(&whom, reach, console).await?;
            Command::Shutdown
        }
        Order::Pause(pause) => return pause.run(&whom, json, reach, console).await,
        Order::Resume(resume) => return resume.run(&whom, json, reach, console).await,
        Order::Revoke(revoke) => return revoke.run(&whom, json, reach, console).await,
        Order::Terminate(terminate) => {
            let revoke = revoke::Revoke::from(terminate);
            return revoke.run(&whom, json, reach, console).await;
        }
    };
    let heard = tell(command, whom, reach).await?;
    let shown = show(&heard.replies, json, console);
    Ok(heard.conclude(shown, console))
}

/// Who means all workers says so twice, if somebody is there to be asked.
async fn agreed(whom: &Whom, reach: &Reach, console: &mut Console<'_>) -> Result<(), Stop> {
    if !whom.destination.is_empty() || !console.asks() {
        return Ok(());
    }
    let workers = reach.read(reach.client.workers()).await?;
    let nodes: Vec<_> = workers.iter().map(|card| card.node.as_str()).collect();
    if nodes.is_empty() {
        return Ok(());
    }
    let question = match &*nodes {
        [node] => format!("stop {node}, the only worker?"),
        nodes => format!("stop all {} workers ({})?", nodes.len(), nodes.join(", ")),
    };
    match console.confirm(&question) {
        Some(false) => Err(Stop::new(
            Exit::Failed,
            "nothing was stopped; -d names the workers that shall stop",
        )),
        Some(true) | None => Ok(()),
    }
}

fn time_limit(task: String, soft: Limit, hard: Option<Limit>) -> Result<Command, Stop> {
    let (soft_ms, hard_ms) = (soft.0, hard.and_then(|hard| hard.0));
    if let (Some(soft), Some(hard)) = (soft_ms, hard_ms)
        && hard <= soft
    {
        return Err(Stop::new(
            Exit::Usage,
            "the hard limit is not longer than the soft one, which would never come: give the longer one last",
        ));
    }
    Ok(Command::TimeLimit {
        task,
        soft_ms,
        hard_ms,
    })
}

/// What became of an order, worker by worker; those who did not carry it out are named on stderr.
fn show(replies: &BTreeMap<String, Value>, json: bool, console: &mut Console<'_>) -> Exit {
    if json {
        console.json(replies);
        return match replies.values().any(|body| refusal(body).is_some()) {
            true => Exit::Failed,
            false => Exit::Done,
        };
    }
    let mut table = Table::new(&["WORKER", "ANSWER"]);
    let (answers, exit) = understood::<Done>(replies, console);
    for (node, done) in answers {
        if let Done::Ok(sentence) = done {
            table.row([node.to_owned(), sentence]);
        }
    }
    console.table(&table);
    exit
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 changes nothing, give 1 or more".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("a whole number is needed, 1 or more".into()),
    }
}

fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let limit = quantity::duration(text)?;
    match u64::try_from(limit.as_millis()) {
        Ok(0) if limit < Duration::from_millis(1) => {
            Err("no run ends in no time; `none` takes the limit away".into())
        }
        Ok(ms) => Ok(Limit(Some(ms))),
        Err(_) => Err("that is too long".into()),
    }
}
