//! The program as its user meets it. Nothing here judges a figure: only that all were measured, and how they are told.

mod measuring;
mod refusing;

use std::process::{Command, Output};

/// Runs `taskq-bench` with these words.
fn bench(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskq-bench"));
    command.args(words);
    command
}

/// Its output, both streams as text.
fn ended(mut command: Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}
