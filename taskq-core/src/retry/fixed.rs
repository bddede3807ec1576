//! The same wait each time.

use std::time::Duration;

use super::{Attempt, RetryPolicy};

/// Waits the same time before each retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed(pub Duration);

impl RetryPolicy for Fixed {
    fn delay(&self, _: &Attempt<'_>) -> Option<Duration> {
        Some(self.0)
    }
}
