//! `taskq inspect …`: asks the running workers. One file per question.

mod active;
mod ping;
mod registered;
mod stats;

use taskq_core::control::Command;

use super::ask::{ask, understood};
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
        Question::Registered => Command::Registered,
        Question::Stats => Command::Stats,
    };
    let heard = ask(command, inspect.whom, reach).await?;
    let replies = &heard.replies;
    let shown = if json {
        console.json(replies);
        Exit::Done
    } else if replies.is_empty() {
        Exit::Done
    } else {
        match inspect.what {
            Question::Active => active::show(replies, console),
            Question::Ping => ping::show(replies, console),
            Question::Registered => registered::show(replies, console),
            Question::Stats => stats::show(replies, console),
        }
    };
    Ok(heard.conclude(shown, console))
}
