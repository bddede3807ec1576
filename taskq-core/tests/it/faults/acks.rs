//! What the broker has acknowledged as ended, and what it did against its word.

use std::collections::HashMap;
use std::sync::Mutex;

use taskq_core::TaskId;
use taskq_core::clock::now_ms;

/// The finishes that were answered as applied, of messages that end as SUCCESS: these leave no entry that could be counted.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    rollbacks: Vec<Rollback>,
    done: HashMap<TaskId, Done>,
    /// When each was claimed last: a line of another process may be read later.
    claimed: HashMap<TaskId, u64>,
    broken: Vec<String>,
}

/// The broker went back to what it knew before: all that was answered in between proves nothing.
#[derive(Debug)]
struct Rollback {
    dumped_at: u64,
    /// `None`: it is going on.
    over_at: Option<u64>,
}

/// One finish that counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// The run whose verdict it was; its record carries the number.
    pub(crate) run: u64,
    /// When the answer was there, ms by the clock of this machine, which is the broker's too.
    at: u64,
}

impl Acks {
    /// A finish was applied, whole, that was asked for and answered then.
    pub(crate) fn applied(&self, since: u64, at: u64, ended: &[(TaskId, u64)]) {
        let mut book = self.book.lock().unwrap();
        if book.forgets(since, at) {
            return;
        }
        for &(id, run) in ended {
            if let Some(first) = book.done.insert(id, Done { run, at }) {
                book.broken.push(format!(
                    "{id} was finished twice, by run {} and by run {run}",
                    first.run
                ));
            }
            book.came_back(id);
        }
    }

    /// What was claimed after its end was acknowledged has come back from the dead.
    pub(crate) fn claimed(&self, id: TaskId, at: u64) {
        let mut book = self.book.lock().unwrap();
        let last = book.claimed.entry(id).or_default();
        *last = at.max(*last);
        book.came_back(id);
    }

    /// The broker goes back to what it knew at `dumped_at`.
    pub(crate) fn rollback_begins(&self, dumped_at: u64) {
        let mut book = self.book.lock().unwrap();
        book.rollbacks.push(Rollback {
            dumped_at,
            over_at: None,
        });
        book.done.retain(|_, done| done.at < dumped_at);
    }

    pub(crate) fn rollback_is_over(&self) {
        let now = now_ms();
        let mut book = self.book.lock().unwrap();
        if let Some(last) = book.rollbacks.last_mut() {
            last.over_at = Some(now);
        }
    }

    /// Whether what was asked for and answered then may have been forgotten by a rollback.
    pub(crate) fn forgets(&self, since: u64, at: u64) -> bool {
        self.book.lock().unwrap().forgets(since, at)
    }

    pub(crate) fn rollbacks(&self) -> u64 {
        self.book.lock().unwrap().rollbacks.len() as u64
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

impl Book {
    fn forgets(&self, since: u64, at: u64) -> bool {
        let stands = |r: &Rollback| at < r.dumped_at || r.over_at.is_some_and(|over| since > over);
        !self.rollbacks.iter().all(stands)
    }

    fn came_back(&mut self, id: TaskId) {
        if let Some(done) = self.done.get(&id)
            && let Some(claimed) = self.claimed.get(&id)
            && *claimed > done.at
        {
            self.broken.push(format!(
                "{id} was claimed again {} ms after run {} ended it",
                claimed - done.at,
                done.run
            ));
        }
    }
}
