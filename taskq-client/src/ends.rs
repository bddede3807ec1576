//! Waiting for the ends of calls: for one, or for many together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use taskq_core::broker::{Results, Wanted};
use taskq_core::{Error, QueueName, Record, State, TaskId};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::handle::TaskHandle;
use crate::wait::WaitError;

/// One watch waits for at most this many.
const MOST_AT_ONCE: usize = 10_000;
/// A wait longer than this is as good as one without end.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 86_400);
/// A broker may answer this long past the end of the wait, for each watch, and a last look at the records take this long.
const LAST_LOOK: Duration = Duration::from_millis(500);
/// So many records are read at once in the last look.
const LOOKS_AT_ONCE: usize = 32;
/// The waits between two attempts to watch a broker in trouble grow from here …
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// … to here.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A call whose end is waited for: made from a [`TaskHandle`], or from a bare [`TaskId`], which may lie in any queue.
#[derive(Debug, Clone)]
pub struct Awaited {
    id: TaskId,
    queue: Option<QueueName>,
    tracked: bool,
}

impl From<TaskId> for Awaited {
    fn from(id: TaskId) -> Self {
        Self {
            id,
            queue: None,
            tracked: true,
        }
    }
}

impl From<&TaskId> for Awaited {
    fn from(id: &TaskId) -> Self {
        (*id).into()
    }
}

impl<R> From<&TaskHandle<R>> for Awaited {
    fn from(handle: &TaskHandle<R>) -> Self {
        Self {
            id: handle.id(),
            queue: handle.queue().cloned(),
            tracked: handle.is_tracked(),
        }
    }
}

impl<R> From<TaskHandle<R>> for Awaited {
    fn from(handle: TaskHandle<R>) -> Self {
        (&handle).into()
    }
}

/// The final records of `calls`, in their order, as far as there are any within `timeout`.
pub(crate) async fn ends(
    results: &Arc<dyn Results>,
    calls: Vec<Awaited>,
    timeout: Duration,
) -> Vec<Result<Record, WaitError>> {
    let mut wait = wait_for(results, &calls, timeout).await;
    calls
        .iter()
        .map(|call| wait.answer(call, timeout))
        .collect()
}

/// The same of one call.
pub(crate) async fn end(
    results: &Arc<dyn Results>,
    call: Awaited,
    timeout: Duration,
) -> Result<Record, WaitError> {
    let mut wait = wait_for(results, std::slice::from_ref(&call), timeout).await;
    wait.answer(&call, timeout)
}

async fn wait_for<'a>(
    results: &'a Arc<dyn Results>,
    calls: &[Awaited],
    timeout: Duration,
) -> Wait<'a> {
    // Of one id there is one wait, in all queues if it was asked for in several.
    let mut queues: HashMap<TaskId, Option<QueueName>> = HashMap::new();
    let mut wait = Wait {
        results,
        until: Instant::now() + timeout.min(LONGEST_WAIT),
        known: HashMap::new(),
        asked: HashMap::new(),
    };
    for call in calls.iter().filter(|call| call.tracked) {
        let queue = queues.entry(call.id).or_insert_with(|| call.queue.clone());
        if *queue != call.queue {
            *queue = None;
        }
        *wait.asked.entry(call.id).or_default() += 1;
    }
    let wanted = queues.into_iter().map(|(id, queue)| Wanted { id, queue });
    let wanted: Vec<Wanted> = wanted.collect();
    for part in wanted.chunks(MOST_AT_ONCE) {
        if !wait.watch(part).await {
            break;
        }
    }
    wait.look_at_the_rest(&wanted).await;
    wait
}

/// What a wait has come to.
struct Wait<'a> {
    results: &'a Arc<dyn Results>,
    until: Instant,
    known: HashMap<TaskId, Seen>,
    /// How often each id is still to be answered.
    asked: HashMap<TaskId, usize>,
}

/// What was seen of one call.
#[derive(Clone)]
enum Seen {
    End(Box<Record>),
    Open(State),
    Trouble(Error),
}

impl Wait<'_> {
    /// Takes in the ends of `wanted` until there are all of them, or the time is over. False: the broker says nothing,
    /// there is no use in asking it for more.
    async fn watch(&mut self, wanted: &[Wanted]) -> bool {
        let (mut pause, mut before) = (SHORTEST_PAUSE, None);
        // The parts before may have taken all the time: what has ended is answered nevertheless.
        let limit = self.until.max(Instant::now()) + LAST_LOOK;
        loop {
            let open = self.open(wanted);
            if open.is_empty() {
                return true;
            }
            let trouble = match timeout_at(limit, self.watch_once(open)).await {
                Ok(Ok(())) => return true,
                Ok(Err(trouble)) => trouble,
                // Of a broker that says nothing at all, the last it said is told, if it ever said anything.
                Err(_) => match before {
                    Some(trouble) => trouble,
                    None => return false,
                },
            };
            let now = Instant::now();
            if now >= self.until || !trouble.is_transient() {
                for open in self.open(wanted) {
                    self.known.insert(open.id, Seen::Trouble(trouble.clone()));
                }
                return true;
            }
            sleep_until((now + pause).min(self.until)).await;
            (pause, before) = ((pause * 2).min(LONGEST_PAUSE), Some(trouble));
        }
    }

    /// Those of which nothing is known yet.
    fn open(&self, wanted: &[Wanted]) -> Vec<Wanted> {
        let open = wanted.iter().filter(|w| !self.known.contains_key(&w.id));
        open.cloned().collect()
    }

    /// One watch, until it ends or breaks. What it has answered is kept either way.
    async fn watch_once(&mut self, open: Vec<Wanted>) -> Result<(), Error> {
        let left = self.until.saturating_duration_since(Instant::now());
        let mut watch = self.results.watch(open, left).await?;
        while let Some(record) = watch.next().await? {
            self.known.insert(record.id, Seen::End(Box::new(record)));
        }
        Ok(())
    }

    /// Where those stand that have not ended: who waited in vain is told.
    async fn look_at_the_rest(&mut self, wanted: &[Wanted]) {
        let until = Instant::now() + LAST_LOOK;
        let results = self.results;
        let mut looks = stream::iter(self.open(wanted))
            .map(|w| async move { (w.id, results.record(w.id, w.queue.as_ref()).await) })
            .buffer_unordered(LOOKS_AT_ONCE);
        while let Ok(Some((id, look))) = timeout_at(until, looks.next()).await {
            let seen = match look {
                Ok(None) => continue,
                Ok(Some(record)) if record.state.is_final() => Seen::End(Box::new(record)),
                Ok(Some(record)) => Seen::Open(record.state),
                Err(error) => Seen::Trouble(error),
            };
            self.known.insert(id, seen);
        }
    }

    fn answer(&mut self, call: &Awaited, after: Duration) -> Result<Record, WaitError> {
        let id = call.id;
        if !call.tracked {
            return Err(WaitError::ResultsDisabled { id });
        }
        let left = self.asked.get_mut(&id).map_or(0, |left| {
            *left = left.saturating_sub(1);
            *left
        });
        // Results may be large: the last who asked gets the record itself.
        let seen = match left {
            0 => self.known.remove(&id),
            _ => self.known.get(&id).cloned(),
        };
        match seen {
            Some(Seen::End(record)) => Ok(*record),
            Some(Seen::Trouble(error)) => Err(error.into()),
            Some(Seen::Open(state)) => Err(timed_out(id, after, Some(state))),
            None => Err(timed_out(id, after, None)),
        }
    }
}

fn timed_out(id: TaskId, after: Duration, last: Option<State>) -> WaitError {
    WaitError::TimedOut { id, after, last }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use taskq_core::broker::Watch;

    use super::*;

    /// A broker that takes a moment, and then tells the ends of all it is asked for; or says nothing at all.
    #[derive(Debug)]
    struct Far {
        silent: bool,
    }

    struct Ends(Vec<Wanted>);

    #[async_trait]
    impl Watch for Ends {
        async fn next(&mut self) -> Result<Option<Record>, Error> {
            let end = |w: Wanted| Record::new(w.id, "t", &QueueName::default(), State::Success);
            Ok(self.0.pop().map(end))
        }
    }

    #[async_trait]
    impl Results for Far {
        async fn record(&self, _: TaskId, _: Option<&QueueName>) -> Result<Option<Record>, Error> {
            Ok(None)
        }

        async fn watch(&self, wanted: Vec<Wanted>, _: Duration) -> Result<Box<dyn Watch>, Error> {
            if self.silent {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(Box::new(Ends(wanted)))
        }
    }

    /// What comes of a part that is only reached when the others have taken all the time.
    async fn late_part(silent: bool) -> (bool, usize) {
        let results: Arc<dyn Results> = Arc::new(Far { silent });
        let long_ago = Instant::now().checked_sub(10 * LAST_LOOK);
        let mut wait = Wait {
            results: &results,
            until: long_ago.expect("the clock began before that"),
            known: HashMap::new(),
            asked: HashMap::new(),
        };
        let id = TaskId::random();
        let answers = wait.watch(&[Wanted { id, queue: None }]).await;
        (answers, wait.known.len())
    }

    #[tokio::test]
    async fn a_part_that_comes_late_is_answered_nevertheless() {
        assert_eq!(late_part(false).await, (true, 1));
    }

    #[tokio::test]
    async fn a_broker_that_says_nothing_is_asked_for_no_further_part() {
        assert_eq!(late_part(true).await, (false, 0));
    }
}
