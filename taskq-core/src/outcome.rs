//! What a task function says about its run: the outcome.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one run of a task function came to.
///
/// A function may return this directly, or `T`, or `Result<T, E>` (an `Err` is retried by the task's policy),
/// or `Result<Outcome<T>, E>`.
///
/// ```
/// use std::time::Duration;
/// use taskq_core::{Outcome, task};
///
/// /// Imports a file that somebody else writes.
/// #[task]
/// async fn import(path: String) -> Result<Outcome<usize>, std::io::Error> {
///     if !std::fs::exists(&path)? {
///         return Ok(Outcome::Snooze(Duration::from_secs(60))); // costs no attempt
///     }
///     let bytes = std::fs::read(&path)?;
///     Ok(match bytes.len() {
///         0 => Outcome::Reject(format!("{path} is empty")),
///         size => Outcome::Done(size),
///     })
/// }
/// # fn main() {}
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<T> {
    /// It has its result.
    Done(T),
    /// It failed and should run again: after `after`, or when the task's retry policy says.
    Retry {
        /// The wait before the next attempt; `None` leaves it to the policy.
        after: Option<Duration>,
        /// What went wrong.
        error: Failure,
    },
    /// Not yet: run it again after this long. Costs no attempt.
    Snooze(Duration),
    /// It refuses the message, for this reason; the message goes to the dead set as DEAD.
    Reject(String),
    /// It failed for good; no retry, state FAILURE.
    Failed(Failure),
}

impl<T> Outcome<T> {
    /// The same outcome with another result.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(value) => Outcome::Done(f(value)),
            Self::Retry { after, error } => Outcome::Retry { after, error },
            Self::Snooze(after) => Outcome::Snooze(after),
            Self::Reject(reason) => Outcome::Reject(reason),
            Self::Failed(error) => Outcome::Failed(error),
        }
    }
}

/// Why a task failed, in a form that can be stored: type, message and the chain of causes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The error's Rust type, or a word of ours such as `Panic` or `ResultTooLarge`; at most 256 bytes.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it says; at most 8 KiB are kept.
    pub message: String,
    /// What its sources say, outermost first; at most 16, 1 KiB each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

impl Failure {
    /// A failure without a chain.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: cut(kind.into(), 256),
            message: cut(message.into(), 8 << 10),
            chain: Vec::new(),
        }
    }

    /// A failure from an error, its sources included, under the name `kind`.
    #[must_use]
    pub fn from_error(kind: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = std::iter::successors(error.source(), |e| e.source())
            .take(16)
            .map(|e| cut(e.to_string(), 1 << 10))
            .collect();
        Self {
            chain,
            ..Self::new(kind, error.to_string())
        }
    }
}

/// At most `bytes` bytes of `text`, the sign for what is left out included.
pub(crate) fn cut(mut text: String, bytes: usize) -> String {
    const MORE: &str = "…";
    if text.len() > bytes {
        let room = bytes.saturating_sub(MORE.len());
        let end = (0..=room).rev().find(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or(0));
        text.push_str(MORE);
    }
    text
}

/// An error that says more than "retry me": for functions that return `Result<T, TaskError>`.
///
/// Any error becomes one by `?` and is then retried by the task's policy.
///
/// ```
/// use taskq_core::TaskError;
/// use std::time::Duration;
///
/// fn charge(amount: i64) -> Result<u32, TaskError> {
///     if amount < 0 {
///         return Err(TaskError::permanent("a negative amount never becomes valid"));
///     }
///     if amount > 1_000 {
///         return Err(TaskError::retry_after(Duration::from_secs(30), "the bank asks to slow down"));
///     }
///     Ok("42".parse::<u32>()?) // a parse error would be retried by the policy
/// }
/// assert_eq!(charge(7).unwrap(), 42);
/// ```
#[derive(Debug, Clone)]
pub struct TaskError {
    error: Failure,
    permanent: bool,
    after: Option<Duration>,
}

impl TaskError {
    /// Retried by the task's policy.
    pub fn retry<E: IntoFailure>(error: E) -> Self {
        Self {
            error: error.into_failure(),
            permanent: false,
            after: None,
        }
    }

    /// Never retried: the task ends as FAILURE.
    pub fn permanent<E: IntoFailure>(error: E) -> Self {
        Self {
            permanent: true,
            ..Self::retry(error)
        }
    }

    /// Retried after `after`, whatever the policy says, as long as retries are left.
    pub fn retry_after<E: IntoFailure>(after: Duration, error: E) -> Self {
        Self {
            after: Some(after),
            ..Self::retry(error)
        }
    }

    /// The same error, never retried.
    #[must_use]
    pub fn into_permanent(self) -> Self {
        Self {
            permanent: true,
            ..self
        }
    }

    /// What is stored of it.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.error
    }

    /// The outcome it stands for.
    #[must_use]
    pub fn into_outcome<T>(self) -> Outcome<T> {
        if self.permanent {
            Outcome::Failed(self.error)
        } else {
            Outcome::Retry {
                after: self.after,
                error: self.error,
            }
        }
    }
}

impl<E: IntoFailure> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

/// What can be kept as a [`Failure`]: every error, boxed errors, `anyhow::Error`, `String` and `&str`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept as the failure of a task",
    note = "return `TaskError`, a type that implements `std::error::Error + Send + Sync`, `anyhow::Error`, `String` or `&str`"
)]
pub trait IntoFailure {
    /// Type, message and chain of causes.
    fn into_failure(self) -> Failure;
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> IntoFailure for E {
    fn into_failure(self) -> Failure {
        // Of a plain text the type says nothing.
        let kind = match std::any::type_name::<E>() {
            "&str" | "alloc::string::String" => "TaskError",
            name => name,
        };
        Failure::from_error(kind, &*self.into())
    }
}
