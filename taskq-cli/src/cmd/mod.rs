//! The commands: one file each.

mod ask;
mod call;
pub(crate) mod control;
pub(crate) mod events;
mod inspect;
mod list;
mod queues;
mod result;
mod status;

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
    }
}
