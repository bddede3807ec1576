//! `taskq inspect …`: asks the running workers. One file per question.

mod active;
mod active_queues;
mod conf;
mod ping;
mod query_task;
mod registered;
mod report;
mod reserved;
mod revoked;
mod scheduled;
mod stats;

use taskq_core::control::Command;

use super::ask::{ask, refusal, understood};
use crate::args::{Inspect, Question};
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

pub(crate) async fn run(
    inspect: Inspect,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let command = command(&inspect.what);
    let heard = ask(command, inspect.whom, reach).await?;
    let replies = &heard.replies;
    let shown = if json {
        console.json(replies);
        match replies.values().any(|body| refusal(body).is_some()) {
            true => Exit::Failed,
            false => Exit::Done,
        }
    } else if replies.is_empty() {
        Exit::Done
    } else {
        match inspect.what {
            Question::Active => active::show(replies, console),
            Question::ActiveQueues => active_queues::show(replies, console),
            Question::Conf => conf::show(replies, console),
            Question::Ping => ping::show(replies, console),
            Question::QueryTask { ids } => query_task::show(&ids, replies, console),
            Question::Registered => registered::show(replies, console),
            Question::Report => report::show(replies, console),
            Question::Reserved => reserved::show(replies, console),
            Question::Revoked => revoked::show(replies, console),
            Question::Scheduled => scheduled::show(replies, console),
            Question::Stats => stats::show(replies, console),
        }
    };
    Ok(heard.conclude(shown, console))
}

fn command(question: &Question) -> Command {
    match question {
        Question::Active => Command::Active,
        Question::ActiveQueues => Command::ActiveQueues,
        Question::Conf => Command::Conf,
        Question::Ping => Command::Ping,
        Question::QueryTask { ids } => Command::QueryTask { ids: ids.clone() },
        Question::Registered => Command::Registered,
        Question::Report => Command::Report,
        Question::Reserved => Command::Reserved,
        Question::Revoked => Command::Revoked,
        Question::Scheduled => Command::Scheduled,
        Question::Stats => Command::Stats,
    }
}

/// Arguments of both kinds in one cell, the empty ones left out.
fn arguments(args: &serde_json::Value, kwargs: &serde_json::Value) -> String {
    use serde_json::Value;
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    let given = [args, kwargs].into_iter().filter(|v| !is_empty(v));
    given.map(Value::to_string).collect::<Vec<_>>().join(" ")
}

/// Those who answered, for a sentence that says that they have nothing.
fn nodes<T>(replies: &std::collections::BTreeMap<String, T>) -> String {
    let nodes: Vec<_> = replies.keys().map(String::as_str).collect();
    nodes.join(", ")
}
