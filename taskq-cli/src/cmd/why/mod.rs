//! `taskq why ID`: why a call has not ended, or how it did, in words. First the facts, then what they mean.

mod answer;
mod facts;
mod sentences;

#[cfg(test)]
mod tests;

use clap::Args;
use serde_json::json;
use taskq_core::{QueueName, TaskId};

use crate::console::{Console, plain};
use crate::exit::{Exit, Stop};
use crate::quantity::rfc3339;
use crate::reach::Reach;

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The call's id
    #[arg(value_name = "ID")]
    id: TaskId,
    /// Look in this queue only
    #[arg(long, value_name = "QUEUE")]
    queue: Option<QueueName>,
}

pub(crate) async fn run(
    why: Why,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let facts = facts::gather(why.id, why.queue, reach).await?;
    let answer = answer::answer(&facts);
    if json {
        let due = answer.due.and_then(rfc3339);
        console.json(&json!({
            "id": why.id,
            "answer": answer.kind,
            "task": facts.task(),
            "queue": facts.queue(),
            "why": answer.sentences,
            "state": facts.record.as_ref().map(|r| r.state),
            "ahead": answer.ahead,
            "due": due,
        }));
    } else {
        for sentence in &answer.sentences {
            console.print(&format!("{}\n", plain(sentence)));
        }
    }
    Ok(if answer.kind == answer::UNKNOWN {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// Why nobody takes a call of `task` from `queue`, as far as the workers there are tell; `None`: somebody does.
pub(super) async fn untaken(queue: &QueueName, task: &str, reach: &Reach) -> Option<String> {
    let client = &reach.client;
    let workers = reach.read(client.workers()).await.ok()?;
    let published = reach.read(client.task(task)).await.ok()?.is_some();
    let broker = reach.address();
    sentences::nobody_listens(&workers, queue, broker)
        .or_else(|| sentences::nobody_offers(&workers, queue, task, published, broker))
}
