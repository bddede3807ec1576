//! A wall clock for tests: it started when it was first read, and goes as tokio's time does.
//!
//! Nothing is stored per test: a runtime whose time is paused has a time of its own, and what reads it there sees it.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One moment by both clocks, the same for the whole process: a time that stands still reads the same each time.
///
/// Of several readings the closest: a process that was not run between its two would have a clock of its own, and what
/// processes tell each other of the time would not fit.
static START: LazyLock<(Instant, Duration)> = LazyLock::new(|| {
    let read = || {
        let before = Instant::now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        (before.elapsed(), before, wall.unwrap_or_default())
    };
    let first = read();
    let readings = (0..20).map(|_| read());
    let (_, start, wall) = readings.fold(first, |a, b| if b.0 < a.0 { b } else { a });
    (start, wall)
});

pub(super) fn now() -> Duration {
    let (start, wall) = *START;
    let now = tokio::time::Instant::now().into_std();
    // A time that was paused before this clock was first read lies behind it.
    (wall + now.saturating_duration_since(start))
        .saturating_sub(start.saturating_duration_since(now))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::clock::now_ms;

    #[tokio::test(start_paused = true)]
    async fn it_stands_still_and_moves_with_tokios_time() {
        let before = now_ms();
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(now_ms(), before);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(now_ms(), before + 3_600_000);
    }

    #[tokio::test]
    async fn elsewhere_it_is_the_machines() {
        let before = now_ms();
        std::thread::sleep(Duration::from_millis(3));
        assert!(now_ms() >= before + 3);
    }
}
