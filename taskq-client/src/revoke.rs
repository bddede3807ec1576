//! Revoking calls: what shall not run although it was accepted.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use taskq_core::broker::Wanted;
use taskq_core::control::Command;
use taskq_core::fleet::WorkerCard;
use taskq_core::revocation::Revocation;
use taskq_core::{Error, QueueName, State, TaskId};

use crate::client::Client;
use crate::inspect::Answers;

/// So many go to the broker, and to the workers, at once.
const AT_ONCE: usize = 999;
/// So many records are read beside each other.
const READS: usize = 32;
/// So long is waited until those that were cut off read REVOKED: code that does not await is given up after 500 ms.
const SETTLED: Duration = Duration::from_secs(1);
/// Between the sentences of one worker about several parts.
const SENTENCES: &str = " / ";
/// So many are waited for at most.
const AWAITED: usize = 10_000;

/// How calls are revoked.
#[derive(Debug, Clone)]
pub struct RevokeOptions {
    /// The queue they were sent to; `None`: ids are looked for in all known queues, tasks and headers count in all.
    pub queue: Option<QueueName>,
    /// Those that run are cut off. Else they go on.
    pub terminate: bool,
    /// How long live workers have to answer; 1 s unless set.
    pub timeout: Duration,
}

impl Default for RevokeOptions {
    fn default() -> Self {
        Self {
            queue: None,
            terminate: false,
            timeout: Duration::from_secs(1),
        }
    }
}

/// What a revocation came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Revoked {
    /// The queues where it is kept from now on.
    pub queues: Vec<QueueName>,
    /// Those that waited: they read REVOKED by now. What else waits reads so once a worker would have run it.
    pub marked: Vec<TaskId>,
    /// Those that run and go on.
    pub running: Vec<TaskId>,
    /// Those that ran and are cut off: those with a record read REVOKED, unless their worker took more than a second.
    pub terminated: Vec<TaskId>,
    /// Those that had ended before, and how.
    pub over: BTreeMap<TaskId, State>,
    /// What the workers answered, and which of them are silent: what these run is not known, and nothing of their queues
    /// is marked.
    pub answers: Answers,
}

impl Client {
    /// Revokes calls: those that wait or are delayed will not run, whichever worker claims them and whenever that is;
    /// those that run go on, or are cut off if the options say so.
    ///
    /// It is kept by the broker for 7 days (for a call that is due later, until then and 7 days), at most
    /// [`MAX_REVOKED`](taskq_core::broker::MAX_REVOKED) for each queue, and outlives workers. By its id a call that nobody
    /// runs reads REVOKED when this returns, and who waits for it is woken; by task or header that is written when a
    /// worker claims it, and what is sent later runs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use taskq_client::{Client, Revocation, RevokeOptions, SendOptions, State};
    /// let client = Client::connect("memory://").await?;
    /// let handle = client.send_by_name("reports.daily", (), (), SendOptions::default()).await?;
    ///
    /// let revoked = client.revoke(&[Revocation::Id(handle.id())], RevokeOptions::default()).await?;
    /// assert_eq!(revoked.marked, [handle.id()]);
    /// assert_eq!(handle.state().await?, Some(State::Revoked));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused) when a queue keeps as many as it may,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what can not be kept and when no queue is known, and when
    /// the broker can not be reached. What was noted at some queues before the error stays.
    pub async fn revoke(
        &self,
        what: &[Revocation],
        options: RevokeOptions,
    ) -> Result<Revoked, Error> {
        what.iter().try_for_each(Revocation::check)?;
        let mut revoked = Revoked::default();
        let homes = self.homes(what, options.queue.as_ref()).await?;
        let known = match &options.queue {
            Some(queue) => vec![queue.clone()],
            None => self.backend.queues().await?,
        };
        if known.is_empty() {
            return Err(Error::invalid(
                "no queue is known at this broker, so there is nothing to revoke: name the queue",
            ));
        }
        for queue in known {
            let here: Vec<Revocation> = what
                .iter()
                .filter(|one| match one {
                    Revocation::Id(id) => homes.get(id).is_none_or(|home| home.queue == queue),
                    Revocation::Task(_) | Revocation::Header { .. } => true,
                })
                .cloned()
                .collect();
            for some in here.chunks(AT_ONCE) {
                self.backend.revoke(&queue, some).await?;
            }
            if !here.is_empty() {
                revoked.queues.push(queue);
            }
        }
        let unsure = self.tell_workers(what, &options, &mut revoked).await?;
        let busy: BTreeSet<TaskId> = revoked
            .running
            .iter()
            .chain(&revoked.terminated)
            .copied()
            .collect();
        let cut_off: Vec<Wanted> = revoked
            .terminated
            .iter()
            .filter_map(|id| {
                let queue = homes.get(id)?.queue.clone();
                Some(Wanted {
                    id: *id,
                    queue: Some(queue),
                })
            })
            .take(AWAITED)
            .collect();
        let mut idle: BTreeMap<QueueName, Vec<TaskId>> = BTreeMap::new();
        for (id, home) in homes {
            if home.state.is_final() {
                revoked.over.insert(id, home.state);
            } else if !busy.contains(&id) && !unsure.of(&home.queue) {
                idle.entry(home.queue).or_default().push(id);
            }
        }
        for (queue, ids) in idle {
            for some in ids.chunks(AT_ONCE) {
                let marked = self.backend.mark_revoked(&queue, some).await?;
                let rest = some.iter().filter(|id| !marked.contains(id));
                let rest: Vec<_> = rest.copied().map(Revocation::Id).collect();
                revoked.marked.extend(marked);
                // It ended meanwhile; most likely somebody claimed it, and has written the same.
                for (id, home) in self.homes(&rest, Some(&queue)).await? {
                    match home.state {
                        State::Revoked => revoked.marked.push(id),
                        state if state.is_final() => drop(revoked.over.insert(id, state)),
                        _ => {}
                    }
                }
            }
        }
        revoked.marked.sort_unstable();
        if !cut_off.is_empty() {
            // Their workers write it: who asks next shall not read that they wait.
            let mut ends = self.backend.watch(cut_off, SETTLED).await?;
            while ends.next().await?.is_some() {}
        }
        Ok(revoked)
    }

    /// Where the calls lie that have a record.
    async fn homes(
        &self,
        what: &[Revocation],
        queue: Option<&QueueName>,
    ) -> Result<BTreeMap<TaskId, Home>, Error> {
        let ids = what.iter().filter_map(|one| match one {
            Revocation::Id(id) => Some(*id),
            Revocation::Task(_) | Revocation::Header { .. } => None,
        });
        let records = stream::iter(ids)
            .map(|id| self.backend.record(id, queue))
            .buffered(READS);
        records
            .try_filter_map(async |record| {
                Ok(record.map(|record| {
                    let home = Home {
                        queue: record.queue,
                        state: record.state,
                    };
                    (record.id, home)
                }))
            })
            .try_collect()
            .await
    }

    /// Has the workers give up what they hold; which of them are not known to have.
    async fn tell_workers(
        &self,
        what: &[Revocation],
        options: &RevokeOptions,
        revoked: &mut Revoked,
    ) -> Result<Unsure, Error> {
        let cards = self.workers().await?;
        let mut unsure = Unsure::default();
        for some in what.chunks(AT_ONCE) {
            let command = Command::Revoke {
                what: some.to_vec(),
                queue: options.queue.clone(),
                terminate: options.terminate,
            };
            let answers = self.ask(command, &[], options.timeout).await?;
            for (node, body) in &answers.replies {
                if body.get("ok").is_none() {
                    unsure.add(node, &cards);
                }
                revoked.running.extend(ids(&body["running"]));
                revoked.terminated.extend(ids(&body["terminated"]));
            }
            for node in &answers.silent {
                unsure.add(node, &cards);
            }
            let all = &mut revoked.answers;
            for (node, body) in answers.replies {
                match all.replies.entry(node) {
                    Entry::Vacant(first) => drop(first.insert(body)),
                    Entry::Occupied(before) => join(before.into_mut(), body),
                }
            }
            all.silent.extend(answers.silent);
        }
        for ids in [&mut revoked.running, &mut revoked.terminated] {
            ids.sort_unstable();
            ids.dedup();
        }
        revoked.answers.silent.sort_unstable();
        revoked.answers.silent.dedup();
        Ok(unsure)
    }
}

struct Home {
    queue: QueueName,
    state: State,
}

/// The queues of workers of which it is not known what they run.
#[derive(Default)]
struct Unsure {
    queues: BTreeSet<QueueName>,
    /// Of one not even the queues are known.
    all: bool,
}

impl Unsure {
    fn add(&mut self, node: &str, cards: &[WorkerCard]) {
        match cards.iter().find(|card| card.node == node) {
            Some(card) => self.queues.extend(card.queues.iter().cloned()),
            None => self.all = true,
        }
    }

    fn of(&self, queue: &QueueName) -> bool {
        self.all || self.queues.contains(queue)
    }
}

/// Adds to what a worker answered about some what it answers about more: its lists, and its sentence where that is another
/// one. A refusal stays alone.
fn join(said: &mut Value, more: Value) {
    if said.get("ok").is_none() {
        return;
    }
    if more.get("ok").is_none() {
        *said = more;
        return;
    }
    for list in ["running", "terminated"] {
        if let (Some(all), Some(more)) = (
            said.get_mut(list).and_then(Value::as_array_mut),
            more[list].as_array(),
        ) {
            all.extend(more.iter().cloned());
        }
    }
    if let (Some(all), Some(more)) = (said["ok"].as_str(), more["ok"].as_str())
        && !all.split(SENTENCES).any(|one| one == more)
    {
        said["ok"] = format!("{all}{SENTENCES}{more}").into();
    }
}

fn ids(list: &Value) -> impl Iterator<Item = TaskId> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|id| id.as_str()?.parse().ok())
}
