//! Keys that hold an order: where a message lies is one whole number, so that a claim is one range of one tree.

use std::ops::RangeInclusive;

/// A queue, as rows name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct QueueId(pub(super) i64);

/// So many queues have a place in the keys.
pub(super) const MAX_QUEUES: i64 = (1 << 15) - 1;

/// So many sessions are open at most.
pub(super) const MAX_SESSIONS: i64 = (1 << 23) - 1;

const LANE_BITS: u32 = 4;
const POSITION_BITS: u32 = 44;
const TAG_BITS: u32 = 40;

/// The first message of an empty lane lies here: there is as much room before it as behind.
const MIDDLE: i64 = 1 << (POSITION_BITS - 1);

/// One list of a queue: of a priority, or of what is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lane {
    queue: QueueId,
    number: i64,
}

impl Lane {
    /// What waits with this priority: 9 lies before 8.
    pub(super) fn of(queue: QueueId, priority: u8) -> Self {
        let number = 9 - i64::from(priority.min(9));
        Self { queue, number }
    }

    /// What one more crash makes DEAD: behind all priorities.
    pub(super) fn suspects(queue: QueueId) -> Self {
        Self { queue, number: 10 }
    }

    /// The keys of all its places.
    pub(super) fn keys(self) -> RangeInclusive<i64> {
        let first = (self.queue.0 << LANE_BITS | self.number) << POSITION_BITS;
        first..=first | ((1 << POSITION_BITS) - 1)
    }

    /// The key of a first message.
    pub(super) fn middle(self) -> i64 {
        self.keys().start() | MIDDLE
    }
}

/// The keys of all that waits in a queue, the suspects left out, in the order of the claims.
pub(super) fn waiting(queue: QueueId) -> RangeInclusive<i64> {
    *Lane::of(queue, 9).keys().start()..=*Lane::of(queue, 0).keys().end()
}

/// The key of a delivery: `tag` counts from 1 in its session.
pub(super) fn held(session: i64, tag: i64) -> i64 {
    session << TAG_BITS | tag
}

/// The keys of all that a session can hold.
pub(super) fn held_by(session: i64) -> RangeInclusive<i64> {
    held(session, 0)..=held(session, MAX_TAG)
}

/// A session gives so many tags; then a new one has to be opened.
pub(super) const MAX_TAG: i64 = (1 << TAG_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_the_order_of_the_claims() {
        let queue = QueueId(MAX_QUEUES);
        let nine = Lane::of(queue, 9).keys();
        let eight = Lane::of(queue, 8).keys();
        let suspects = Lane::suspects(queue).keys();
        assert_eq!(nine.end() + 1, *eight.start());
        assert!(waiting(queue).end() + 1 == *suspects.start() && *suspects.end() > 0);
        assert!(*Lane::suspects(QueueId(1)).keys().end() < *waiting(QueueId(2)).start());
        assert!(nine.contains(&Lane::of(queue, 9).middle()));
    }

    #[test]
    fn sessions_share_no_tag() {
        assert_eq!(held_by(6).end() + 1, *held_by(7).start());
        assert!(held(MAX_SESSIONS, MAX_TAG) > 0);
    }
}
