//! `taskq dead …`: what has failed for good. One file for seeing it, one for what is done to it.

mod leave;
mod see;

use std::time::Duration;

use clap::{Args, Subcommand};
use taskq_client::DeadFilter;
use taskq_core::{QueueName, TaskId};

use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::quantity;
use crate::reach::Reach;

/// Many dead messages are read, moved or dropped within this; each step has the usual patience.
const LONG: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub(crate) struct Dead {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List dead messages, the newest first
    List(List),
    /// Show one dead message whole
    Show(Show),
    /// Put dead messages back into their queues: under the same ids, with all their retries
    Replay(Leave),
    /// Drop dead messages for good; their records stay
    Drop(Leave),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    filters: Filters,
    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Args)]
struct Show {
    /// The call's id
    #[arg(value_name = "ID")]
    id: TaskId,
    /// Look in this queue only
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
}

#[derive(Debug, Args)]
struct Leave {
    /// The calls' ids; needed unless `--all` is given
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with_all = ["all", "task", "reason", "older_than", "newer_than"])]
    ids: Vec<TaskId>,
    /// All that fit the filters; tells how many, and asks
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filters: Filters,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct Filters {
    /// Those of this queue
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
    /// Those of the tasks whose name fits, such as 'mail.*'
    #[arg(long, value_name = "GLOB")]
    task: Option<String>,
    /// Those whose reason contains this text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Those that have been dead for this long or longer
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    older_than: Option<Duration>,
    /// Those that have been dead for less than this
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    newer_than: Option<Duration>,
}

impl Filters {
    fn read(self) -> Result<DeadFilter, Stop> {
        let mut filter = in_queue(self.queue);
        if let Some(pattern) = &self.task {
            filter = filter.task(pattern)?;
        }
        if let Some(text) = &self.reason {
            filter = filter.reason(text);
        }
        if let Some(age) = self.older_than {
            filter = filter.older_than(age);
        }
        if let Some(age) = self.newer_than {
            filter = filter.newer_than(age);
        }
        Ok(filter)
    }
}

fn in_queue(queue: Option<QueueName>) -> DeadFilter {
    let all = DeadFilter::default();
    match queue {
        Some(queue) => all.queue(queue),
        None => all,
    }
}

pub(crate) async fn run(
    dead: Dead,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    match dead.what {
        What::List(list) => see::list(list, json, reach, console).await,
        What::Show(show) => see::show(show, json, reach, console).await,
        What::Replay(which) => leave::replay(which, json, reach, console).await,
        What::Drop(which) => leave::drop(which, json, reach, console).await,
    }
}
