//! `taskq`: see the library.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use taskq_cli::{Console, run};
use taskq_core::Error;
use taskq_core::broker::Backend;
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let (out_terminal, err_terminal) = (out.is_terminal(), err.is_terminal());
    let mut input = std::io::stdin().lock();
    let (mut interrupt, mut left) = (pin!(ctrl_c()), pin!(reader_left()));
    let has_person = input.is_terminal() && err_terminal;
    let mut console = Console::new(&mut out, &mut err)
        .terminal(out_terminal)
        .err_terminal(err_terminal)
        .colours(out_terminal && !is_set("NO_COLOR"))
        .interrupt(interrupt.as_mut())
        .reader_left(left.as_mut())
        .operator(operator());
    if let Some(columns) = columns(&std::io::stdout()) {
        console = console.width(columns);
    }
    if let Some(columns) = columns(&std::io::stderr()) {
        console = console.err_width(columns);
    }
    if has_person {
        console = console.person(&mut input);
    }
    run(std::env::args_os(), &mut console, connect).await.into()
}

/// Whether a variable is there and not empty.
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// How wide a stream is that is a terminal: as its user says, else as it says itself.
fn columns(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let said = std::env::var("COLUMNS").ok();
    let said = said
        .and_then(|columns| columns.parse().ok())
        .filter(|&n| n > 0);
    said.or_else(|| terminal_size::terminal_size_of(stream).map(|(width, _)| width.0.into()))
}

/// Until this is first waited for, Ctrl-C ends the program as it ends any other.
async fn ctrl_c() {
    // Without a signal that could be heard, it ends the program as before.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A pipe that nobody reads any more would be noticed by the next write alone, which may never come.
async fn reader_left() {
    let stdout = std::io::stdout().as_fd().try_clone_to_owned();
    // Unchecked: the check would come with a mode that is not the one to write in. examples/quickstart/out.rs does the same.
    let watched = stdout.and_then(Sender::from_owned_fd_unchecked);
    // Files can not be watched, nor do they leave.
    let left = match &watched {
        Ok(stdout) => stdout.ready(Interest::ERROR).await.is_ok(),
        Err(_) => false,
    };
    if !left {
        std::future::pending::<()>().await;
    }
}

/// Who types, as others know them: `ana@desk`.
fn operator() -> String {
    let user = ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|user| !user.is_empty());
    let host = gethostname::gethostname();
    let user = user.unwrap_or_else(|| "somebody".to_owned());
    format!("{user}@{}", host.to_string_lossy())
}

async fn connect(url: String) -> Result<Arc<dyn Backend>, Error> {
    // What is sent there would be gone with this process.
    if url.starts_with("memory:") || url.starts_with("sqlite::memory:") {
        return Err(Error::invalid(
            "a broker in memory lives inside one process, and no worker runs in this one: use a file, such as \
             sqlite:///var/lib/taskq.db, or redis://host:6379/0",
        ));
    }
    taskq_core::broker::connect_existing(&url).await
}
