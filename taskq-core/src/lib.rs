//! The vocabulary of taskq, its contracts and its brokers.
//!
//! Whoever writes tasks depends on this crate; `taskq-worker` runs them, `taskq-client` sends them.

pub mod broker;
pub mod clock;
pub mod control;
pub mod dispatch;
mod error;
pub mod fleet;
mod id;
pub mod message;
mod outcome;
mod record;
pub mod retry;
mod signature;
mod state;
pub mod task;

pub use error::{Error, ErrorKind};
pub use id::{QueueName, TaskId};
pub use message::Message;
pub use outcome::{Failure, IntoFailure, Outcome, TaskError};
pub use record::Record;
pub use signature::Signature;
pub use state::State;
pub use task::Context;

/// For code that `#[task]` writes; no promise is made about it.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
    pub use serde_json::value::{RawValue, to_raw_value};
}
