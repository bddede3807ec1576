//! `taskq purge QUEUE`: drops what waits in a queue, each as REVOKED.

use clap::Args;
use serde_json::json;
use taskq_core::QueueName;

use super::sure::{counted, sure};
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

/// So many end by one call.
const AT_ONCE: usize = 999;

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
    let mut left = usize::try_from(there).unwrap_or(usize::MAX);
    if left > 0 {
        let messages = counted(left, "message");
        let what = format!("drop {messages} of the queue {queue} as REVOKED");
        sure(&what, yes, console)?;
    }
    let mut purged = 0;
    // No more than were told of: what is sent meanwhile is not meant.
    while left > 0 {
        let most = left.min(AT_ONCE);
        let ended = reach.read(reach.backend.purge(&queue, most)).await?;
        if ended == 0 {
            break;
        }
        purged += ended;
        left -= ended.min(left);
    }
    if json {
        console.json(&json!({"purged": purged}));
    } else {
        console.print(&format!("{} purged\n", counted(purged, "message")));
    }
    Ok(Exit::Done)
}
