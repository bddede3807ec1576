//! Asking the running workers, and what is to be said about those that do not answer.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use taskq_client::Answers;
use taskq_core::control::Command;

use super::names::{nodes, there};
use crate::args::Whom;
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

/// What is said of those that do not answer a question, and of those that do not say what they did.
const UNTOLD: &str = "`-t` waits longer";
const UNSURE: &str = "it may be done there all the same; `-t` waits longer";

/// What was heard, and from whom it should have been.
pub(super) struct Heard {
    pub(super) replies: BTreeMap<String, Value>,
    pub(super) silent: Vec<String>,
    /// What is to be said, and how bad it is.
    said: Vec<(Exit, String)>,
}

pub(super) async fn ask(question: Command, whom: Whom, reach: &Reach) -> Result<Heard, Stop> {
    hear(question, whom, UNTOLD, reach).await
}

/// As [`ask`], for what changes something.
pub(super) async fn tell(order: Command, whom: Whom, reach: &Reach) -> Result<Heard, Stop> {
    hear(order, whom, UNSURE, reach).await
}

async fn hear(command: Command, whom: Whom, silence: &str, reach: &Reach) -> Result<Heard, Stop> {
    let (named, strangers) = known(whom.destination, reach).await?;
    // Asked without names, all would answer.
    let nobody = named.is_empty() && strangers.is_some();
    let answers = if nobody {
        Answers::default()
    } else {
        let asking = reach.client.ask(command, &named, whom.timeout);
        reach.read_for(whom.timeout, asking).await?
    };
    let silent = if nobody {
        None
    } else {
        missing(&answers, !named.is_empty(), silence, reach.address())
    };
    let unknown = strangers.map(|sentence| (Exit::Unreachable, sentence));
    let beside = answers.notices.iter().flat_map(|(node, notices)| {
        let said = move |notice| (Exit::Done, format!("{node}: {notice}"));
        notices.iter().map(said)
    });
    Ok(Heard {
        replies: answers.replies,
        silent: answers.silent,
        said: unknown.into_iter().chain(silent).chain(beside).collect(),
    })
}

impl Heard {
    /// Says what is to be said; `shown` is how showing the answers ended.
    pub(super) fn conclude(&self, shown: Exit, console: &mut Console<'_>) -> Exit {
        let mut end = shown;
        for (exit, sentence) in &self.said {
            console.notice(sentence);
            if *exit != Exit::Done {
                end = *exit;
            }
        }
        end
    }
}

/// The answers in the shape of their command, by node. `Exit::Failed`, and a notice, for those of another shape.
pub(super) fn understood<'a, T: Deserialize<'a>>(
    replies: &'a BTreeMap<String, Value>,
    console: &mut Console<'_>,
) -> (Vec<(&'a str, T)>, Exit) {
    let mut exit = Exit::Done;
    let mut read = Vec::new();
    for (node, body) in replies {
        if let Some(sentence) = refusal(body) {
            console.notice(&format!("{node}: {sentence}"));
            exit = Exit::Failed;
            continue;
        }
        match T::deserialize(body) {
            Ok(answer) => read.push((node.as_str(), answer)),
            Err(error) => {
                console.notice(&format!(
                    "{node} answers what this version does not understand ({error}); --json shows it as it is"
                ));
                exit = Exit::Failed;
            }
        }
    }
    (read, exit)
}

/// What a worker says that could not answer, or did not do as it was told.
pub(super) fn refusal(body: &Value) -> Option<&str> {
    let fields = body.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("error")?.as_str()
}

/// Those of `named` that are registered, and what is to be said about the others.
pub(super) async fn known(
    named: Vec<String>,
    reach: &Reach,
) -> Result<(Vec<String>, Option<String>), Stop> {
    if named.is_empty() {
        return Ok((named, None));
    }
    let workers = reach.read(reach.client.workers()).await?;
    let live: BTreeSet<&str> = workers.iter().map(|card| card.node.as_str()).collect();
    let (known, strangers): (Vec<_>, Vec<_>) = named
        .into_iter()
        .partition(|name| live.contains(name.as_str()));
    if strangers.is_empty() {
        return Ok((known, None));
    }
    let instead = match &*strangers {
        [name] => nodes(name, &live),
        _ => there(&live),
    };
    let strangers: Vec<String> = strangers.iter().map(|name| format!("`{name}`")).collect();
    let sentence = format!(
        "no worker {} is registered; {instead}",
        strangers.join(", ")
    );
    Ok((known, Some(sentence)))
}

/// What is to be said about workers that are not heard from, and how bad it is.
fn missing(answers: &Answers, named: bool, silence: &str, address: &str) -> Option<(Exit, String)> {
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
    Some((exit, format!("no answer from {silent}; {silence}")))
}
