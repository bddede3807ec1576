//! Exponential backoff with jitter.

use std::time::Duration;

use super::{Attempt, RetryPolicy};

/// Waits `base`, then `base × factor`, then `base × factor²` …, at most `max`, made uneven by `jitter`.
///
/// ```
/// use std::time::Duration;
/// use taskq_core::retry::{Exponential, Jitter};
///
/// const POLICY: Exponential = Exponential {
///     base: Duration::from_millis(100),
///     max: Duration::from_secs(2),
///     jitter: Jitter::None,
///     ..Exponential::DEFAULT
/// };
/// assert_eq!(POLICY.ceiling(1), Duration::from_millis(100));
/// assert_eq!(POLICY.ceiling(4), Duration::from_millis(800));
/// assert_eq!(POLICY.ceiling(9), Duration::from_secs(2));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    /// The wait after the first failure, before jitter.
    pub base: Duration,
    /// What each further wait is multiplied by; below 1, and what is no number, counts as 1.
    pub factor: f64,
    /// No wait is longer.
    pub max: Duration,
    /// How the wait is spread.
    pub jitter: Jitter,
}

/// How a wait `w` is spread, so that what failed together does not return together.
///
/// The names are those of "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// Exactly `w`.
    None,
    /// Between `w/2` and `w`.
    Equal,
    /// Between 0 and `w`.
    Full,
}

impl Exponential {
    /// 1 s, doubled up to 10 min, full jitter.
    pub const DEFAULT: Self = Self {
        base: Duration::from_secs(1),
        factor: 2.0,
        max: Duration::from_secs(600),
        jitter: Jitter::Full,
    };

    /// The wait after attempt `number` (1 for the first) before jitter.
    #[must_use]
    pub fn ceiling(&self, number: u32) -> Duration {
        let exponent = i32::try_from(number.saturating_sub(1)).unwrap_or(i32::MAX);
        let wait = self.base.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        if self.base.is_zero() {
            // Zero times infinity is no number.
            Duration::ZERO
        } else {
            // What is too long for a Duration is longer than `max`.
            Duration::try_from_secs_f64(wait).map_or(self.max, |wait| wait.min(self.max))
        }
    }
}

impl Default for Exponential {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RetryPolicy for Exponential {
    fn delay(&self, attempt: &Attempt<'_>) -> Option<Duration> {
        let wait = self.ceiling(attempt.number);
        let spread = |range: Duration| range.mul_f64(rand::random::<f64>()).min(range);
        Some(match self.jitter {
            Jitter::None => wait,
            Jitter::Equal => wait - spread(wait / 2),
            Jitter::Full => spread(wait),
        })
    }
}
