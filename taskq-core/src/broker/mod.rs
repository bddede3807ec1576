//! The contracts: what a broker must do, split by who asks it.
//!
//! - [`Broker`] and its [`Consumer`]: the hot path. Messages in; deliveries out; verdicts back.
//! - [`Results`]: records. [`Inspect`]: reading what is there. [`Control`]: talking to running workers.
//!
//! They know deliveries and what became of them; how a broker fences a delivery is its own affair.
//! The promises behind these methods are the cases of the conformance suite (feature `testing`).

mod chosen;
mod connect;
mod marked;
pub mod memory;
mod outgoing;
mod places;
#[cfg(feature = "redis")]
pub mod redis;
mod revive;
mod search;
mod shares;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "doubles")]
mod wraps;

#[cfg(feature = "testing")]
pub mod conformance;

pub use crate::revocation::RevokeCause;
pub use chosen::ChosenBroker;
pub use connect::{connect, connect_existing};
pub use places::{DeadHandle, DeadMessage, DelayedMessage, Found, Place};
pub use search::MAX_SEARCHED;
#[cfg(feature = "doubles")]
pub use wraps::Wraps;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::control::{Reply, Request};
use crate::error::Error;
use crate::event::{Attempt, EventPage, EventPosition, Told};
use crate::fleet::{PublishedTask, WorkerCard};
use crate::id::{QueueName, TaskId};
use crate::record::Record;
use crate::revocation::{Revocation, Revocations};

/// So many revocations are kept for one queue at most.
pub const MAX_REVOKED: usize = 10_000;

/// A broker with all its faces.
pub trait Backend: Broker + Results + Inspect + Control {}

impl<B: Broker + Results + Inspect + Control> Backend for B {}

/// The hot path of producers, and the door for consumers.
#[async_trait]
pub trait Broker: Debug + Send + Sync + 'static {
    /// Accepts a batch for one queue, whole or not at all, and keeps trying until `deadline` has passed.
    ///
    /// `Ok` means accepted: each message ends in a final state or is still owed. After an error of a kind that
    /// [is transient](Error::is_transient) the batch may still have been accepted; sending it again may run it twice.
    /// A record is written only where there is none, so the same id sent again does not forget its result.
    /// At most 999 messages and 1 MiB beyond the first. Those whose idempotency key is held by an earlier message are
    /// not put in again: the answer names them.
    async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        deadline: Duration,
    ) -> Result<Accepted, Error>;

    /// Begins to consume: opens a session at each queue. A queue in trouble of its own gets it once that is over; an
    /// error is one that all queues share.
    async fn consume(&self, options: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error>;

    /// Tells the fleet that this worker runs, for the next `ttl`, and publishes its tasks. Repeated, it renews.
    /// The first time it is told as worker-online, then as worker-heartbeat.
    async fn register(
        &self,
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl: Duration,
    ) -> Result<(), Error>;

    /// Tells the fleet that this worker is gone: worker-offline.
    async fn withdraw(&self, worker: &str) -> Result<(), Error>;
}

/// One worker process at its queues. All methods may run beside each other, but one `claim` at a time,
/// and one `finish` at a time per queue.
#[async_trait]
pub trait Consumer: Debug + Send + Sync + 'static {
    /// Claims up to `max` messages over all queues; with none there, waits for some for up to `wait` and at most 1 s.
    ///
    /// Never answers more than `max`. A future that is dropped half way loses nothing: its deliveries are
    /// answered by the next call. After [`retire`](Self::retire) it answers none.
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error>;

    /// Ends deliveries of one queue, all at once; answers how many counted and how many had been lost before.
    ///
    /// Keeps trying while the broker is in trouble, until the session is lost; `Err` only for what no repeat mends.
    async fn finish(&self, queue: &QueueName, verdicts: Vec<Verdict>) -> Result<Finished, Error>;

    /// Tells that runs have begun which are still under way, and writes their STARTED records; only of deliveries that
    /// are ours. At most 999. Told once at best: what an error swallowed is told by the verdict.
    async fn started(&self, queue: &QueueName, runs: Vec<Start>) -> Result<(), Error>;

    /// Renews the lease of every session. Sessions found lost cancel their deliveries.
    ///
    /// To be called every fifth of a lease, from a thread that tasks can not block.
    async fn beat(&self) -> Result<(), Error>;

    /// Gives back what sessions past their lease held, and drops records, waiters and dead messages that are past their
    /// time. To be called twice per lease.
    async fn sweep(&self) -> Result<Swept, Error>;

    /// The stop begins: no crash is charged from here on, whatever happens to the process.
    async fn retire(&self) -> Result<(), Error>;

    /// The end: gives up the sessions; what is still held goes back uncharged.
    async fn close(&self) -> Result<(), Error>;

    /// The lease in force: the one asked for, or an earlier worker's at these queues.
    fn lease(&self) -> Duration;

    /// Begins to take from one more queue; of one it takes from already, the weight is set anew. Refused after
    /// [`retire`](Self::retire).
    async fn attach(&self, served: Served) -> Result<(), Error>;

    /// Takes nothing more from `queue`: what it holds of it runs to its verdict, then the session there is closed.
    /// Whether it took from it. Verdicts that come after that count as lost.
    ///
    /// A future that is dropped half way has left the queue from its first moment on: the session is closed with a later
    /// claim, and asked again the answer is that nothing was taken from it.
    async fn detach(&self, queue: &QueueName) -> Result<bool, Error>;
}

/// Records.
#[async_trait]
pub trait Results: Debug + Send + Sync + 'static {
    /// The record of `id`; without a queue all known queues are asked. `None`: never tracked, unknown or expired.
    ///
    /// A record that is not final and whose `expires` is past is answered as REVOKED.
    async fn record(&self, id: TaskId, queue: Option<&QueueName>) -> Result<Option<Record>, Error>;

    /// Waits for final records for up to `within`; at most 10,000 ids. Dropping the watch leaves nothing behind.
    ///
    /// A wake-up that got lost costs at most a second: what is awaited is read again that often.
    async fn watch(&self, wanted: Vec<Wanted>, within: Duration) -> Result<Box<dyn Watch>, Error>;
}

/// Reading what is there.
#[async_trait]
pub trait Inspect: Debug + Send + Sync + 'static {
    /// The workers whose registration has not lapsed, by node name.
    async fn workers(&self) -> Result<Vec<WorkerCard>, Error>;

    /// The tasks published within the last 7 days, by name.
    async fn tasks(&self) -> Result<Vec<PublishedTask>, Error>;

    /// The task published as `name`.
    async fn task(&self, name: &str) -> Result<Option<PublishedTask>, Error>;

    /// Every queue somebody sent to or listens at, by name.
    async fn queues(&self) -> Result<Vec<QueueName>, Error>;

    /// What lies in one queue, and whether it is paused.
    async fn depth(&self, queue: &QueueName) -> Result<Depth, Error>;

    /// Of the dead set of one queue, newest first: `limit` (at most 1,000) behind the first `skip`.
    async fn dead(
        &self,
        queue: &QueueName,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<DeadMessage>, Error>;

    /// What is due next in one queue: `limit` at most 1,000; a broker on the network reads no further once what it has read
    /// has 16 MiB. What joins or leaves meanwhile may be missed.
    async fn delayed(&self, queue: &QueueName, limit: usize) -> Result<Vec<DelayedMessage>, Error>;

    /// Looks for the message of `id` in one queue, tracked or not, wherever messages lie.
    ///
    /// Each place (a list of each priority, what is held back, what is delayed, what is claimed, the dead set) is looked
    /// through up to [`MAX_SEARCHED`] messages, of more than that at both ends, and by a broker on the network up to
    /// 64 MiB from where each look begins. A message that moves while it is looked for may be missed.
    async fn find(&self, queue: &QueueName, id: TaskId) -> Result<Found, Error>;

    /// What is revoked at one queue.
    async fn revoked(&self, queue: &QueueName) -> Result<Arc<Revocations>, Error>;

    /// What happened at one queue since it exists.
    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error>;

    /// The events behind `after`, of all queues and of the fleet: some thousand at most. With none there, waits for some
    /// for up to `wait` and at most 5 s.
    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error>;

    /// What the broker is, and what its operator should know about its settings.
    async fn server(&self) -> Result<ServerInfo, Error>;
}

/// Talking to running workers.
#[async_trait]
pub trait Control: Debug + Send + Sync + 'static {
    /// Sends a question; `request.reply_to` is filled in by the broker.
    async fn ask(&self, request: Request) -> Result<Box<dyn Replies>, Error>;

    /// Listens for questions.
    async fn listen(&self) -> Result<Box<dyn Requests>, Error>;

    /// Answers a question.
    async fn reply(&self, request: &Request, reply: Reply) -> Result<(), Error>;

    /// Stops all claims from a queue until it is resumed, restarts included. What is claimed runs on; sending goes on.
    async fn pause(&self, queue: &QueueName, by: &str, reason: &str) -> Result<(), Error>;

    /// Ends a pause; whether there was one.
    async fn resume(&self, queue: &QueueName) -> Result<bool, Error>;

    /// Notes that messages of one queue shall not run: whoever claims one that is covered ends it as REVOKED. It is
    /// kept for 7 days, and for an id whose record tells a later time, until then and 7 days.
    ///
    /// All or nothing: with [`MAX_REVOKED`] kept already it is refused. At most 999 at once.
    async fn revoke(&self, queue: &QueueName, what: &[Revocation]) -> Result<(), Error>;

    /// Writes REVOKED over the records of `ids` that are not final, tells it and wakes who waits; answers which. To be
    /// called behind [`revoke`](Self::revoke), for those that nobody runs. At most 999.
    async fn mark_revoked(&self, queue: &QueueName, ids: &[TaskId]) -> Result<Vec<TaskId>, Error>;

    /// Ends up to `most` (at most 999) of those that wait, are held back or are delayed in a queue, as REVOKED (purged);
    /// how many. What is claimed runs on.
    async fn purge(&self, queue: &QueueName, most: usize) -> Result<usize, Error>;

    /// Puts dead messages back into their queue: QUEUED under the same id, with all their retries, due at once, without
    /// an expiry; how many were still dead. At most 999.
    ///
    /// Told as sent, and counted as sent; a revocation of its id ends with it. A record that says SUCCESS or REVOKED, of another message under the same id,
    /// stands. With one that can not be read none is moved: [`Invalid`](crate::ErrorKind::Invalid), and it is named.
    async fn replay(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error>;

    /// Drops dead messages; how many were still there. Their records stay. At most 999.
    async fn discard(&self, queue: &QueueName, dead: &[DeadHandle]) -> Result<usize, Error>;
}

/// Final records, as they come.
#[async_trait]
pub trait Watch: Send {
    /// The next task's final record, each once; `None` when all were answered or the time is over.
    ///
    /// Trouble of the broker is waited out; what is still in trouble when the time is over is an error.
    async fn next(&mut self) -> Result<Option<Record>, Error>;
}

/// The answers to one question, as they come.
#[async_trait]
pub trait Replies: Send {
    /// The next answer; waits for it. An error ends the stream.
    async fn next(&mut self) -> Result<Reply, Error>;
}

/// The questions that reach a worker.
#[async_trait]
pub trait Requests: Send {
    /// The next question; waits for it. After an error, listen anew.
    async fn next(&mut self) -> Result<Request, Error>;
}

/// A message on its way in.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its id.
    pub id: TaskId,
    /// The message in its wire form.
    pub body: Bytes,
    /// Its priority, 0 to 9.
    pub priority: u8,
    /// When it may run.
    pub due: Due,
    /// The record to begin with (QUEUED or SCHEDULED); `None` when it is not tracked.
    pub record: Option<Record>,
    /// Its idempotency key; `None`: it is put in whatever was put in before.
    pub once: Option<Once>,
    /// What is told as task-sent; `None`: nothing. It counts as sent all the same.
    pub event: Option<Told>,
}

/// An idempotency key: of messages of one queue that carry the same key within its time, the first is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The key, 1 to 256 bytes; unique per queue.
    pub key: String,
    /// For how long it is held, from the first message on.
    pub held_for: Duration,
}

/// What an enqueue came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Messages that were not put in because their idempotency key is held: place in the batch, and the id that holds it.
    pub duplicates: Vec<(usize, TaskId)>,
}

/// When a message may run, by the broker's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Due {
    /// At once.
    #[default]
    Now,
    /// After this long.
    In(Duration),
    /// At this time: ms since the epoch.
    At(u64),
}

/// How to consume.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// The queues, none twice.
    pub queues: Vec<Served>,
    /// Which of them is asked first.
    pub order: Order,
    /// How long a session outlives its last beat.
    pub lease: Duration,
    /// The node name that its events carry.
    pub node: Arc<str>,
}

/// A queue that a consumer takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The queue.
    pub queue: QueueName,
    /// With [`Order::Weighted`]: its share of the slots while several queues have more than they get, 1 to 1,000.
    pub weight: u32,
}

impl From<QueueName> for Served {
    /// With the weight 1.
    fn from(queue: QueueName) -> Self {
        Self { queue, weight: 1 }
    }
}

/// How a consumer chooses between queues that all have messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Each gets its share, by its weight.
    #[default]
    Weighted,
    /// One gets something only while those before it have nothing.
    Strict,
}

/// A message that this process holds until its verdict, or until its session is lost.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The queue it came through.
    pub queue: QueueName,
    /// The message in its wire form, without its mark.
    pub body: Bytes,
    /// Its priority: of the list it came through.
    pub priority: u8,
    /// How often a process died while it held this message.
    pub crashes: u8,
    /// It was held back to run beside no other of its kind: one more crash makes it DEAD.
    pub suspect: bool,
    /// The broker's time when it was claimed: ms since the epoch.
    pub claimed_at: u64,
    /// Fires when the session is lost: the message is not ours any more, its verdict will not count.
    pub lost: CancellationToken,
    /// What was revoked at its queue when it was claimed.
    pub revoked: Arc<Revocations>,
    /// What the broker knows it by.
    pub receipt: Receipt,
}

/// A delivery's number, opaque outside the broker that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt {
    pub(crate) session: u64,
    pub(crate) tag: u64,
}

/// How one delivery ends.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The delivery.
    pub receipt: Receipt,
    /// What becomes of the message.
    pub end: End,
    /// The record to write with it; `None` when it is not tracked. A final record is never overwritten.
    pub record: Option<Record>,
    /// What is told of the attempt; `None`: nothing. It counts in the totals all the same.
    pub event: Option<Attempt>,
}

/// A run that has begun and is still under way, or got further.
#[derive(Debug, Clone)]
pub struct Start {
    /// The delivery.
    pub receipt: Receipt,
    /// The STARTED record; `None` when the task does not ask for it.
    pub record: Option<Record>,
    /// What is told of the attempt; without its times, nothing: only its record is new.
    pub event: Attempt,
}

/// What becomes of a message.
#[derive(Debug, Clone)]
pub enum End {
    /// It is over: SUCCESS.
    Done,
    /// It runs again after this long, in this new form (its `retries` moved).
    Retry {
        /// The wait.
        after: Duration,
        /// The message in its new wire form.
        body: Bytes,
    },
    /// It runs again after this long, unchanged.
    Snooze(Duration),
    /// It goes back to the front of its list, unchanged: another worker shall run it.
    Return,
    /// It goes to the dead set: FAILURE or DEAD as the record says, for this reason.
    Dead {
        /// FAILURE or DEAD.
        state: crate::state::State,
        /// Why, in a sentence.
        reason: String,
    },
    /// It is over without an answer: REVOKED.
    Revoked(RevokeCause),
}

/// What a finish came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Finished {
    /// Verdicts that counted.
    pub applied: usize,
    /// Verdicts of deliveries that were not ours any more; the messages are with someone else.
    pub lost: usize,
}

/// What a sweep came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Messages given back to their queue.
    pub returned: usize,
    /// Messages that reached their crash limit.
    pub dead: usize,
}

/// What lies in one queue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Depth {
    /// Ready to be claimed.
    pub waiting: u64,
    /// Held back: one more crash makes them DEAD.
    pub suspects: u64,
    /// Not due yet.
    pub delayed: u64,
    /// Claimed, or on their way back from a lost session.
    pub in_flight: u64,
    /// In the dead set.
    pub dead: u64,
    /// For how long the oldest of those that wait has existed, ms: by what its message or id tells. `None`: nothing
    /// waits, or nothing tells.
    pub oldest_ms: Option<u64>,
    /// The queue is paused.
    pub paused: Option<Paused>,
}

/// Why nothing is claimed from a queue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Paused {
    /// Who paused it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when: ms since the epoch.
    pub since: u64,
}

/// What happened at one queue since it exists: exact, and never trimmed. What another program pushed is not in `sent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Totals {
    /// Messages accepted; one that is replayed counts again.
    pub sent: u64,
    /// Ended as SUCCESS.
    pub succeeded: u64,
    /// Ended as FAILURE.
    pub failed: u64,
    /// Attempts that failed and were put off to run again.
    pub retried: u64,
    /// Ended as DEAD.
    pub dead: u64,
    /// Ended as REVOKED.
    pub revoked: u64,
    /// Crashes charged: one for each message that a lost session held.
    pub crashed: u64,
    /// Messages that came back to the queue: by a crash, a stop, or a session that was given up. Not the snoozed.
    pub returned: u64,
}

/// A record that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The task.
    pub id: TaskId,
    /// Its queue; `None`: all known queues are asked.
    pub queue: Option<QueueName>,
}

/// What the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its name, such as `redis`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How long it took to answer.
    pub round_trip: Duration,
    /// Settings under which it does not keep its promises, each with the remedy.
    pub warnings: Vec<String>,
}

const _: fn() = || {
    fn object_safe(_: Arc<dyn Backend>, _: Arc<dyn Consumer>) {}
    fn narrow(all: Arc<dyn Backend>) -> Arc<dyn Broker> {
        all
    }
    let _ = object_safe;
    let _ = narrow;
};
