//! `taskq queues`: what lies in each queue.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use taskq_client::{Client, Depth, QueueName};
use taskq_core::{Error, ErrorKind};
use tokio::task::JoinSet;

use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::quantity::span;
use crate::reach::Reach;
use crate::table::Table;

/// So many queues are read at a time.
const AT_ONCE: usize = 32;

const TITLES: [&str; 8] = [
    "QUEUE",
    "WAITING",
    "DELAYED",
    "IN FLIGHT",
    "DEAD",
    "OLDEST",
    "PAUSED",
    "WORKERS",
];

pub(crate) async fn run(
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let (queues, troubles) = reach.read(read(&reach.client)).await?;
    if json {
        console.json(&queues);
    } else {
        console.table(&table(&queues));
    }
    for trouble in &troubles {
        console.notice(trouble);
    }
    if !troubles.is_empty() {
        return Ok(Exit::Failed);
    }
    if queues.is_empty() {
        let address = reach.address();
        console.notice(&format!(
            "there is no queue at {address}: nobody has sent to one or listened at one"
        ));
    }
    Ok(Exit::Done)
}

/// A queue as `--json` has it.
#[derive(Serialize)]
struct Queue {
    waiting: u64,
    delayed: u64,
    in_flight: u64,
    dead: u64,
    oldest_ms: Option<u64>,
    paused: bool,
    workers: usize,
}

impl Queue {
    fn new(depth: &Depth, workers: usize) -> Self {
        Self {
            // Those on their last life wait as well.
            waiting: depth.waiting + depth.suspects,
            delayed: depth.delayed,
            in_flight: depth.in_flight,
            dead: depth.dead,
            oldest_ms: depth.oldest_ms,
            paused: depth.paused.is_some(),
            workers,
        }
    }
}

/// The queues, and what is to be said about those that can not be read: a key of a wrong type hides no other queue.
async fn read(client: &Client) -> Result<(BTreeMap<QueueName, Queue>, Vec<String>), Error> {
    let workers = client.workers().await?;
    // A server that was emptied may not have heard of a worker's queues again yet.
    let taken = workers.iter().flat_map(|w| w.queues.iter().cloned());
    let known: BTreeSet<QueueName> = client.queues().await?.into_iter().chain(taken).collect();
    let mut names = known.into_iter();
    let mut reads = JoinSet::new();
    let (mut queues, mut troubles) = (BTreeMap::new(), Vec::new());
    loop {
        for name in names.by_ref().take(AT_ONCE - reads.len()) {
            let client = client.clone();
            reads.spawn(async move { (client.depth(&name).await, name) });
        }
        let Some(read) = reads.join_next().await else {
            troubles.sort_unstable();
            return Ok((queues, troubles));
        };
        let (depth, name) =
            read.map_err(|e| Error::new(ErrorKind::Protocol, format!("reading a queue: {e}")))?;
        let depth = match depth {
            Ok(depth) => depth,
            Err(error) if error.kind() == ErrorKind::WrongType => {
                troubles.push(format!("the queue {name} can not be read: {error}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        let there = workers.iter().filter(|w| w.takes_from(&name)).count();
        queues.insert(name, Queue::new(&depth, there));
    }
}

fn table(queues: &BTreeMap<QueueName, Queue>) -> Table {
    let mut table = Table::new(&TITLES);
    for (name, queue) in queues {
        let age = |ms: u64| span(ms as f64 / 1e3);
        table.row([
            name.to_string(),
            queue.waiting.to_string(),
            queue.delayed.to_string(),
            queue.in_flight.to_string(),
            queue.dead.to_string(),
            queue.oldest_ms.map_or_else(|| "-".to_owned(), age),
            if queue.paused { "yes" } else { "no" }.to_owned(),
            queue.workers.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use taskq_core::broker::Paused;

    use super::*;

    fn shown(depth: Depth) -> (String, String) {
        let name: QueueName = "geo".parse().expect("a name");
        let queues = BTreeMap::from([(name, Queue::new(&depth, 2))]);
        let json = serde_json::to_string(&queues).expect("plain fields");
        (json, table(&queues).render(crate::paint::Look::default()))
    }

    #[test]
    fn a_queue_is_exactly_these_fields() {
        let depth = Depth {
            waiting: 3,
            suspects: 2,
            delayed: 7,
            in_flight: 11,
            dead: 13,
            oldest_ms: Some(185_400),
            paused: Some(Paused {
                by: "ana".into(),
                reason: "the bank is away".into(),
                since: 1,
            }),
        };
        let (json, table) = shown(depth);
        assert_eq!(
            json,
            r#"{"geo":{"waiting":5,"delayed":7,"in_flight":11,"dead":13,"oldest_ms":185400,"paused":true,"workers":2}}"#
        );
        let lines = "\
QUEUE  WAITING  DELAYED  IN FLIGHT  DEAD  OLDEST  PAUSED  WORKERS
geo    5        7        11         13    3m05s   yes     2
";
        assert_eq!(table, lines);
        let (json, table) = shown(Depth::default());
        assert!(
            json.contains(r#""oldest_ms":null,"paused":false"#),
            "{json}"
        );
        assert!(table.contains("-       no"), "{table}");
    }
}
