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
    told: Mutex<Told>,
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
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let tell = told.tell(name, Instant::now());
        drop(told);
        match tell {
            Tell::ItsName => {
                tracing::warn!(task = name, "calls of {name:?} are sent and wait: {why}");
            }
            Tell::ThatThereAreMore => tracing::warn!(
                "calls of more than {REMEMBERED} tasks that no live worker offers are sent and wait, and for up to {} \
                 min no further one is named: do their names come from outside?",
                TOLD_AGAIN.as_secs() / 60
            ),
            Tell::Nothing => {}
        }
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

/// Of which tasks was told that no live worker offers them, and when. Names may come from outside: they fill neither the
/// memory nor the log.
#[derive(Default)]
struct Told {
    names: HashMap<String, Instant>,
    /// When was told that there are more than that.
    more: Option<Instant>,
}

/// What is to be told of a task.
enum Tell {
    ItsName,
    ThatThereAreMore,
    Nothing,
}

impl Told {
    fn tell(&mut self, name: &str, now: Instant) -> Tell {
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < TOLD_AGAIN;
        if self.names.get(name).is_some_and(is_recent) {
            return Tell::Nothing;
        }
        if self.names.len() >= REMEMBERED {
            self.names.retain(|_, at| is_recent(at));
        }
        if self.names.len() < REMEMBERED {
            self.names.insert(name.to_owned(), now);
            return Tell::ItsName;
        }
        if self.more.as_ref().is_some_and(is_recent) {
            return Tell::Nothing;
        }
        self.more = Some(now);
        Tell::ThatThereAreMore
    }
}
