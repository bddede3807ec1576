//! `taskq control pause|resume QUEUE`: the broker keeps it, every worker heeds it.

use clap::Args;
use serde_json::json;
use taskq_core::QueueName;

use crate::args::Whom;
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

#[derive(Debug, Args)]
pub(super) struct Pause {
    queue: QueueName,
    /// Why, for those who wonder
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
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
        warn_of_stranger(&queue, reach, console).await?;
        let by = console.who().to_owned();
        reach.read(reach.client.pause(&queue, &by, &reason)).await?;
        let because = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
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

/// A queue may be paused before anybody knows it; more likely it is misspelt.
async fn warn_of_stranger(
    queue: &QueueName,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<(), Stop> {
    let known = reach.read(reach.client.queues()).await?;
    let workers = reach.read(reach.client.workers()).await?;
    let served = workers.iter().any(|card| card.queues.contains(queue));
    if !served && !known.contains(queue) {
        let sentence = format!(
            "nobody has sent to a queue {queue} or listened at it yet; `taskq queues` lists those there are"
        );
        console.notice(&sentence);
    }
    Ok(())
}
