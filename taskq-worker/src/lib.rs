//! The worker: takes messages from queues, runs their tasks and tells the broker what became of them.
//!
//! A program that works tasks off links the crates that define them and hands its `main` over:
//!
//! ```no_run
//! // use my_tasks as _;   // for each crate of tasks: what is never named is not linked
//! fn main() -> std::process::ExitCode {
//!     taskq_worker::cli::main()
//! }
//! ```
//!
//! A program with a command line of its own builds a [`Worker`] instead. What a task's author needs of `taskq-core`
//! is exported here as well, so this crate alone will do.

mod deadline;
mod error;
mod instant;
mod report;
mod supervisor;
mod thread;
mod trouble;

mod about;
mod banner;
mod book;
mod conf;
mod config;
mod cutoff;
mod executor;
mod fetcher;
mod finisher;
mod health;
mod heartbeat;
mod hooks;
mod ledger;
mod limits;
mod node;
mod pace;
mod permits;
mod recycle;
mod registration;
mod responder;
mod revoking;
mod round;
mod serving;
mod shutdown;
mod sweeper;
mod tally;
mod teller;
mod timeline;
mod verdict;
mod watchdog;
mod worker;

pub mod cli;
pub mod middleware;
#[cfg(feature = "testing")]
pub mod testing;

pub use async_trait::async_trait;
pub use config::{DEFAULT_GRACE, DEFAULT_LEASE, default_concurrency};
pub use error::RunError;
pub use node::expand_node;
pub use worker::{Builder, Worker};

#[doc(hidden)]
pub use taskq_core::__private;
#[cfg(feature = "testing")]
pub use taskq_core::__private::test;
pub use taskq_core::{
    Context, Error, ErrorKind, Failure, IntoFailure, Message, Outcome, Progress, QueueName, Record,
    Signature, State, TaskError, TaskId, broker, clock, control, dispatch, event, fleet, message,
    retry, revocation, task,
};
pub use tokio_util::sync::CancellationToken;
