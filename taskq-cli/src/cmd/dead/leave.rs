//! `taskq dead replay` and `taskq dead drop`.

use std::collections::BTreeSet;

use serde_json::json;
use taskq_client::{DeadCalls, DeadFilter};
use taskq_core::TaskId;

use super::{LONG, Leave, in_queue};
use crate::cmd::sure::{counted, sure};
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

pub(super) async fn replay(
    which: Leave,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let (filter, mut exit) = meant(which, "replay", reach, console).await?;
    let done = match filter {
        Some(filter) => reach.work(LONG, reach.client.replay(&filter)).await?,
        None => Default::default(),
    };
    if json {
        console.json(&json!({"replayed": done.replayed, "unreadable": done.unreadable}));
    } else {
        console.print(&format!(
            "{} replayed\n",
            counted(done.replayed as u64, "message")
        ));
    }
    if done.unreadable > 0 {
        let stay = counted(done.unreadable as u64, "message");
        console.notice(&format!(
            "left dead: {stay} that no worker could read; `taskq dead drop` drops what can not be read"
        ));
        exit = Exit::Failed;
    }
    Ok(exit)
}

pub(super) async fn drop(
    which: Leave,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let (filter, exit) = meant(which, "drop", reach, console).await?;
    let dropped = match filter {
        Some(filter) => reach.work(LONG, reach.client.drop_dead(&filter)).await?,
        None => 0,
    };
    if json {
        console.json(&json!({"dropped": dropped}));
    } else {
        console.print(&format!("{} dropped\n", counted(dropped as u64, "message")));
    }
    Ok(exit)
}

/// Which are meant, if there are any; asks before all of them are. `Exit::Failed` when some that were named are not dead.
async fn meant(
    which: Leave,
    verb: &str,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<(Option<DeadFilter>, Exit), Stop> {
    let named: BTreeSet<TaskId> = which.ids.into_iter().collect();
    let filter = if which.all {
        which.filters.read()?
    } else {
        in_queue(which.filters.queue).ids(named.iter().copied())
    };
    // Of those that are named all are looked at, of all others a look at the newest is enough.
    let limit = if which.all { 1 } else { usize::MAX };
    let dead = reach.work(LONG, reach.client.dead(&filter, limit)).await?;
    if which.all && dead.fitting > 0 {
        let messages = counted(dead.fitting as u64, "dead message");
        sure(&format!("{verb} {messages}"), which.yes, console)?;
    }
    let missing = missing(&named, &dead);
    for id in &missing {
        console.notice(&format!(
            "no message of {id} is dead; `taskq why {id}` says what became of it"
        ));
    }
    let exit = if missing.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    };
    let newest = dead.calls.first().map(|call| call.at);
    Ok((newest.map(|at| filter.until(at)), exit))
}

fn missing<'a>(named: &'a BTreeSet<TaskId>, dead: &DeadCalls) -> Vec<&'a TaskId> {
    let there: BTreeSet<TaskId> = dead.calls.iter().filter_map(|call| call.id).collect();
    named.iter().filter(|id| !there.contains(id)).collect()
}
