//! What a run says of how far it has got, from the call in its function to whoever stores it.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::broker::Receipt;
use crate::clock::now_ms;
use crate::record::Progress;

/// A note has at most this many bytes.
const NOTE_MAX: usize = 256;

/// Hears that a run has something new to tell. It is called from within tasks: it must be cheap and wait for nothing.
pub trait ProgressSink: Debug + Send + Sync {
    /// The run `of` has news. Not called again for it before its news were [taken](crate::Context::take_news).
    fn has_news(&self, of: RunKey);
}

/// Which run it is, in numbers of the worker's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunKey {
    /// Where the worker keeps it.
    pub place: usize,
    /// Its delivery.
    pub receipt: Receipt,
}

/// Where the news of one run go.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Who hears them.
    pub by: Arc<dyn ProgressSink>,
    /// The run.
    pub as_of: RunKey,
}

/// What one run has said. Of a run that says nothing it holds nothing.
#[derive(Debug, Default)]
pub(super) struct Said {
    latest: OnceLock<Box<Mutex<Latest>>>,
}

#[derive(Debug)]
struct Latest {
    progress: Option<Progress>,
    /// Nobody has taken it yet.
    news: bool,
}

impl Said {
    /// Keeps it; true when who stores it must be told.
    pub(super) fn say(&self, done: u64, total: u64, note: &str) -> bool {
        let note = cut(note);
        let progress = Progress {
            done,
            total,
            note: (!note.is_empty()).then(|| note.to_owned()),
            at: now_ms(),
        };
        let latest = self.latest.get_or_init(|| {
            Box::new(Mutex::new(Latest {
                progress: None,
                news: false,
            }))
        });
        let mut latest = lock(latest);
        latest.progress = Some(progress);
        !std::mem::replace(&mut latest.news, true)
    }

    pub(super) fn anything(&self) -> bool {
        self.latest.get().is_some()
    }

    pub(super) fn last(&self) -> Option<Progress> {
        lock(self.latest.get()?).progress.clone()
    }

    pub(super) fn take_news(&self) -> bool {
        let latest = self.latest.get();
        latest.is_some_and(|latest| std::mem::take(&mut lock(latest).news))
    }
}

fn lock(latest: &Mutex<Latest>) -> MutexGuard<'_, Latest> {
    // No code that can panic runs under the lock.
    latest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Its beginning, as far as it fits, between two characters.
fn cut(note: &str) -> &str {
    &note[..note.floor_char_boundary(NOTE_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_is_news_until_it_is_taken() {
        let said = Said::default();
        assert_eq!((said.anything(), said.take_news()), (false, false));
        assert!(said.say(1, 10, ""));
        assert!(!said.say(2, 10, "two"), "told already");
        let last = said.last().expect("something");
        assert_eq!(
            (last.done, last.total, last.note.as_deref()),
            (2, 10, Some("two"))
        );
        assert!(said.take_news() && !said.take_news());
        assert!(said.say(3, 10, "") && said.anything());
        assert_eq!(said.last().expect("something").note, None);
    }

    #[test]
    fn a_long_note_is_cut_between_two_characters() {
        let said = Said::default();
        said.say(u64::MAX, 0, &format!("a{}", "ñ".repeat(200)));
        let note = said.last().and_then(|p| p.note).expect("a note");
        assert_eq!((note.len(), note.chars().count()), (255, 128));
        said.say(1, 1, &"x".repeat(256));
        assert_eq!(said.last().and_then(|p| p.note).map(|n| n.len()), Some(256));
    }
}
