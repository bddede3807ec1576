//! `taskq purge QUEUE`: drops what waits in a queue, each as REVOKED.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use taskq_core::QueueName;

use super::names::stranger;
use super::sure::{counted, sure};
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

/// Much may lie there; each step has the usual patience.
const LONG: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// The queue; what is claimed from it already runs on
    #[arg(value_name = "QUEUE")]
    queue: QueueName,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(
    purge: Purge,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let Purge { queue, yes } = purge;
    let depth = reach.read(reach.client.depth(&queue)).await?;
    let there = depth.waiting + depth.suspects + depth.delayed;
    let purged = if there > 0 {
        let messages = counted(there, "message");
        let what = format!("drop {messages} of the queue {queue} as REVOKED");
        sure(&what, yes, console)?;
        reach.work(LONG, reach.client.purge(&queue)).await?
    } else {
        if let Some(stranger) = stranger(&queue, reach).await? {
            console.notice(&stranger);
        }
        // What comes from here on nobody was asked about.
        0
    };
    if json {
        console.json(&json!({"purged": purged}));
    } else {
        console.print(&format!("{} purged\n", counted(purged, "message")));
    }
    Ok(Exit::Done)
}
