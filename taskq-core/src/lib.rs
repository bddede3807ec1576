//! The vocabulary of taskq, its contracts and its brokers.
//!
//! Whoever writes tasks depends on this crate; `taskq-worker` runs them, `taskq-client` sends them.
//!
//! ```
//! use taskq_core::{Context, TaskError, task};
//!
//! /// Charges an account.
//! #[task(name = "bank.charge", queue = "payments", max_retries = 8)]
//! async fn charge(ctx: Context, account: u32, cents: i64) -> Result<String, TaskError> {
//!     if cents <= 0 {
//!         return Err(TaskError::permanent("an amount is more than 0"));
//!     }
//!     // Any other error is tried again, after 1 s, 2 s, 4 s …
//!     let rate: i64 = "2".parse()?;
//!     Ok(format!("{account}: {} at attempt {}", cents * rate, ctx.attempt()))
//! }
//!
//! # fn main() {
//! // A call with its arguments, to be sent by a client or from within another task.
//! let call = charge::call(4711, 250).priority(9);
//! assert_eq!(call.task(), "bank.charge");
//! # }
//! ```

pub mod broker;
pub mod clock;
pub mod control;
pub mod dispatch;
mod error;
pub mod event;
pub mod fleet;
mod id;
pub mod message;
mod nearest;
mod outcome;
mod record;
pub mod retry;
pub mod revocation;
mod signature;
mod state;
pub mod task;

pub use error::{Error, ErrorKind};
pub use id::{QueueName, TaskId};
pub use message::{Message, OnCrash};
pub use nearest::nearest;
pub use outcome::{Failure, IntoFailure, Outcome, TaskError};
pub use record::{Progress, Record};
pub use signature::Signature;
pub use state::State;
pub use task::Context;
// The attribute shares its name with the module; they live in different namespaces.
pub use taskq_macros::task;

/// For code that `#[task]` writes; no promise is made about it.
///
/// Generated code names nothing else, so a crate that re-exports this module can stand in for this one.
#[doc(hidden)]
pub mod __private {
    pub use std::time::Duration;

    pub use inventory;
    pub use serde_json::value::{RawValue, to_raw_value};
    pub use taskq_macros::test;

    pub use crate::message::OnCrash;
    pub use crate::retry::RetryPolicy;
    pub use crate::signature::Signature;
    pub use crate::task::returned::{
        Fallible, Inside, Is, Judged, Otherwise, Returned, Spoken, encode,
    };
    pub use crate::task::{
        Arguments, BadSignature, Context, Param, Registered, Running, TaskDef, TaskResult,
    };
}
