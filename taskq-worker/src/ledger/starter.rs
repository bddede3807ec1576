//! The start of a run: from here on it counts as under way, and its time passes.

use std::sync::Arc;

use taskq_core::Message;

use super::{Held, Ledger, Run};
use crate::book::{Key, When};

/// The right to begin the run of one delivery, on whatever thread it begins.
#[derive(Debug)]
pub(crate) struct Starter {
    ledger: Arc<Ledger>,
    key: Key,
}

impl Held {
    /// For a function that begins elsewhere, and later.
    pub(crate) fn starter(&self) -> Starter {
        Starter {
            ledger: Arc::clone(&self.ledger),
            key: self.key,
        }
    }

    /// The task's function starts. False, and it must not: it was revoked, or the stop has given its message back already.
    #[must_use]
    pub(crate) fn runs(&self, run: Run) -> bool {
        self.ledger.runs(self.key, run)
    }

    /// From here on the function must not start; false: it has.
    pub(crate) fn never_runs(&self) -> bool {
        self.ledger.book().never_begins(self.key)
    }

    /// It waits for something before it may begin: whoever revokes need not read its message again.
    pub(crate) fn waits(&self, message: &Arc<Message>) {
        if let Some(entry) = self.ledger.book().get_mut(self.key) {
            entry.message = Some(Arc::clone(message));
        }
    }

    /// Returns when it was revoked since it was claimed, before it began.
    pub(crate) async fn turns_out_revoked(&self) {
        loop {
            // Made before the look: what is revoked right behind it rings.
            let rung = self.ledger.revoked.notified();
            if self.is_revoked() {
                return;
            }
            rung.await;
        }
    }
}

impl Starter {
    /// See [`Held::runs`].
    #[must_use]
    pub(crate) fn runs(self, run: Run) -> bool {
        self.ledger.runs(self.key, run)
    }
}

impl Ledger {
    fn runs(&self, key: Key, run: Run) -> bool {
        let message = Arc::clone(&run.message);
        let when = if run.says_started() {
            When::AtOnce
        } else {
            When::IfLong
        };
        let first = run.first_step();
        let mut book = self.book();
        let Some(ring) = book.begins(key, run, when) else {
            return false;
        };
        let sooner = first.is_some_and(|(at, step)| book.step_at(key, at, step));
        drop(book);
        if sooner {
            self.ring_watchdog();
        }
        self.tally.begins(&message.task);
        if ring {
            self.begun.notify_one();
        }
        true
    }
}
