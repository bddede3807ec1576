//! What is known of one call: read from its record, its queue, the workers, and from the place where its message lies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use taskq_client::{Depth, Found, Place, Totals};
use taskq_core::control::{ActiveTask, Command, ReservedTask, Stats};
use taskq_core::fleet::{PublishedTask, WorkerCard};
use taskq_core::{Message, QueueName, Record, TaskId};

use crate::exit::Stop;
use crate::reach::Reach;

/// Many places may be looked through within this; each step has the usual patience.
const LONG: Duration = Duration::from_secs(120);
/// Workers have so long to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// Between two looks at what a queue has ended.
const LOOK: Duration = Duration::from_secs(1);

/// All that is known of a call.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) id: Option<TaskId>,
    /// The broker that was asked, as it may be shown.
    pub(super) broker: String,
    /// The broker's time, ms.
    pub(super) now: u64,
    pub(super) record: Option<Record>,
    pub(super) lies: Option<Lies>,
    /// The queues in which its message was looked for, and those where not every message was looked at.
    pub(super) looked_in: Vec<QueueName>,
    pub(super) partly: Vec<QueueName>,
    /// Of the queue it lies in.
    pub(super) depth: Depth,
    pub(super) rate: Option<f64>,
    /// How many slots of how many are busy at the workers of that queue, by those that say so; asked when none ends.
    pub(super) busy: Option<(usize, usize)>,
    pub(super) is_revoked: bool,
    /// Those that are registered.
    pub(super) workers: Vec<WorkerCard>,
    /// What workers said of it, by their names.
    pub(super) runs: BTreeMap<String, Run>,
    /// Those that did not answer.
    pub(super) silent: Vec<String>,
    /// Its task, as a worker published it.
    pub(super) published: Option<PublishedTask>,
}

/// Where its message lies.
#[derive(Debug)]
pub(super) struct Lies {
    pub(super) queue: QueueName,
    pub(super) place: Place,
    /// `None`: it can not be read.
    pub(super) message: Option<Message>,
}

/// What a worker says of it.
#[derive(Debug)]
pub(super) enum Run {
    Active(ActiveTask),
    Reserved(ReservedTask),
}

impl Facts {
    pub(super) fn task(&self) -> Option<&str> {
        let by_message = self.lies.as_ref().and_then(|l| l.message.as_ref());
        let by_message = by_message.map(|m| m.task.as_str());
        let by_record = self.record.as_ref().map(|r| r.task.as_str());
        by_message.or(by_record.filter(|name| !name.is_empty()))
    }

    pub(super) fn queue(&self) -> Option<&QueueName> {
        let lies = self.lies.as_ref().map(|l| &l.queue);
        lies.or(self.record.as_ref().map(|r| &r.queue))
    }
}

/// Reads them all; what can only be guessed at is left out.
pub(super) async fn gather(
    id: TaskId,
    queue: Option<QueueName>,
    reach: &Reach,
) -> Result<Facts, Stop> {
    let client = &reach.client;
    let mut facts = Facts {
        id: Some(id),
        broker: reach.address().to_owned(),
        workers: reach.read(client.workers()).await?,
        ..Facts::default()
    };
    let handle = match queue.clone() {
        Some(queue) => client.handle_in::<Value>(id, queue),
        None => client.handle::<Value>(id),
    };
    facts.record = reach.read(handle.record()).await?;
    let by_record = facts.record.as_ref().map(|r| r.queue.clone());
    for queue in places(queue.or(by_record), &facts, reach).await? {
        let found = reach.read_for(LONG, client.find(&queue, id)).await?;
        take(&mut facts, queue, found);
        if facts.lies.is_some() {
            break;
        }
    }
    if let Some(queue) = facts.queue().cloned() {
        at_queue(&mut facts, &queue, reach).await?;
    }
    let over = facts.record.as_ref().is_some_and(|r| r.state.is_final());
    let held = |lies: &Lies| matches!(lies.place, Place::Held);
    let may_run = facts.lies.as_ref().map_or(facts.record.is_some(), held);
    if may_run && !(over && facts.lies.is_none()) {
        ask_workers(&mut facts, id, reach).await?;
    }
    if let Some(task) = facts.task() {
        facts.published = reach.read(client.task(task)).await?;
    }
    Ok(facts)
}

/// Where its message may lie.
async fn places(
    one: Option<QueueName>,
    facts: &Facts,
    reach: &Reach,
) -> Result<Vec<QueueName>, Stop> {
    if let Some(queue) = one {
        return Ok(vec![queue]);
    }
    let known = reach.read(reach.client.queues()).await?;
    let taken = facts.workers.iter().flat_map(|w| w.queues.iter().cloned());
    let all: BTreeSet<QueueName> = known.into_iter().chain(taken).collect();
    Ok(all.into_iter().collect())
}

fn take(facts: &mut Facts, queue: QueueName, found: Found) {
    facts.now = found.now;
    facts.looked_in.push(queue.clone());
    if let Some((place, body)) = found.place {
        let message = Message::decode(&body).ok();
        facts.lies = Some(Lies {
            queue,
            place,
            message,
        });
    } else if !found.complete {
        facts.partly.push(queue);
    }
}

/// What holds up a message that waits in its queue.
async fn at_queue(facts: &mut Facts, queue: &QueueName, reach: &Reach) -> Result<(), Stop> {
    let client = &reach.client;
    let Some(lies) = &facts.lies else {
        return Ok(());
    };
    let waits = matches!(
        lies.place,
        Place::Waiting { .. } | Place::Suspect { .. } | Place::Delayed { .. }
    );
    if !waits {
        return Ok(());
    }
    facts.depth = reach.read(client.depth(queue)).await?;
    facts.is_revoked = match &lies.message {
        Some(message) => reach.read(client.revoked(queue)).await?.covers(message),
        None => false,
    };
    let ahead = match lies.place {
        Place::Waiting { ahead } | Place::Suspect { ahead } => ahead,
        _ => 0,
    };
    if ahead > 0 && facts.depth.paused.is_none() {
        let (before, began) = (reach.read(client.totals(queue)).await?, Instant::now());
        tokio::time::sleep(LOOK).await;
        let after = reach.read(client.totals(queue)).await?;
        let gone = ended(&after).saturating_sub(ended(&before));
        facts.rate = Some(gone as f64 / began.elapsed().as_secs_f64());
        if gone == 0 {
            facts.busy = busy(facts, queue, reach).await?;
        }
    }
    Ok(())
}

/// What their cards say is as old as their last registration: they are asked.
async fn busy(
    facts: &Facts,
    queue: &QueueName,
    reach: &Reach,
) -> Result<Option<(usize, usize)>, Stop> {
    let here = facts.workers.iter().filter(|w| w.takes_from(queue));
    let nodes: Vec<String> = here.map(|w| w.node.clone()).collect();
    if nodes.is_empty() {
        return Ok(None);
    }
    let asking = reach.client.ask(Command::Stats, &nodes, ANSWER);
    let heard = reach.read_for(ANSWER, asking).await?;
    let pools = heard.replies.values().filter_map(|body| {
        let Stats { pool, .. } = Stats::deserialize(body).ok()?;
        Some((pool.running, pool.max_concurrency))
    });
    Ok(pools.reduce(|all, one| (all.0 + one.0, all.1 + one.1)))
}

/// How many have left a queue.
fn ended(t: &Totals) -> u64 {
    t.succeeded + t.failed + t.retried + t.dead + t.revoked
}

async fn ask_workers(facts: &mut Facts, id: TaskId, reach: &Reach) -> Result<(), Stop> {
    if facts.workers.is_empty() {
        return Ok(());
    }
    let client = &reach.client;
    let question = Command::QueryTask { ids: vec![id] };
    let asked = client.ask(question, &[], ANSWER);
    let heard = reach.read_for(ANSWER, asked).await?;
    facts.silent = heard.silent;
    for (node, body) in heard.replies {
        let mine = body.get(id.to_string());
        if let Some(run) = mine.and_then(run) {
            facts.runs.insert(node, run);
        }
    }
    Ok(())
}

/// `["active" | "reserved", …]`
fn run(told: &Value) -> Option<Run> {
    let (word, task) = (told.get(0)?.as_str()?, told.get(1)?);
    match word {
        "active" => ActiveTask::deserialize(task).ok().map(Run::Active),
        "reserved" => ReservedTask::deserialize(task).ok().map(Run::Reserved),
        _ => None,
    }
}
