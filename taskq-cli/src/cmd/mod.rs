//! The commands: one file each.

mod ask;
mod call;
mod check;
pub(crate) mod control;
pub(crate) mod dead;
pub(crate) mod events;
mod inspect;
mod list;
mod names;
pub(crate) mod purge;
mod queues;
mod result;
mod status;
mod sure;
pub(crate) mod why;

use crate::args::Command;
use crate::console::Console;
use crate::exit::{Exit, Stop};
use crate::reach::Reach;

pub(crate) async fn run(
    command: Command,
    json: bool,
    reach: &Reach,
    console: &mut Console<'_>,
) -> Result<Exit, Stop> {
    match command {
        Command::Inspect(inspect) => inspect::run(inspect, json, reach, console).await,
        Command::Control(control) => control::run(control, json, reach, console).await,
        Command::Status(status) => status::run(status, json, reach, console).await,
        Command::Queues => queues::run(json, reach, console).await,
        Command::List => list::run(json, reach, console).await,
        Command::Events(events) => events::run(events, json, reach, console).await,
        Command::Call(call) => call::run(*call, json, reach, console).await,
        Command::Result(result) => result::run(result, json, reach, console).await,
        Command::Why(why) => why::run(why, json, reach, console).await,
        Command::Dead(dead) => dead::run(dead, json, reach, console).await,
        Command::Purge(purge) => purge::run(purge, json, reach, console).await,
    }
}
