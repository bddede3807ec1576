//! The memory broker with one flaw, and what it must remember to be wrong in its way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use taskq_core::broker::conformance::Harness;
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{
    Backend, Broker, Consumer, ConsumerOptions, Delivery, Order, Outgoing, Receipt, Served,
};
use taskq_core::clock::now_ms;
use taskq_core::control::Request;
use taskq_core::message::OnCrash;
use taskq_core::revocation::Revocation;
use taskq_core::{Error, Message, QueueName, Record, TaskId};
use tokio::sync::Notify;

use super::Flaw;

/// The longest case makes less than a thousand calls. One that makes so many would go on for ever, without ever waiting.
const CALL_LIMIT: usize = 3_000;

/// The memory broker with one flaw. Clones are the same broker.
#[derive(Debug, Clone)]
pub(super) struct Mutant {
    pub(super) inner: MemoryBroker,
    pub(super) flaw: Flaw,
    /// Rung when the clock is moved.
    pub(super) moved: Arc<Notify>,
    notes: Arc<Mutex<Notes>>,
}

/// What it remembers between calls; each flaw needs little of it.
#[derive(Debug, Default)]
pub(super) struct Notes {
    calls: usize,
    called: BTreeSet<&'static str>,
    /// How much was asked of it: each message sent counts one and one more for each KiB, each record waited for one.
    weight: usize,
    /// How far the clock was moved.
    pub(super) now: Duration,
    /// The broker's consumers; each is there for all who hold a clone of the mutant.
    pub(super) consumers: Vec<Arc<dyn Consumer>>,
    /// Consumers of its own that always beat, by queue: they may always sweep.
    pub(super) wardens: BTreeMap<QueueName, Arc<dyn Consumer>>,
    /// What is held, or was.
    pub(super) held: HashMap<Receipt, Delivery>,
    /// The delivery that is answered again, but to whom.
    pub(super) again: Option<(Delivery, usize)>,
    /// What senders wrote, where the broker holds a message in another form.
    pub(super) bodies: HashMap<TaskId, Bytes>,
    /// Records that are answered instead of the broker's.
    pub(super) instead: HashMap<TaskId, Record>,
    /// Every record written by a call, with the time.
    pub(super) written: HashMap<TaskId, (Record, Duration)>,
    /// Idempotency keys: who holds them, at which queue, until when.
    pub(super) keys: HashMap<String, (TaskId, QueueName, Duration)>,
    /// What was begun.
    pub(super) begun: HashSet<Receipt>,
    /// How many messages were accepted.
    pub(super) accepted: usize,
    /// How many verdicts did not count.
    pub(super) lost: usize,
    /// How many messages were snoozed.
    pub(super) snoozed: u64,
    /// How many messages came from other programs.
    pub(super) foreign: u64,
    /// Which watch began last for a task.
    pub(super) watched: HashMap<TaskId, usize>,
    pub(super) watches: usize,
    /// The queues that were there when events were first read.
    pub(super) read: Option<Vec<QueueName>>,
    pub(super) withdrawals: usize,
    pub(super) sent_to: BTreeSet<QueueName>,
    pub(super) heard_at: BTreeSet<QueueName>,
    /// Ids of the workers that registered.
    pub(super) workers: BTreeSet<String>,
    /// The first text of each published task.
    pub(super) docs: BTreeMap<String, String>,
    /// How often a message was returned.
    pub(super) returns: usize,
    /// How often a pause was ended.
    pub(super) resumes: usize,
    /// How many dead messages were replayed, and their bodies.
    pub(super) replays: usize,
    pub(super) replayed: Vec<Bytes>,
    /// Every message that was sent.
    pub(super) sent: Vec<Bytes>,
    /// What was revoked: where, when.
    pub(super) revoked: Vec<(Revocation, QueueName, Duration)>,
    /// A revocation was refused.
    pub(super) revoked_too_many: bool,
    /// What was marked, when.
    pub(super) marked: HashMap<TaskId, Duration>,
    /// What was purged.
    pub(super) purged: bool,
    pub(super) listeners: usize,
    /// Every question that was heard.
    pub(super) questions: Vec<Request>,
    /// Ids of the questions whose askers are gone.
    pub(super) gone: BTreeSet<String>,
}

impl Mutant {
    pub(super) fn new(flaw: Flaw) -> Self {
        Self {
            inner: MemoryBroker::with_still_clock(),
            flaw,
            moved: Arc::default(),
            notes: Arc::default(),
        }
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call of the case: the bound of a case that never waits.
    pub(super) fn called(&self, name: &'static str) {
        let mut notes = self.notes();
        notes.calls += 1;
        notes.called.insert(name);
        assert!(notes.calls <= CALL_LIMIT, "{CALL_LIMIT} calls and no end");
    }

    pub(super) fn carried(&self, batch: &[Outgoing]) {
        let weight = batch.iter().map(|out| 1 + out.body.len() / 1_024);
        self.weigh(weight.sum());
    }

    pub(super) fn weigh(&self, weight: usize) {
        self.notes().weight += weight;
    }

    /// Which calls were made.
    pub(super) fn calls(&self) -> BTreeSet<&'static str> {
        self.notes().called.clone()
    }

    /// How much was asked of it, all in all.
    pub(super) fn weight(&self) -> usize {
        self.notes().weight
    }

    pub(super) fn now(&self) -> Duration {
        self.notes().now
    }

    /// The broker's time, to a moment: ms since the epoch.
    pub(super) fn clock_ms(&self) -> u64 {
        now_ms() + u64::try_from(self.now().as_millis()).unwrap_or(0)
    }

    /// The name under which the broker knows a queue.
    pub(super) fn spelled(&self, queue: &QueueName) -> QueueName {
        let cut = queue.as_str().split('.').next().map(QueueName::new);
        match (self.flaw, cut) {
            (Flaw::CutsNamesAtTheDot, Some(Ok(cut))) => cut,
            _ => queue.clone(),
        }
    }

    /// The form in which a message goes into the broker.
    pub(super) fn disguised(&self, body: &Bytes) -> Bytes {
        let strip: fn(&mut Message) = match self.flaw {
            Flaw::IgnoresMaxCrashes => |m| m.max_crashes = None,
            Flaw::IgnoresOnCrash => |m| m.on_crash = OnCrash::Requeue,
            Flaw::RecordsEveryCrasher => |m| m.ignore_result = false,
            Flaw::RecordsNoCrasher => |m| m.ignore_result = true,
            _ => return body.clone(),
        };
        let Ok(mut message) = Message::decode(body) else {
            return body.clone();
        };
        strip(&mut message);
        self.notes().bodies.insert(message.id, body.clone());
        message.encode().map_or_else(|_| body.clone(), Bytes::from)
    }

    /// The form in which its sender wrote it.
    pub(super) fn undisguised(&self, body: &Bytes) -> Bytes {
        let notes = self.notes();
        if notes.bodies.is_empty() {
            return body.clone();
        }
        let id = Message::decode(body).map(|m| m.id);
        let sent = id.ok().and_then(|id| notes.bodies.get(&id));
        sent.unwrap_or(body).clone()
    }

    /// Has a consumer of its own at each of these queues, if its flaw needs one.
    pub(super) async fn guard(&self, options: &ConsumerOptions) -> Result<(), Error> {
        if !matches!(
            self.flaw,
            Flaw::SweepsUnchecked | Flaw::RobsAfterAnOutage | Flaw::GivesUpLateBeats
        ) {
            return Ok(());
        }
        for Served { queue, .. } in &options.queues {
            if !self.notes().wardens.contains_key(queue) {
                let at = ConsumerOptions {
                    queues: vec![queue.clone().into()],
                    order: Order::default(),
                    ..options.clone()
                };
                let warden = self.inner.consume(at).await?;
                self.notes().wardens.insert(queue.clone(), warden);
            }
        }
        Ok(())
    }

    /// Moves the clock in such steps that its own consumers stay in contact.
    async fn move_clock(&self, by: Duration) -> Result<(), Error> {
        let wardens: Vec<_> = self.notes().wardens.values().cloned().collect();
        let Some(lease) = wardens.first().map(|w| w.lease()) else {
            self.inner.advance(by);
            return Ok(());
        };
        let mut left = by;
        while !left.is_zero() {
            let step = (left.saturating_sub(lease * 2)).max(left.min(lease / 5));
            self.inner.advance(step);
            left -= step;
            for warden in &wardens {
                warden.beat().await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Harness for Mutant {
    async fn connect(&self) -> Result<Arc<dyn Backend>, Error> {
        Ok(Arc::new(self.clone()))
    }

    async fn advance(&self, by: Duration) -> Result<(), Error> {
        self.called("advance");
        self.move_clock(by).await?;
        self.notes().now += by;
        self.moved.notify_waiters();
        Ok(())
    }

    async fn push_raw(&self, queue: &QueueName, priority: u8, body: &[u8]) -> Result<(), Error> {
        self.called("push_raw");
        self.notes().foreign += 1;
        let priority = match self.flaw {
            Flaw::PutsForeignMessagesLast | Flaw::IgnoresPriorities => 0,
            Flaw::ReversesPriorities => 9 - priority,
            _ => priority,
        };
        self.inner
            .push_raw(&self.spelled(queue), priority, body.to_vec())
    }
}
