//! The worker that is measured: a program as a user writes it. Around its main stands only the tally of its tasks.

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    taskq_bench::tally::begin();
    let status = taskq_worker::cli::main();
    match taskq_bench::tally::tell() {
        Ok(()) => status,
        Err(error) => {
            // With nobody behind stderr there is nobody to tell.
            drop(writeln!(
                io::stderr(),
                "error: the tally is not written: {error}"
            ));
            ExitCode::FAILURE
        }
    }
}
