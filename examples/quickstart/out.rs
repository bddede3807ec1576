//! What it prints. A reader that goes away (`| head`) has what it wanted: that is no error, and nothing is said of it.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// Writes to stdout; whether somebody reads it.
pub(crate) fn print(text: &str) -> io::Result<bool> {
    print_to(&mut io::stdout().lock(), text)
}

pub(crate) fn print_to(out: &mut dyn Write, text: &str) -> io::Result<bool> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(e),
    }
}

/// Writes a line to stderr: with nobody behind it there is nobody to tell.
pub(crate) fn note(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// When nobody reads stdout any more: the next write alone would tell, and comes at the end.
pub(crate) async fn reader_left() {
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    // Unchecked: the check would come with a mode that is not the one to write in. taskq-cli/src/main.rs does the same.
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
