//! What the broker has acknowledged as ended, and what it did against its word.

use std::collections::HashMap;
use std::sync::Mutex;

use taskq_core::TaskId;
use taskq_core::broker::Delivery;

/// The finishes that were answered as applied, of messages that end as SUCCESS: these leave no entry that could be counted.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// Moves when a rollback begins and when it is over: what spans it proves nothing.
    epoch: u64,
    done: HashMap<TaskId, Done>,
    broken: Vec<String>,
}

/// One finish that counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// The run whose verdict it was; its record carries the number.
    pub(crate) run: u64,
    /// When the answer was there, ms by the clock of this machine, which is Redis' too.
    at: u64,
}

impl Acks {
    pub(crate) fn epoch(&self) -> u64 {
        self.book.lock().unwrap().epoch
    }

    /// The finish that began in `epoch` was applied, whole.
    pub(crate) fn applied(&self, epoch: u64, ended: &[(TaskId, u64)]) {
        let mut book = self.book.lock().unwrap();
        if book.epoch != epoch || !epoch.is_multiple_of(2) {
            return;
        }
        let at = taskq_core::clock::now_ms();
        for &(id, run) in ended {
            if let Some(first) = book.done.insert(id, Done { run, at }) {
                book.broken.push(format!(
                    "{id} was finished twice, by run {} and by run {run}",
                    first.run
                ));
            }
        }
    }

    /// What was claimed after its end was acknowledged has come back from the dead.
    pub(crate) fn claimed(&self, id: TaskId, delivery: &Delivery) {
        let mut book = self.book.lock().unwrap();
        if book.epoch.is_multiple_of(2)
            && let Some(done) = book.done.get(&id).copied()
            && delivery.claimed_at > done.at
        {
            book.broken.push(format!(
                "{id} was claimed again {} ms after run {} ended it",
                delivery.claimed_at - done.at,
                done.run
            ));
        }
    }

    /// Redis goes back to what it knew at `dumped_at`.
    pub(crate) fn rollback_begins(&self, dumped_at: u64) {
        let mut book = self.book.lock().unwrap();
        book.epoch += 1;
        book.done.retain(|_, done| done.at < dumped_at);
    }

    pub(crate) fn rollback_is_over(&self) {
        self.book.lock().unwrap().epoch += 1;
    }

    pub(crate) fn broken(&self, what: String) {
        self.book.lock().unwrap().broken.push(what);
    }

    /// All that stands, and what was found wrong.
    pub(crate) fn told(&self) -> (HashMap<TaskId, Done>, Vec<String>) {
        let book = self.book.lock().unwrap();
        (book.done.clone(), book.broken.clone())
    }
}
