//! How a wait ends: with a result, or with a reason why there is none.

use std::time::Duration;

use serde::de::DeserializeOwned;
use taskq_core::{Error, Failure, Record, State, TaskId};

/// Why a wait gave no result.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The task function failed for good (FAILURE).
    #[error("{task} ({id}) failed at attempt {attempts}: {}: {}", .error.kind, .error.message)]
    Failed {
        /// The call.
        id: TaskId,
        /// The task.
        task: String,
        /// Type, message and chain of the last error.
        error: Failure,
        /// How often it was run.
        attempts: u32,
    },
    /// The task never gave an answer (DEAD): it was rejected, unknown, or killed its process too often.
    #[error("{task} ({id}) is dead after {attempts} attempts and {crashes} crashes: {}: {}", .error.kind, .error.message)]
    Dead {
        /// The call.
        id: TaskId,
        /// The task.
        task: String,
        /// Why.
        error: Failure,
        /// How often it was run.
        attempts: u32,
        /// How often its process died.
        crashes: u32,
    },
    /// It was revoked or expired before it ran.
    #[error("{task} ({id}) was revoked or expired before it ran")]
    Revoked {
        /// The call.
        id: TaskId,
        /// The task.
        task: String,
    },
    /// It has not ended within the time given; it may still do so.
    #[error("{id} has not ended within {after:?}: {}", Last(*.last))]
    TimedOut {
        /// The call.
        id: TaskId,
        /// How long it was waited for.
        after: Duration,
        /// Where it stood last; `None` when no record was found: unknown, expired, pushed by another program, or one of
        /// so many that there was no time to look.
        last: Option<State>,
    },
    /// It was sent with `ignore_result`: nothing is kept to wait for.
    #[error("{id} keeps no result: send it with `ignore_result(false)` to wait for it")]
    ResultsDisabled {
        /// The call.
        id: TaskId,
    },
    /// It succeeded, with a result of another type than asked for.
    #[error("the result of {task} ({id}) is no {expected}: {why}")]
    BadResult {
        /// The call.
        id: TaskId,
        /// The task.
        task: String,
        /// The type that was asked for.
        expected: &'static str,
        /// What does not fit, and where.
        why: String,
    },
    /// The broker could not be asked.
    #[error(transparent)]
    Broker(#[from] Error),
}

/// What a final record says.
pub(crate) fn answer<R: DeserializeOwned>(record: Record) -> Result<R, WaitError> {
    let Record {
        state,
        id,
        task,
        result,
        error,
        attempts,
        crashes,
        ..
    } = record;
    let error = error.unwrap_or_else(|| Failure::new("Unknown", "the record tells no error"));
    match state {
        State::Success => {
            let json = result.as_deref().map_or("null", |raw| raw.get());
            serde_json::from_str(json).map_err(|e| WaitError::BadResult {
                id,
                task,
                expected: std::any::type_name::<R>(),
                why: e.to_string(),
            })
        }
        State::Failure => Err(WaitError::Failed {
            id,
            task,
            error,
            attempts,
        }),
        State::Dead => Err(WaitError::Dead {
            id,
            task,
            error,
            attempts,
            crashes,
        }),
        State::Revoked => Err(WaitError::Revoked { id, task }),
        State::Queued | State::Scheduled | State::Started | State::Retry => {
            Err(WaitError::TimedOut {
                id,
                after: Duration::ZERO,
                last: Some(state),
            })
        }
    }
}

struct Last(Option<State>);

impl std::fmt::Display for Last {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(state) => write!(f, "it is {state}"),
            None => f.write_str(
                "no record of it was found, so it is unknown or expired, or its sender wrote none",
            ),
        }
    }
}
