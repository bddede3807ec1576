//! `taskq status`: the workers there are, one line each.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use taskq_core::control::{Command, Stats};

use super::ask::{Heard, ask};
use crate::args::Status;
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::quantity::span;
use crate::reach::Reach;
use crate::table::Table;

pub(crate) async fn run(
    status: Status,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let heard = ask(Command::Stats, status.whom, reach).await?;
    if json {
        console.json(&object(&heard));
    } else {
        console.table(&table(&heard));
        let online = heard.replies.len();
        let nodes = if online == 1 { "node" } else { "nodes" };
        console.print(&format!("{online} {nodes} online.\n"));
    }
    Ok(heard.conclude(Exit::Done, console))
}

/// Celery's shape, and what else is known.
fn object(heard: &Heard) -> Map<String, Value> {
    let online = heard.replies.iter().map(|(node, body)| {
        let answer = match Stats::deserialize(body) {
            Ok(stats) => json!({
                "ok": "pong",
                "queues": stats.queues,
                "slots": stats.pool.max_concurrency,
                "running": stats.pool.running,
                "uptime": stats.uptime,
            }),
            // A worker of another version: what it says is not understood, but it is there.
            Err(_) => json!({"ok": "pong"}),
        };
        (node.clone(), answer)
    });
    let silent = heard.silent.iter();
    let silent = silent.map(|node| (node.clone(), json!({"error": "no answer"})));
    online.chain(silent).collect()
}

fn table(heard: &Heard) -> Table {
    let mut table = Table::new(&["WORKER", "STATUS", "QUEUES", "SLOTS", "RUNNING", "UP"]);
    let unknown = || ["-"; 4].map(str::to_owned);
    for (node, body) in &heard.replies {
        let known = Stats::deserialize(body).map(|stats| {
            [
                stats.queues.join(","),
                stats.pool.max_concurrency.to_string(),
                stats.pool.running.to_string(),
                span(stats.uptime as f64),
            ]
        });
        let begin = [node.clone(), "OK".to_owned()];
        table.row(begin.into_iter().chain(known.unwrap_or_else(|_| unknown())));
    }
    for node in &heard.silent {
        let begin = [node.clone(), "silent".to_owned()];
        table.row(begin.into_iter().chain(unknown()));
    }
    table
}
