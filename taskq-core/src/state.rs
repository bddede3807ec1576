//! The life of a task: its states and the moves between them, all in one table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Where a task stands. The words are part of the wire form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Accepted, waiting for a worker.
    Queued,
    /// Accepted, its time (eta or countdown) not reached.
    Scheduled,
    /// A worker runs it; written only for tasks that ask for it.
    Started,
    /// It failed and waits to run again.
    Retry,
    /// Final: the function gave its result.
    Success,
    /// Final: the function failed for good; kept for replay.
    Failure,
    /// Final: revoked or expired before it ran.
    Revoked,
    /// Final: it never gave an answer (killed its process too often, undecodable, unknown task, bad arguments, rejected); kept for replay.
    Dead,
}

impl State {
    /// All states, in the order of a task's life.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Scheduled,
        Self::Started,
        Self::Retry,
        Self::Success,
        Self::Failure,
        Self::Revoked,
        Self::Dead,
    ];

    /// The word on the wire.
    ///
    /// ```
    /// assert_eq!(taskq_core::State::Success.as_str(), "SUCCESS");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Scheduled => "SCHEDULED",
            Self::Started => "STARTED",
            Self::Retry => "RETRY",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Revoked => "REVOKED",
            Self::Dead => "DEAD",
        }
    }

    /// True when nothing but a replay moves the task any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Failure | Self::Revoked | Self::Dead
        )
    }

    /// Whether a task may move from this state to `next`. The table:
    ///
    /// | from | to |
    /// |---|---|
    /// | QUEUED | SCHEDULED, STARTED, RETRY, any final state |
    /// | SCHEDULED | QUEUED, STARTED, RETRY, any final state |
    /// | STARTED | QUEUED, SCHEDULED, STARTED, RETRY, any final state |
    /// | RETRY | QUEUED, SCHEDULED, STARTED, RETRY, any final state |
    /// | FAILURE, DEAD | QUEUED (a replay) |
    /// | SUCCESS, REVOKED | nothing |
    #[must_use]
    pub const fn can_become(self, next: Self) -> bool {
        match self {
            Self::Queued => !matches!(next, Self::Queued),
            Self::Scheduled => !matches!(next, Self::Scheduled),
            Self::Started | Self::Retry => true,
            Self::Failure | Self::Dead => matches!(next, Self::Queued),
            Self::Success | Self::Revoked => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == word)
            .ok_or_else(|| Error::invalid(format!("{word:?} is no task state")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>().unwrap(), state);
            assert_eq!(
                serde_json::to_string(&state).unwrap(),
                format!("{:?}", state.as_str())
            );
        }
    }

    #[test]
    fn only_a_replay_leaves_a_final_state() {
        for from in State::ALL {
            for to in State::ALL {
                if from.is_final() && from.can_become(to) {
                    assert!(matches!(from, State::Failure | State::Dead) && to == State::Queued);
                }
                if !from.is_final() && to.is_final() {
                    assert!(from.can_become(to));
                }
            }
        }
    }
}
