//! `taskq`, the command line for operators: what runs, send one, what became of it.
//!
//! It needs no user code, only the broker. docs/guides/cli.md is its manual.

mod about;
mod args;
mod cmd;
mod console;
mod exit;
mod follow;
mod paint;
mod quantity;
mod reach;
mod record_view;
mod table;
mod unbuilt;
mod wrap;

use std::ffi::OsString;
use std::sync::Arc;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, CommandFactory, FromArgMatches};
use taskq_core::broker::{Backend, ChosenBroker};
use taskq_core::{Error, ErrorKind};

pub use console::Console;
pub use exit::Exit;

use args::Cli;
use console::Stream;
use exit::Stop;
use reach::Reach;

/// Celery's option that names an application.
const APP: &str = "app";

/// Runs one command line, the program's name first; `connect` makes a broker of a URL.
pub async fn run<A, C, F>(args: A, console: &mut Console<'_>, connect: C) -> Exit
where
    A: IntoIterator<Item = OsString>,
    C: FnOnce(String) -> F,
    F: Future<Output = Result<Arc<dyn Backend>, Error>>,
{
    let line = without_empty_variables(with_habits(Cli::command())).try_get_matches_from(args);
    let read = line.and_then(|line| Ok((line.contains_id(APP), Cli::from_arg_matches(&line)?)));
    let result = match read {
        Ok((true, _)) => Err(Stop::new(
            Exit::Usage,
            "-A is not needed: taskq knows tasks by their name and needs no application; leave it out",
        )),
        Ok((false, cli)) => carry_out(cli, console, connect).await,
        Err(error) => return refuse(error, console),
    };
    let exit = result.unwrap_or_else(|stop| {
        console.notice(&stop.text);
        stop.exit
    });
    console.finish(exit)
}

/// What people type by habit, and what is answered with why it is not needed: neither help nor completions know it.
fn with_habits(command: Command) -> Command {
    let app = Arg::new(APP).short('A').long(APP).value_name("APP");
    command.arg(app.global(true).hide(true))
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
    match cli.command {
        about::Command::About(about) => about::run(about, console),
        about::Command::OfBroker(command) => {
            let broker = ChosenBroker::from(cli.broker, |name| std::env::var_os(name))?;
            if let Some(notice) = &broker.notice {
                console.notice(notice);
            }
            let reach = Reach::connect(broker.url, connect).await?;
            cmd::run(command, cli.json, &reach, console).await
        }
    }
}

/// Answers a command line that can not be carried out, or that asks for help.
fn refuse(error: clap::Error, console: &mut Console<'_>) -> Exit {
    if let Some(sentence) = unbuilt::explain(&error) {
        console.notice(&sentence);
        return console.finish(Exit::Usage);
    }
    let error = without_hidden_tips(error);
    let text = without_given(&error.render().to_string());
    let stream = if error.use_stderr() {
        Stream::Err
    } else {
        Stream::Out
    };
    let text = match console.columns(stream) {
        Some(width) => wrap::wrapped(&text, width),
        None => text,
    };
    match stream {
        Stream::Err => {
            console.complain(&text);
            console.finish(Exit::Usage)
        }
        Stream::Out => {
            console.print(&text);
            console.finish(Exit::Done)
        }
    }
}

/// A usage line names what was given beside what is needed, as if that were needed, too.
fn without_given(text: &str) -> String {
    let line = |line: &str| match line.starts_with("Usage:") {
        true => line.replace(" --broker <URL>", "").replace(" --json", ""),
        false => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

/// Takes away the advice to try an option that would be refused.
fn without_hidden_tips(mut error: clap::Error) -> clap::Error {
    let advised = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(option)) => option.trim_start_matches('-') == APP,
        _ => false,
    };
    if advised {
        error.remove(ContextKind::SuggestedArg);
    }
    error
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Unreachable => Exit::Unreachable,
            ErrorKind::Invalid | ErrorKind::Unsupported => Exit::Usage,
            // It was reached, and did not do it.
            _ => Exit::Failed,
        };
        Self {
            passes: error.is_transient(),
            ..Self::new(exit, error.to_string())
        }
    }
}
