//! The command line of a worker, as one main in library form: the only place of the libraries that reads arguments and
//! environment, prints, and installs a log.

mod args;
mod celery;
mod logging;
mod signals;
mod size;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use taskq_core::broker::{ChosenBroker, Served};
use taskq_core::task::Registry;
use taskq_core::{Error, QueueName};
use tokio_util::sync::CancellationToken;

use self::args::Args;
use crate::config::default_concurrency;
use crate::error::RunError;
use crate::worker::{Builder, Worker};

/// Why a program does not give its worker what it needs.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// The stop was asked for and done.
const STOPPED: u8 = 0;
/// A hook of the program's own did not let it start.
const NOT_STARTED: u8 = 1;
/// It was started the wrong way.
const USAGE: u8 = 2;
/// A bug of ours, or a task that does not end: to be started again.
const INTERNAL: u8 = 70;

/// Threads of the blocking pool beside those of tasks: name resolution, files.
const SPARE_THREADS: usize = 16;

/// Up to so many slots, operators may add as many as they like: plain functions find threads.
const LEAST_THREADS: usize = 512;

/// For who tries a worker with the broker of tests.
const IN_MEMORY: &str = "memory:// is a broker inside this process: what it holds ends with it, and no other program reaches it, \
    neither one that sends nor taskq; sqlite:///path/to/file and redis://host:6379/0 are ones that all reach";

/// Runs a worker with every task that is linked into this program, as its arguments and environment say.
///
/// Exit status: 0 after a warm stop, 1 when a hook of the start failed or the broker holds what can not be read
/// ([`ErrorKind::exit_status`](taskq_core::ErrorKind::exit_status)), 2 when it was started the wrong way, 70 after an internal
/// error or when a task that was cut off did not end within the grace (a supervisor starts it again), 143 or 130 when a second
/// SIGTERM or Ctrl-C ended it at once.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     taskq_worker::cli::main()
/// }
/// ```
#[must_use]
pub fn main() -> ExitCode {
    main_with(Ok)
}

/// The same for tasks that need more around them: `complete` gives the worker what they share, its middleware, and what
/// it does at its start and its end ([`Builder::state`], [`Builder::middleware`], [`Builder::on_start`]).
///
/// It is called once, after the arguments were read: `--help` and a wrong flag do nothing else. Its error is
/// shown as it is, and ends the program with status 2.
///
/// ```no_run
/// struct Stock;
///
/// fn main() -> std::process::ExitCode {
///     taskq_worker::cli::main_with(|worker| Ok(worker.state(Stock)))
/// }
/// ```
#[must_use]
pub fn main_with(complete: impl FnOnce(Builder) -> Result<Builder, Refusal>) -> ExitCode {
    run_with(std::env::args_os(), complete).into()
}

/// As [`main`] with arguments given, the program's name first; answers the exit status.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    run_with(args, Ok)
}

/// As [`main_with`] with arguments given, the program's name first; answers the exit status.
pub fn run_with(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    complete: impl FnOnce(Builder) -> Result<Builder, Refusal>,
) -> u8 {
    let (args, notices) = match read(args) {
        Ok(read) => read,
        Err(error) => {
            // Nothing is left to do about a stderr that is closed.
            drop(error.print());
            return u8::try_from(error.exit_code()).unwrap_or(USAGE);
        }
    };
    for notice in notices {
        say(&notice);
    }
    let stop = CancellationToken::new();
    let worker = match prepare(&args, stop.clone(), complete) {
        Ok(worker) => worker,
        Err(error) => return refuse(&error),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Functions that were cut off and go on keep their thread for a while.
        .max_blocking_threads(2 * threads(&args) + SPARE_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format_args!("error: the runtime does not start: {error}"));
            return INTERNAL;
        }
    };
    let signals = signals::listen(stop);
    // Both are woken from threads of their own: this works even while tasks block the whole runtime.
    let status = runtime.block_on(async {
        tokio::select! {
            end = worker.run() => match end {
                Ok(()) => STOPPED,
                Err(error) if error.is_usage() => refuse(&error),
                Err(RunError::Broker(error)) => {
                    say(&format_args!("error: {error}"));
                    error.kind().exit_status()
                }
                Err(error @ RunError::Start(_)) => {
                    say(&format_args!("error: {error}"));
                    NOT_STARTED
                }
                Err(error) => {
                    say(&format_args!("error: {error}"));
                    INTERNAL
                }
            },
            status = signals => status.unwrap_or_else(|error| {
                say(&format_args!("error: {error}"));
                INTERNAL
            }),
        }
    });
    // Functions that still block must not keep the process.
    runtime.shutdown_background();
    status
}

/// How many plain functions can run at once: as many as there are slots, and some for operators to add. Threads are
/// started when they are needed.
fn threads(args: &Args) -> usize {
    let slots = args.concurrency.unwrap_or_else(default_concurrency);
    slots.saturating_mul(2).max(LEAST_THREADS)
}

fn read(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<(Args, Vec<String>), clap::Error> {
    let mut command = without_empty_variables(celery::known_to(Args::command()));
    let given = command.try_get_matches_from_mut(args)?;
    let refuse = |command: &mut clap::Command, why: String| {
        command.error(clap::error::ErrorKind::InvalidValue, why)
    };
    let notices = celery::answer(&given).map_err(|why| refuse(&mut command, why))?;
    Ok((Args::from_arg_matches(&given)?, notices))
}

/// A variable that is set to nothing counts as unset: compose files pass such ones on.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        match value {
            Some(value) if value.is_empty() => arg.env(clap::builder::Resettable::Reset),
            _ => arg,
        }
    })
}

fn prepare(
    args: &Args,
    stop: CancellationToken,
    complete: impl FnOnce(Builder) -> Result<Builder, Refusal>,
) -> Result<Worker, Refusal> {
    let filter = logging::filter(&args.loglevel).map_err(Error::invalid)?;
    let registry = Registry::collect()?;
    let queues = queues(args, &registry)?;
    if !logging::install(filter, args.log_format) {
        say(&"this program has a log of its own: --loglevel and --log-format change nothing");
    }
    let broker = ChosenBroker::from(args.broker.clone(), |name| std::env::var_os(name))?;
    if broker.url.starts_with("memory:") {
        say(&IN_MEMORY);
    }
    if let Some(notice) = &broker.notice {
        say(notice);
    }
    let mut builder = Worker::builder()
        .url(&broker.url)
        .strict(args.strict)
        .threads(threads(args))
        .grace(args.grace)
        .lease(args.lease)
        .registry(registry)
        .stop(stop);
    // Without a word about queues the default is the worker's own, and it says which others it leaves out.
    if !(args.queues.is_empty() && args.exclude_queues.is_empty()) {
        builder = builder.queues(queues.iter().map(|s| s.queue.as_str()));
    }
    for served in queues.iter().filter(|s| s.weight != 1) {
        builder = builder.queue_weight(served.queue.as_str(), served.weight);
    }
    if let Some(slots) = args.concurrency {
        builder = builder.concurrency(slots);
    }
    if let Some(limit) = args.time_limit {
        builder = builder.time_limit(limit);
    }
    if let Some(limit) = args.soft_time_limit {
        builder = builder.soft_time_limit(limit);
    }
    if let Some(name) = &args.hostname {
        builder = builder.node(name);
    }
    if let Some(runs) = args.max_tasks {
        builder = builder.max_tasks(runs);
    }
    if let Some(bytes) = args.max_memory {
        builder = builder.max_memory(bytes);
    }
    if let Some(address) = &args.health_addr {
        builder = builder.health_addr(address);
    }
    Ok(complete(builder)?.build()?)
}

fn queues(args: &Args, registry: &Registry) -> Result<Vec<Served>, Error> {
    let mut names: Vec<&QueueName> = args.queues.iter().map(|s| &s.queue).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let queue = twice[0];
        return Err(Error::invalid(format!(
            "-Q/--queues names the queue {queue} twice: name it once, with its weight if it has one, such as {queue}=3"
        )));
    }
    let all = if !args.queues.is_empty() {
        args.queues.clone()
    } else if args.exclude_queues.is_empty() {
        vec![QueueName::default().into()]
    } else {
        let mut used = registry
            .iter()
            .map(|def| QueueName::new(def.queue))
            .collect::<Result<Vec<_>, _>>()?;
        used.sort();
        used.dedup();
        used.into_iter().map(Served::from).collect()
    };
    let left: Vec<_> = all
        .into_iter()
        .filter(|s| !args.exclude_queues.contains(&s.queue))
        .collect();
    if left.is_empty() {
        return Err(Error::invalid(
            "no queue is left: -X/--exclude-queues takes all of them away",
        ));
    }
    Ok(left)
}

fn refuse(error: &dyn std::fmt::Display) -> u8 {
    say(&format_args!("error: {error}"));
    USAGE
}

/// Writes a line to stderr. With nobody behind it there is nobody to tell, and a worker must not end by what it says.
fn say(line: &dyn std::fmt::Display) {
    drop(writeln!(std::io::stderr(), "{line}"));
}
