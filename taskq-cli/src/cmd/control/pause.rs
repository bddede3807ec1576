//! `taskq control pause|resume QUEUE`: the broker keeps it, every worker heeds it.

use clap::Args;
use serde_json::json;
use taskq_core::QueueName;

use crate::args::Whom;
use crate::cmd::names::stranger;
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

const FOR_ALL: &str = "It is for all workers: -d is refused.";

#[derive(Debug, Args)]
#[command(after_help = FOR_ALL)]
pub(super) struct Pause {
    /// The queue
    #[arg(value_name = "QUEUE")]
    queue: QueueName,
    /// Why, for those who wonder; else the reason of a pause that is there already
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = FOR_ALL)]
pub(super) struct Resume {
    /// The queue
    #[arg(value_name = "QUEUE")]
    queue: QueueName,
}

impl Pause {
    pub(super) async fn run(
        self,
        whom: &Whom,
        json: bool,
        reach: &Reach,
        console: &mut Console<'_>,
    ) -> Result<Exit, Stop> {
        let Self { queue, reason } = self;
        for_all(whom)?;
        // It may be paused before anybody knows it; more likely it is misspelt.
        let stranger = stranger(&queue, reach).await?;
        let (reason, kept) = match reason {
            Some(reason) => (reason, ""),
            None => (
                reason_before(&queue, reach).await?,
                " (the reason it was paused for before; --reason gives another)",
            ),
        };
        let by = console.who().to_owned();
        reach.read(reach.client.pause(&queue, &by, &reason)).await?;
        let because = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}{kept}")
        };
        if let Some(stranger) = stranger {
            console.notice(&format!(
                "{stranger}; it is paused all the same, `taskq control resume {queue}` ends that"
            ));
        }
        say(
            &format!("{queue} is paused by {by}{because}"),
            json,
            console,
        );
        Ok(Exit::Done)
    }
}

impl Resume {
    pub(super) async fn run(
        self,
        whom: &Whom,
        json: bool,
        reach: &Reach,
        console: &mut Console<'_>,
    ) -> Result<Exit, Stop> {
        let queue = self.queue;
        for_all(whom)?;
        let sentence = if reach.read(reach.client.resume(&queue)).await? {
            format!("{queue} is resumed")
        } else {
            if let Some(stranger) = stranger(&queue, reach).await? {
                console.notice(&stranger);
            }
            format!("{queue} was not paused")
        };
        say(&sentence, json, console);
        Ok(Exit::Done)
    }
}

fn say(sentence: &str, json: bool, console: &mut Console<'_>) {
    if json {
        console.json(&json!({"ok": sentence}));
    } else {
        console.print(&(crate::console::plain(sentence) + "\n"));
    }
}

fn for_all(whom: &Whom) -> Result<(), Stop> {
    if whom.destination.is_empty() {
        return Ok(());
    }
    Err(Stop::new(
        Exit::Usage,
        "a queue is paused and resumed for all workers: leave -d out; `taskq control cancel_consumer` takes a queue from one",
    ))
}

/// Why the queue is paused already.
async fn reason_before(queue: &QueueName, reach: &Reach) -> Result<String, Stop> {
    match reach.read(reach.client.depth(queue)).await {
        Ok(depth) => Ok(depth.paused.map(|p| p.reason).unwrap_or_default()),
        Err(stop) if stop.exit == Exit::Unreachable => Err(stop),
        // What lies there can not be counted, and can be paused all the same.
        Err(_) => Ok(String::new()),
    }
}
