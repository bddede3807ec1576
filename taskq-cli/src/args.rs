//! The command line: names, options, what they accept.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde_json::value::RawValue;
use taskq_core::{QueueName, TaskId};

use crate::about;
use crate::cmd::control::Control;
use crate::cmd::dead::Dead;
use crate::cmd::events::Events;
use crate::cmd::purge::Purge;
use crate::cmd::why::Why;
use crate::quantity;

const EXIT_CODES: &str = "\
Durations are seconds, or carry a unit: 90, 1.5, 2m, 500ms.
Exit codes: 0 done, 1 what was asked for failed, 2 usage, 69 broker or worker not reachable, 75 timed out.";

const BROKER: &str = "Where the broker is, such as redis://host:6379/0 or sqlite:///path/to/file [default: a file of yours: \
                      taskq/taskq.db in $XDG_DATA_HOME, else in ~/.local/share]";

/// See what task workers do, send a task, read what became of it.
#[derive(Debug, Parser)]
#[command(name = "taskq", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Where the broker is.
    #[arg(
        short,
        long,
        global = true,
        value_name = "URL",
        env = "TASKQ_BROKER_URL",
        hide_env_values = true,
        help = BROKER
    )]
    pub(crate) broker: Option<String>,
    /// Answer with one line of JSON on stdout
    #[arg(short, long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: about::Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask the running workers
    Inspect(Inspect),
    /// Tell the running workers what to do
    Control(Control),
    /// Which workers are there, one line each
    Status(Status),
    /// The tasks that workers published
    List,
    /// What lies in each queue
    Queues,
    /// Show what happens, while it happens, or what is kept of it
    Events(Events),
    /// Send a call of a task
    Call(Box<Call>),
    /// Show what is stored of a call
    Result(ResultOf),
    /// Say why a call has not ended
    Why(Why),
    /// See, replay and drop what has failed for good
    Dead(Dead),
    /// Drop what waits in a queue, each as REVOKED
    Purge(Purge),
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) whom: Whom,
    #[command(subcommand)]
    pub(crate) what: Question,
}

/// Which workers are asked, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Whom {
    /// Ask only these workers; give several with commas, or repeat it
    #[arg(short, long, global = true, value_name = "NODE", value_delimiter = ',', value_parser = quantity::node)]
    pub(crate) destination: Vec<String>,
    /// Wait this long for answers; returns earlier when all are there
    #[arg(short, long, global = true, value_name = "SECS", default_value = "1", value_parser = quantity::duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Clone, Subcommand)]
#[command(rename_all = "snake_case")]
pub(crate) enum Question {
    /// The tasks that run right now
    Active,
    /// The queues that each worker takes from
    ActiveQueues,
    /// How each worker is set up
    Conf,
    /// Which workers answer
    Ping,
    /// Which worker has these calls, and whether they run
    QueryTask {
        /// The calls' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<TaskId>,
    },
    /// The tasks that each worker offers
    Registered,
    /// All that a bug report needs, as text
    Report,
    /// What each worker has claimed and not started
    Reserved,
    /// What is revoked at the queues of each worker
    Revoked,
    /// What is due next in the queues of each worker
    Scheduled,
    /// What each worker has done and used
    Stats,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) whom: Whom,
}

const CALLS: &str = "\
taskq call math.add -a '[2, 3]' --wait
taskq call geo.distance -a '[\"Bogotá\", \"Cali\"]' -k '{\"unit\": \"km\"}' --countdown 10m";

#[derive(Debug, Args)]
#[command(after_help = CALLS)]
pub(crate) struct Call {
    /// The task's name
    #[arg(value_name = "NAME")]
    pub(crate) task: String,
    /// Positional arguments: a JSON array
    #[arg(short, long, value_name = "JSON", value_parser = quantity::json_array)]
    pub(crate) args: Option<Box<RawValue>>,
    /// Named arguments: a JSON object
    #[arg(short, long, value_name = "JSON", value_parser = quantity::json_object)]
    pub(crate) kwargs: Option<Box<RawValue>>,
    /// Wait for its end and show its record
    #[arg(long)]
    pub(crate) wait: bool,
    /// Wait at most this long
    #[arg(long, requires = "wait", value_name = "SECS", default_value = "60", value_parser = quantity::duration)]
    pub(crate) timeout: Duration,
    /// Refuse a task that nobody published, and arguments that do not fit what is published for it
    #[arg(long)]
    pub(crate) check: bool,
    /// Send it to this queue; else the one published for the task, else `celery`
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Option<QueueName>,
    /// Run it after this long
    #[arg(long, value_name = "SECS", conflicts_with = "eta", value_parser = quantity::duration)]
    pub(crate) countdown: Option<Duration>,
    /// Run it at this time, such as 2030-01-31T08:00:00Z
    #[arg(long, value_name = "RFC3339", value_parser = quantity::instant_ms)]
    pub(crate) eta: Option<u64>,
    /// Before those of a lower priority: 0 to 9; else the one published for the task, else 0
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(crate) priority: Option<u8>,
    /// End it as REVOKED if it has not begun to run after this long
    #[arg(long, value_name = "SECS", value_parser = quantity::duration)]
    pub(crate) expires: Option<Duration>,
    /// Send it under this id
    #[arg(long, value_name = "UUID")]
    pub(crate) id: Option<TaskId>,
}

#[derive(Debug, Args)]
pub(crate) struct ResultOf {
    /// The call's id
    #[arg(value_name = "ID")]
    pub(crate) id: TaskId,
    /// Show each change until its end: a line each, on a terminal one line; with --json an object each
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Follow it at most this long; else as long as it takes
    #[arg(long, requires = "follow", value_name = "SECS", value_parser = quantity::duration)]
    pub(crate) timeout: Option<Duration>,
    /// Look in this queue only
    #[arg(long, value_name = "QUEUE")]
    pub(crate) queue: Option<QueueName>,
}
