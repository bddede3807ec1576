//! `taskq inspect …`: asks the running workers. One file per question; here, what they share.

mod active;
mod ping;

use std::collections::BTreeSet;

use taskq_client::Answers;
use taskq_core::control::Command;

use crate::args::{Inspect, Question};
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

/// A sentence names no more workers than these.
const NAMED_AT_MOST: usize = 20;

pub(crate) async fn run(
    inspect: Inspect,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    let command = match inspect.what {
        Question::Active => Command::Active,
        Question::Ping => Command::Ping,
    };
    let (named, strangers) = known(inspect.destination, reach).await?;
    // Asked without names, all would answer.
    let answers = if named.is_empty() && strangers.is_some() {
        Answers::default()
    } else {
        let asking = reach.client.ask(command, &named, inspect.timeout);
        reach.read_for(inspect.timeout, asking).await?
    };
    let shown = if json {
        console.json(&answers.replies);
        Exit::Done
    } else if answers.replies.is_empty() {
        Exit::Done
    } else {
        match inspect.what {
            Question::Active => active::show(&answers.replies, console),
            Question::Ping => ping::show(&answers.replies, console),
        }
    };
    let mut end = shown;
    let silent = match &strangers {
        Some(_) if named.is_empty() => None,
        _ => missing(&answers, !named.is_empty(), reach.address()),
    };
    let unknown = strangers.map(|sentence| (Exit::Unreachable, sentence));
    for (exit, sentence) in unknown.into_iter().chain(silent) {
        console.notice(&sentence);
        if exit != Exit::Done {
            end = exit;
        }
    }
    Ok(end)
}

/// Those of `named` that are registered, and what is to be said about the others.
async fn known(named: Vec<String>, reach: &Reach) -> Result<(Vec<String>, Option<String>), Stop> {
    if named.is_empty() {
        return Ok((named, None));
    }
    let workers = reach.read(reach.client.workers()).await?;
    let nodes: BTreeSet<String> = workers.into_iter().map(|card| card.node).collect();
    let (known, strangers): (Vec<_>, Vec<_>) =
        named.into_iter().partition(|name| nodes.contains(name));
    if strangers.is_empty() {
        return Ok((known, None));
    }
    let strangers: Vec<String> = strangers.iter().map(|name| format!("`{name}`")).collect();
    let mut there: Vec<&str> = nodes
        .iter()
        .take(NAMED_AT_MOST)
        .map(String::as_str)
        .collect();
    if nodes.len() > NAMED_AT_MOST {
        there.push("…");
    }
    let there = if there.is_empty() {
        "none is".to_owned()
    } else {
        format!("there are: {}", there.join(", "))
    };
    let sentence = format!("no worker {} is registered; {there}", strangers.join(", "));
    Ok((known, Some(sentence)))
}

/// What is to be said about workers that are not heard from, and how bad it is.
fn missing(answers: &Answers, named: bool, address: &str) -> Option<(Exit, String)> {
    if answers.replies.is_empty() && answers.silent.is_empty() {
        return Some((Exit::Unreachable, format!("no worker runs at {address}")));
    }
    if answers.silent.is_empty() {
        return None;
    }
    let exit = if named || answers.replies.is_empty() {
        Exit::Unreachable
    } else {
        Exit::Done
    };
    let silent = answers.silent.join(", ");
    Some((exit, format!("no answer from {silent}; `-t` waits longer")))
}
