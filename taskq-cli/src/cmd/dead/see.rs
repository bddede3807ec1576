//! `taskq dead list` and `taskq dead show`.

use serde::Serialize;
use serde_json::value::RawValue;
use taskq_client::{DeadCall, DeadCalls};

use super::{LONG, List, Show, in_queue};
use crate::cmd::sure::{counted, grouped};
use crate::console::{Console, plain};
use crate::exit::{Exit, Stop};
use crate::paint::Look;
use crate::quantity::rfc3339;
use crate::reach::Reach;
use crate::table::Table;

pub(super) async fn list(
    list: List,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let filter = list.filters.read()?;
    let dead = reach
        .work(LONG, reach.client.dead(&filter, list.limit))
        .await?;
    if json {
        console.json(&dead.calls.iter().map(Line::of).collect::<Vec<_>>());
    } else {
        console.table(&table(&dead));
    }
    if dead.fitting == 0 {
        let address = reach.address();
        console.notice(&format!("no dead message fits at {address}"));
    } else if dead.calls.len() < dead.fitting {
        let (shown, all) = (
            grouped(dead.calls.len() as u64),
            grouped(dead.fitting as u64),
        );
        console.notice(&format!("{shown} of {all} are shown; --limit shows more"));
    }
    Ok(Exit::Done)
}

pub(super) async fn show(
    show: Show,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let Show { id, queue } = show;
    let filter = in_queue(queue.clone()).ids([id]);
    let dead = reach.work(LONG, reach.client.dead(&filter, 1)).await?;
    let Some(call) = dead.calls.first() else {
        let place = queue.map_or_else(|| "any queue".to_owned(), |q| format!("the queue {q}"));
        return Err(Stop::new(
            Exit::Failed,
            format!("no message of {id} is dead in {place}; `taskq why {id}` looks everywhere"),
        ));
    };
    let whole = Whole::of(call);
    if json {
        console.json(&whole);
    } else {
        console.print(&whole.lines(console.look()));
    }
    if dead.fitting > 1 {
        let messages = counted(dead.fitting as u64, "message");
        console.notice(&format!(
            "{messages} of this id are dead; this is the newest"
        ));
    }
    Ok(Exit::Done)
}

fn table(dead: &DeadCalls) -> Table {
    let mut table = Table::new(&["SINCE", "QUEUE", "TASK", "ID", "STATE", "REASON"]);
    let unknown = || "-".to_owned();
    for call in &dead.calls {
        table.row([
            rfc3339(call.at).unwrap_or_else(unknown),
            call.queue.to_string(),
            call.task.clone().unwrap_or_else(unknown),
            call.id.map_or_else(unknown, |id| id.to_string()),
            call.state.to_string(),
            call.reason.clone(),
        ]);
    }
    table
}

/// A dead message as `dead list --json` has it.
#[derive(Serialize)]
struct Line<'a> {
    id: Option<String>,
    task: Option<&'a str>,
    queue: &'a str,
    state: &'a str,
    reason: &'a str,
    since: Option<String>,
    readable: bool,
}

impl<'a> Line<'a> {
    fn of(call: &'a DeadCall) -> Self {
        Self {
            id: call.id.map(|id| id.to_string()),
            task: call.task.as_deref(),
            queue: call.queue.as_str(),
            state: call.state.as_str(),
            reason: &call.reason,
            since: rfc3339(call.at),
            readable: call.readable,
        }
    }
}

/// A dead message with what it carries.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    message: Carried<'a>,
}

/// As it came: what is JSON as JSON, else as text.
#[derive(Serialize)]
#[serde(untagged)]
enum Carried<'a> {
    Json(&'a RawValue),
    Text(String),
}

impl<'a> Whole<'a> {
    fn of(call: &'a DeadCall) -> Self {
        let message = match serde_json::from_slice(&call.message) {
            Ok(json) => Carried::Json(json),
            Err(_) => Carried::Text(String::from_utf8_lossy(&call.message).into_owned()),
        };
        Self {
            line: Line::of(call),
            message,
        }
    }

    /// The state word, then a line for each thing that is known.
    fn lines(&self, look: Look) -> String {
        let Line {
            id,
            task,
            queue,
            state,
            reason,
            since,
            readable,
        } = &self.line;
        let mut text = look.state(state, state) + "\n";
        let mut line = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                text.push_str(&format!("{name:<9} {}\n", plain(value)));
            }
        };
        line("reason", Some(reason));
        line("task", *task);
        line("id", id.as_deref());
        line("queue", Some(queue));
        line("since", since.as_deref());
        let message = match &self.message {
            Carried::Json(json) => json.get(),
            Carried::Text(text) => text,
        };
        line("message", Some(message));
        if !readable {
            line(
                "note",
                Some("no worker could read it: it can only be dropped"),
            );
        }
        text
    }
}
