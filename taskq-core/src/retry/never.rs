//! No retry at all.

use std::time::Duration;

use super::{Attempt, RetryPolicy};

/// Gives up at the first failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Never;

impl RetryPolicy for Never {
    fn delay(&self, _: &Attempt<'_>) -> Option<Duration> {
        None
    }
}
