//! The wall clock, read in one place.

use std::time::Duration;
#[cfg(not(feature = "test-clock"))]
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(feature = "test-clock")]
mod followed;

/// Milliseconds since the epoch by this machine's clock.
///
/// Good for what a person reads (created, started, finished). What decides when a task runs is the broker's clock.
///
/// With the feature `test-clock` it goes as tokio's time does: where a test has paused that, this stands still as well.
#[must_use]
pub fn now_ms() -> u64 {
    whole_ms(now())
}

/// Time since the epoch by the same clock as [`now_ms`].
pub(crate) fn now() -> Duration {
    #[cfg(feature = "test-clock")]
    return followed::now();
    #[cfg(not(feature = "test-clock"))]
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// `duration` in whole milliseconds; what no `u64` holds is the largest one.
pub(crate) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whole milliseconds, rounded up: what shall wait 0.3 ms does not run at once.
pub(crate) fn ceil_ms(d: Duration) -> u64 {
    u64::try_from(d.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
