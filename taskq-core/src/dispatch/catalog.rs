//! The catalog: what workers published of a task, remembered for a few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::Trouble;
use crate::broker::Backend;
use crate::error::Error;
use crate::fleet::PublishedTask;
use crate::signature::TaskDefaults;

/// For so long an answer is believed.
const FRESH: Duration = Duration::from_secs(5);
/// So many tasks are remembered.
const REMEMBERED: usize = 1024;
/// Of a task that no live worker offers is told so often at most.
const TOLD_AGAIN: Duration = Duration::from_secs(600);
/// The waits between two attempts to read grow up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

type Entry = Arc<OnceCell<Option<TaskDefaults>>>;

pub(super) struct Catalog {
    backend: Arc<dyn Backend>,
    trouble: Arc<Trouble>,
    entries: Mutex<HashMap<String, (Instant, Entry)>>,
    /// Of which tasks was told that no live worker offers them, and when.
    told: Mutex<HashMap<String, Instant>>,
}

impl Catalog {
    pub(super) fn new(backend: Arc<dyn Backend>, trouble: Arc<Trouble>) -> Self {
        Self {
            backend,
            trouble,
            entries: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// What is published of the task called `name`. Keeps asking while the broker is in trouble: the caller has the deadline.
    ///
    /// Many that ask for one name at once cost one read.
    pub(super) async fn task(&self, name: &str) -> Result<Option<TaskDefaults>, Error> {
        let entry = self.entry(name);
        entry.get_or_try_init(|| self.read(name)).await.cloned()
    }

    async fn read(&self, name: &str) -> Result<Option<TaskDefaults>, Error> {
        let mut pause = Duration::from_millis(20);
        loop {
            match self.backend.task(name).await {
                Ok(task) => {
                    self.warn_of_nobody(name, task.as_ref());
                    return Ok(task.map(TaskDefaults::from));
                }
                Err(error) if error.is_transient() => self.trouble.met(&error),
                Err(error) => return Err(error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Who sends what nobody runs is told, by what was read for the send anyway: that costs no request. What is sent from a
    /// definition asks nothing, and nothing is told of it.
    fn warn_of_nobody(&self, name: &str, task: Option<&PublishedTask>) {
        let why = match task {
            Some(task) if task.live => return,
            Some(_) => "no live worker offers it now",
            None => {
                "no worker has published it within 7 days: is the name right, and does a worker run at this broker?"
            }
        };
        let now = Instant::now();
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < TOLD_AGAIN;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(name).is_some_and(is_recent) {
            return;
        }
        if told.len() >= REMEMBERED {
            told.retain(|_, at| is_recent(at));
            if told.len() >= REMEMBERED {
                told.clear();
            }
        }
        told.insert(name.to_owned(), now);
        drop(told);
        tracing::warn!(task = name, "calls of {name:?} are sent and wait: {why}");
    }

    fn entry(&self, name: &str) -> Entry {
        let now = Instant::now();
        let is_fresh = |at: Instant| now.saturating_duration_since(at) < FRESH;
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, entry)) = entries.get(name).filter(|(at, _)| is_fresh(*at)) {
            return entry.clone();
        }
        if entries.len() >= REMEMBERED {
            entries.retain(|_, (at, _)| is_fresh(*at));
            if entries.len() >= REMEMBERED {
                entries.clear();
            }
        }
        let entry = Entry::default();
        entries.insert(name.to_owned(), (now, entry.clone()));
        entry
    }
}
