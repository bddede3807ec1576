//! The time by which runs are measured and cut off: tokio's, by which sleeps end as well.
//!
//! It is the machine's own, unless a test has stopped it.

use std::time::Instant;

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
