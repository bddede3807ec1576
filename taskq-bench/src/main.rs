//! `taskq-bench`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    taskq_bench::run(std::env::args_os()).into()
}
