//! `taskq`, the command line for operators: what runs, send one, what became of it.
//!
//! It needs no user code, only the broker. docs/guides/cli.md is its manual.

mod args;
mod cmd;
mod console;
mod exit;
mod follow;
mod quantity;
mod reach;
mod record_view;
mod table;
mod unbuilt;

use std::ffi::OsString;
use std::sync::Arc;

use clap::builder::Resettable;
use clap::{Command, CommandFactory, FromArgMatches};
use taskq_core::broker::Backend;
use taskq_core::{Error, ErrorKind};

pub use console::Console;
pub use exit::Exit;

use args::Cli;
use exit::Stop;
use reach::Reach;

/// Runs one command line, the program's name first; `connect` makes a broker of a URL.
pub async fn run<A, C, F>(args: A, console: &mut Console<'_>, connect: C) -> Exit
where
    A: IntoIterator<Item = OsString>,
    C: FnOnce(String) -> F,
    F: Future<Output = Result<Arc<dyn Backend>, Error>>,
{
    let line = without_empty_variables(Cli::command()).try_get_matches_from(args);
    let cli = match line.and_then(|line| Cli::from_arg_matches(&line)) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, console),
    };
    let result = carry_out(cli, console, connect).await;
    let exit = result.unwrap_or_else(|stop| {
        console.notice(&stop.text);
        stop.exit
    });
    console.finish(exit)
}

/// A variable that is set to nothing counts as unset, as for the worker.
fn without_empty_variables(command: Command) -> Command {
    command.mut_args(|arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        match value {
            Some(value) if value.is_empty() => arg.env(Resettable::Reset),
            _ => arg,
        }
    })
}

async fn carry_out<C, F>(cli: Cli, console: &mut Console<'_>, connect: C) -> Result<Exit, Stop>
where
    C: FnOnce(String) -> F,
    F: Future<Output = Result<Arc<dyn Backend>, Error>>,
{
    if cli.app.is_some() {
        return Err(Stop::new(
            Exit::Usage,
            "-A is not needed: taskq knows tasks by their name and needs no application; leave it out",
        ));
    }
    let reach = Reach::connect(cli.broker, connect).await?;
    cmd::run(cli.command, cli.json, &reach, console).await
}

/// Answers a command line that can not be carried out, or that asks for help.
fn refuse(error: &clap::Error, console: &mut Console<'_>) -> Exit {
    if let Some(sentence) = unbuilt::explain(error) {
        console.notice(&sentence);
        return console.finish(Exit::Usage);
    }
    let text = error.render().to_string();
    if error.use_stderr() {
        console.complain(&text);
        console.finish(Exit::Usage)
    } else {
        console.print(&text);
        console.finish(Exit::Done)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Unreachable | ErrorKind::Refused => Exit::Unreachable,
            ErrorKind::Invalid | ErrorKind::Unsupported => Exit::Usage,
            _ => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}
