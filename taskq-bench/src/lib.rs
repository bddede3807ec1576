//! Measures taskq against what the same Redis can do on the same machine in the same minutes.
//!
//! `taskq-bench` starts a Redis of its own, measures its limit, then the public interfaces as a user would start
//! them, and holds the figures against their bars. docs/benchmarks.md says how and why.

mod args;
mod error;
mod machine;
mod row;
mod say;
mod statistics;

mod check;
mod records;
mod server;
mod sqlite;
pub mod tally;
mod tasks;
mod worker;

mod drain;
mod latency;
mod limit;
mod paced;
mod plan;
mod send;

mod cli;

pub use cli::run;
