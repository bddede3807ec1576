//! Waking those who wait, in this process and in the others that have the same file open.

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What one may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// Something may be claimed now, or sooner than was known.
    Work,
    /// A record became final, or something was told.
    News,
    /// A question to workers, or an answer to one.
    Talk,
}

/// Topics that a transaction rings once it is committed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rings {
    rung: [bool; 3],
}

impl Rings {
    pub(super) fn add(&mut self, topic: Topic) {
        self.rung[topic as usize] = true;
    }

    pub(super) fn has(self, topic: Topic) -> bool {
        self.rung[topic as usize]
    }
}

#[derive(Debug, Default)]
pub(super) struct Bell {
    waiting: [Notify; 3],
}

impl Bell {
    /// Wakes all that wait for one of these.
    pub(super) fn ring(&self, rings: Rings) {
        for topic in [Topic::Work, Topic::News, Topic::Talk] {
            if rings.has(topic) {
                self.waiting[topic as usize].notify_waiters();
            }
        }
    }

    /// Completes at the next ring. To be armed (`enable`) before the look that it covers.
    pub(super) fn heard(&self, topic: Topic) -> Notified<'_> {
        self.waiting[topic as usize].notified()
    }
}
