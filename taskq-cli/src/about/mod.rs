//! Commands about the program itself: they need no broker.

mod completions;
mod man;

use clap::Subcommand;

use crate::args;
use crate::console::Console;
use crate::exit::{Exit, Stop};

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    OfBroker(args::Command),
    #[command(flatten)]
    About(About),
}

#[derive(Debug, Subcommand)]
pub(crate) enum About {
    /// Print what makes a shell complete the words of taskq
    Completions(completions::Completions),
    /// Print the manual page, or write those of all commands to a directory
    Man(man::Man),
}

pub(crate) fn run(about: About, console: &mut Console<'_>) -> Result<Exit, Stop> {
    match about {
        About::Completions(completions) => completions.run(console),
        About::Man(man) => man.run(console),
    }
}

/// The command line as far as it is worth telling: without what is only answered with a sentence.
fn shown() -> clap::Command {
    use clap::CommandFactory;
    args::Cli::command()
}
