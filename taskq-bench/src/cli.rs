//! From a command line to an exit status.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Parser;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Command, What};
use crate::error::Error;
use crate::machine::Machine;
use crate::plan::Plan;
use crate::row::{Told, table};
use crate::say::say;
use crate::server::Server;

/// It was started the wrong way.
const USAGE: u8 = 2;

/// The JSON document.
#[derive(Debug, Serialize)]
struct Document {
    machine: Machine,
    tasks: u32,
    runs: u32,
    rows: Vec<Told>,
}

/// Measures what `args` ask for, the program's name first, and prints it; answers the exit status.
///
/// 0 once all was measured, whatever the figures; 1 when a measurement failed or a task did not run exactly once;
/// 2 when it was started the wrong way; 69 without a redis-server or its own worker program.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    let what = match Command::try_parse_from(args) {
        Ok(command) => command.what,
        Err(error) => {
            // Nothing is left to do about a stderr that is closed.
            drop(error.print());
            return u8::try_from(error.exit_code()).unwrap_or(USAGE);
        }
    };
    let measured = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::failed(format!("the runtime does not start: {e}")))
        .and_then(|runtime| {
            // On the runtime's own threads, as the handlers of a service are.
            let measured = runtime.block_on(runtime.spawn(until_signal(what)));
            // A limit under way must not hold up the end.
            runtime.shutdown_background();
            measured.map_err(|e| Error::failed(format!("it broke off: {e}")))?
        });
    let printed = measured.and_then(|document| {
        print(&document, what.options().json)
            .map_err(|e| Error::failed(format!("the answer can not be printed: {e}")))
    });
    match printed {
        Ok(()) => 0,
        Err(error) => {
            say(&format_args!("error: {error}"));
            error.exit()
        }
    }
}

/// Ends by SIGTERM and Ctrl-C as well, so that neither Redis nor a worker is left behind.
async fn until_signal(what: What) -> Result<Document, Error> {
    let listen = |kind| signal(kind).map_err(|e| Error::failed(format!("no signal handler: {e}")));
    let (mut terminate, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    tokio::select! {
        measured = measure(what) => measured,
        _ = terminate.recv() => Err(Error::failed("stopped by SIGTERM")),
        _ = interrupt.recv() => Err(Error::failed("stopped by Ctrl-C")),
    }
}

async fn measure(what: What) -> Result<Document, Error> {
    let options = what.options();
    let mut server = Server::start(options.broker, options.sync).await?;
    let machine = Machine::new(server.version().await?);
    say(&machine.shown());
    let mut plan = Plan::new(what);
    for run in 1..=options.runs {
        let tell = |part: &str| say(&format_args!("run {run} of {}: {part}", options.runs));
        plan.run(&mut server, &tell).await?;
    }
    Ok(Document {
        machine,
        tasks: options.tasks,
        runs: options.runs,
        rows: plan.told(),
    })
}

fn print(document: &Document, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, document)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", table(&document.rows))?;
        writeln!(
            out,
            "medians and ranges of {} {}; {} tasks a drain or send; CPU of the broker's own process + worker",
            document.runs,
            if document.runs == 1 { "run" } else { "runs" },
            document.tasks
        )?;
    }
    out.flush()
}
