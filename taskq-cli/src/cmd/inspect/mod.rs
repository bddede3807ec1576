//! `taskq inspect …`: asks the running workers. One file per question; here, what they share.

mod active;
mod ping;

use taskq_client::Answers;
use taskq_core::control::Command;

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
    let command = match inspect.what {
        Question::Active => Command::Active,
        Question::Ping => Command::Ping,
    };
    let asking = reach
        .client
        .ask(command, &inspect.destination, inspect.timeout);
    let answers = reach.read_for(inspect.timeout, asking).await?;
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
    match missing(&answers, !inspect.destination.is_empty(), reach.address()) {
        None => Ok(shown),
        Some((exit, sentence)) => {
            console.notice(&sentence);
            Ok(if exit == Exit::Done { shown } else { exit })
        }
    }
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
