//! The dead set: which messages are there, and putting them back or dropping them.

use std::collections::BTreeSet;
use std::time::Duration;

use glob::Pattern;
use taskq_core::broker::{DeadHandle, DeadMessage};
use taskq_core::clock::now_ms;
use taskq_core::{Error, Message, QueueName, State, TaskId};

use crate::client::Client;

/// So many are read, moved or dropped at a time.
const AT_ONCE: usize = 500;

/// Which dead messages are meant: those that fit all that is said here; with nothing said, all of them.
#[derive(Debug, Clone, Default)]
pub struct DeadFilter {
    queue: Option<QueueName>,
    ids: BTreeSet<TaskId>,
    task: Option<Pattern>,
    reason: Option<String>,
    older_than: Option<Duration>,
    newer_than: Option<Duration>,
    until: Option<u64>,
}

impl DeadFilter {
    /// Those of this queue; else those of all queues.
    #[must_use]
    pub fn queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Those of these calls.
    #[must_use]
    pub fn ids(mut self, ids: impl IntoIterator<Item = TaskId>) -> Self {
        self.ids.extend(ids);
        self
    }

    /// Those whose task's name fits `pattern`: `*` stands for any characters, `?` for one, `[ab]` for one of these.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what is no pattern.
    pub fn task(mut self, pattern: &str) -> Result<Self, Error> {
        let read = Pattern::new(pattern);
        self.task = Some(read.map_err(|e| {
            Error::invalid(format!("{pattern:?} is no pattern of task names: {e}"))
        })?);
        Ok(self)
    }

    /// Those whose reason contains `text`, in upper or lower case.
    #[must_use]
    pub fn reason(mut self, text: &str) -> Self {
        self.reason = Some(text.to_lowercase());
        self
    }

    /// Those that have been dead for this long or longer, by this machine's clock.
    #[must_use]
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }

    /// Those that have been dead for less than this, by this machine's clock.
    #[must_use]
    pub fn newer_than(mut self, age: Duration) -> Self {
        self.newer_than = Some(age);
        self
    }

    /// Those that were dead at this time: ms since the epoch, the broker's clock.
    #[must_use]
    pub fn until(mut self, at: u64) -> Self {
        self.until = Some(at);
        self
    }

    fn fits(&self, call: &DeadCall, now: u64) -> bool {
        let age = Duration::from_millis(now.saturating_sub(call.at));
        let named = |task: &Pattern| call.task.as_deref().is_some_and(|name| task.matches(name));
        let says = |reason: &String| call.reason.to_lowercase().contains(reason);
        (self.ids.is_empty() || call.id.is_some_and(|id| self.ids.contains(&id)))
            && self.task.as_ref().is_none_or(named)
            && self.reason.as_ref().is_none_or(says)
            && self.older_than.is_none_or(|least| age >= least)
            && self.newer_than.is_none_or(|most| age < most)
            && self.until.is_none_or(|at| call.at <= at)
    }
}

/// A dead message.
#[derive(Debug, Clone)]
pub struct DeadCall {
    /// The queue it is dead in.
    pub queue: QueueName,
    /// The call's id, if it can be read.
    pub id: Option<TaskId>,
    /// The task's name, if it can be read.
    pub task: Option<String>,
    /// FAILURE or DEAD.
    pub state: State,
    /// Why it is here.
    pub reason: String,
    /// Since when: ms since the epoch, the broker's clock.
    pub at: u64,
    /// The message as it came.
    pub message: Vec<u8>,
    /// Whether a worker could read it; else it can only be dropped.
    pub readable: bool,
    handle: DeadHandle,
}

impl DeadCall {
    fn new(queue: &QueueName, dead: DeadMessage) -> Self {
        let (id, task, readable) = match Message::decode(&dead.body) {
            Ok(message) => (Some(message.id), Some(message.task), true),
            Err(unread) => (unread.id, unread.task, false),
        };
        Self {
            queue: queue.clone(),
            id,
            task,
            state: dead.state,
            reason: dead.reason,
            at: dead.at,
            message: dead.body.to_vec(),
            readable,
            handle: dead.handle,
        }
    }
}

/// The dead messages that fit a filter.
#[derive(Debug, Clone, Default)]
pub struct DeadCalls {
    /// The newest of them, newest first.
    pub calls: Vec<DeadCall>,
    /// How many fit.
    pub fitting: usize,
    /// How many of those no worker could read.
    pub unreadable: usize,
}

/// What a replay came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Messages that run again.
    pub replayed: usize,
    /// Messages that fit and stay dead, because no worker could read them.
    pub unreadable: usize,
}

impl Client {
    /// How many dead messages fit `which`, and the newest of them, at most `limit`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use taskq_client::{Client, DeadFilter};
    /// let client = Client::connect("memory://").await?;
    /// let dead = client.dead(&DeadFilter::default().task("mail.*")?.reason("timed out"), 100).await?;
    /// assert_eq!((dead.fitting, dead.calls.len()), (0, 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn dead(&self, which: &DeadFilter, limit: usize) -> Result<DeadCalls, Error> {
        let now = now_ms();
        let mut dead = DeadCalls::default();
        for queue in self.dead_queues(which).await? {
            let (mut skip, mut kept) = (0, 0);
            loop {
                let page = self.backend.dead(&queue, skip, AT_ONCE).await?;
                skip += page.len();
                let last = page.len() < AT_ONCE;
                let calls = page.into_iter().map(|entry| DeadCall::new(&queue, entry));
                for call in calls.filter(|call| which.fits(call, now)) {
                    dead.fitting += 1;
                    dead.unreadable += usize::from(!call.readable);
                    if kept < limit {
                        kept += 1;
                        dead.calls.push(call);
                    }
                }
                if last {
                    break;
                }
            }
        }
        dead.calls.sort_by_key(|call| std::cmp::Reverse(call.at));
        dead.calls.truncate(limit);
        Ok(dead)
    }

    /// Puts the dead messages that fit `which` back into their queues: QUEUED under the same ids, with all their retries,
    /// due at once, without an expiry. What dies meanwhile stays, also what is replayed and fails again.
    ///
    /// # Errors
    /// When the broker can not be reached, or refuses because it is full. What was moved before runs.
    pub async fn replay(&self, which: &DeadFilter) -> Result<Replayed, Error> {
        let mut done = Replayed::default();
        let now = now_ms();
        for queue in self.dead_queues(which).await? {
            let mut left = Leaving::new(self, &queue, which, now).await?;
            while let Some(page) = left.next().await? {
                let (good, bad): (Vec<_>, Vec<_>) = page.into_iter().partition(|c| c.readable);
                done.unreadable += bad.len();
                left.stay(bad.len());
                let good: Vec<DeadHandle> = good.into_iter().map(|call| call.handle).collect();
                if !good.is_empty() {
                    done.replayed += self.backend.replay(&queue, &good).await?;
                }
            }
        }
        Ok(done)
    }

    /// Drops the dead messages that fit `which`; how many. Their records stay until they expire.
    ///
    /// # Errors
    /// When the broker can not be reached. What was dropped before is gone.
    pub async fn drop_dead(&self, which: &DeadFilter) -> Result<usize, Error> {
        let mut dropped = 0;
        let now = now_ms();
        for queue in self.dead_queues(which).await? {
            let mut left = Leaving::new(self, &queue, which, now).await?;
            while let Some(page) = left.next().await? {
                let handles: Vec<DeadHandle> = page.into_iter().map(|call| call.handle).collect();
                if !handles.is_empty() {
                    dropped += self.backend.discard(&queue, &handles).await?;
                }
            }
        }
        Ok(dropped)
    }

    async fn dead_queues(&self, which: &DeadFilter) -> Result<Vec<QueueName>, Error> {
        match &which.queue {
            Some(queue) => Ok(vec![queue.clone()]),
            None => self.backend.queues().await,
        }
    }
}

/// The dead messages of one queue that fit, a page at a time, while they leave.
struct Leaving<'a> {
    client: &'a Client,
    queue: &'a QueueName,
    which: DeadFilter,
    now: u64,
    /// How many of those before the next page stay.
    skip: usize,
    over: bool,
}

impl<'a> Leaving<'a> {
    async fn new(
        client: &'a Client,
        queue: &'a QueueName,
        which: &DeadFilter,
        now: u64,
    ) -> Result<Self, Error> {
        // What fails again at once would come again and again.
        let newest = client.backend.dead(queue, 0, 1).await?;
        let newest = newest.first().map_or(0, |entry| entry.at);
        let until = which.until.unwrap_or(newest).min(newest);
        Ok(Self {
            client,
            queue,
            which: which.clone().until(until),
            now,
            skip: 0,
            over: false,
        })
    }

    /// Those of the next page that fit; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<DeadCall>>, Error> {
        if self.over {
            return Ok(None);
        }
        let page = self
            .client
            .backend
            .dead(self.queue, self.skip, AT_ONCE)
            .await?;
        self.over = page.len() < AT_ONCE;
        let read = page.len();
        let calls = page
            .into_iter()
            .map(|entry| DeadCall::new(self.queue, entry));
        let fitting: Vec<DeadCall> = calls
            .filter(|call| self.which.fits(call, self.now))
            .collect();
        self.skip += read - fitting.len();
        Ok(Some(fitting))
    }

    /// So many of the last page stay where they are.
    fn stay(&mut self, n: usize) {
        self.skip += n;
    }
}
