//! Retry policies: pure functions from "this attempt failed" to "wait this long" or "give up".

mod exponential;
mod fixed;
mod never;

use std::time::Duration;

pub use exponential::{Exponential, Jitter};
pub use fixed::Fixed;
pub use never::Never;

use crate::outcome::Failure;

/// How many retries a task has when neither it nor the message says.
pub const DEFAULT_MAX_RETRIES: u32 = 3;

/// What a policy decides on.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Which attempt failed: 1 for the first.
    pub number: u32,
    /// How it failed.
    pub error: &'a Failure,
}

/// When a failed task runs again.
///
/// The number of retries is not the policy's business: it is asked only while retries are left.
///
/// ```
/// use std::time::Duration;
/// use taskq_core::retry::{Attempt, RetryPolicy};
///
/// /// Waits a minute, twice; then it gives up.
/// struct Patient;
/// impl RetryPolicy for Patient {
///     fn delay(&self, attempt: &Attempt<'_>) -> Option<Duration> {
///         (attempt.number < 3).then_some(Duration::from_secs(60))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no retry policy",
    label = "not a retry policy",
    note = "use `Exponential`, `Fixed` or `Never` of `taskq_core::retry`, or a type of your own that implements `RetryPolicy`"
)]
pub trait RetryPolicy: Send + Sync {
    /// The wait before the next attempt; `None` gives up.
    fn delay(&self, attempt: &Attempt<'_>) -> Option<Duration>;
}
