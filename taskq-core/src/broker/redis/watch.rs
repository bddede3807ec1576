//! Waiting for final records: one subscription for all waiters of a client, and a slow second look behind it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::{Cmd, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::RedisBroker;
use super::endpoint::Endpoint;
use super::records::decode;
use super::scripts;
use super::session::ms;
use super::short::Short;
use super::value::{array, bytes, number};
use crate::broker::{Wanted, Watch};
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::record::Record;

/// One watch waits for this many tasks at most.
const MOST: usize = 10_000;

/// So many tasks are asked for by one call.
const PER_CALL: usize = 250;

/// A queue keeps this many waiters; further ones only look again.
const WAITERS: usize = 100_000;

/// A lost wake-up costs this long at most.
const LOOK: Duration = Duration::from_secs(1);

/// The subscription ends when nobody waits, and is opened again this long after it broke, at most.
const BACKOFF: Duration = Duration::from_secs(1);

/// A subscription is kept for so long after the last waiter has left: who sends and waits in turn uses one.
const LINGER: Duration = Duration::from_secs(5);

/// A subscription is made within so long.
const SUBSCRIBE: Duration = Duration::from_secs(3);

/// Who waits for what, in this client.
#[derive(Debug)]
pub(super) struct Hub {
    endpoint: Arc<Endpoint>,
    channel: String,
    state: Mutex<State>,
    /// How many subscriptions there have been. What was published before one stood was heard by nobody.
    subscribed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<TaskId, Vec<(u64, mpsc::Sender<Record>)>>,
    numbers: u64,
    listens: bool,
}

impl Hub {
    pub(super) fn new(endpoint: &Arc<Endpoint>) -> Arc<Self> {
        let client = uuid::Uuid::now_v7().simple().to_string();
        Arc::new(Self {
            channel: endpoint.namespace.reply(&client),
            endpoint: endpoint.clone(),
            state: Mutex::default(),
            subscribed: watch::Sender::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a waiter; the first one opens the subscription.
    fn enter(self: &Arc<Self>, ids: &[TaskId], to: &mpsc::Sender<Record>) -> u64 {
        let mut state = self.state();
        state.numbers += 1;
        let number = state.numbers;
        for id in ids {
            state
                .waiting
                .entry(*id)
                .or_default()
                .push((number, to.clone()));
        }
        if !std::mem::replace(&mut state.listens, true) {
            drop(tokio::spawn(listen(
                Arc::downgrade(self),
                self.endpoint.clone(),
            )));
        }
        number
    }

    /// Takes a waiter out of what it still waits for; answers what nobody of this client waits for any more.
    fn leave(&self, number: u64, ids: &[TaskId]) -> Vec<TaskId> {
        let mut state = self.state();
        let mut free = Vec::new();
        for id in ids {
            if let Some(waiters) = state.waiting.get_mut(id) {
                waiters.retain(|(n, _)| *n != number);
                if waiters.is_empty() {
                    state.waiting.remove(id);
                    free.push(*id);
                }
            }
        }
        free
    }

    fn deliver(&self, payload: &[u8]) {
        let Some((id, json)) = payload.split_at_checked(36) else {
            return;
        };
        let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) else {
            return;
        };
        let Ok(record) = decode(id, json) else { return };
        for (_, waiter) in self.state().waiting.get(&id).into_iter().flatten() {
            // It has room for each of its ids; what came twice may find none.
            drop(waiter.try_send(record.clone()));
        }
    }

    fn is_idle(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// Whether the subscription may end; from then on the next waiter opens another.
    fn rests(&self) -> bool {
        let mut state = self.state();
        if state.waiting.is_empty() {
            state.listens = false;
        }
        !state.listens
    }
}

/// Whatever ends the listening (a panic, the end of its runtime): the next waiter opens another.
struct Listening(Weak<Hub>);

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(hub) = self.0.upgrade() {
            hub.state().listens = false;
        }
    }
}

/// Listens as long as somebody waits. A subscription that breaks is made again; the second look covers the gap.
async fn listen(hub: Weak<Hub>, endpoint: Arc<Endpoint>) {
    let mut listening = Listening(hub.clone());
    let mut wait = Duration::from_millis(20);
    let mut awaited = Instant::now();
    while let Some(here) = hub.upgrade() {
        if !here.is_idle() {
            awaited = Instant::now();
        } else if awaited.elapsed() >= LINGER && here.rests() {
            // Told already; another may listen by now.
            listening.0 = Weak::new();
            return;
        }
        let channel = here.channel.clone();
        drop(here);
        let subscribed = timeout(SUBSCRIBE, async {
            let mut subscription = endpoint.client.get_async_pubsub().await?;
            subscription.subscribe(&channel).await?;
            Ok::<_, redis::RedisError>(subscription.into_on_message())
        });
        let Ok(Ok(mut messages)) = subscribed.await else {
            sleep(wait).await;
            wait = (wait * 2).min(BACKOFF);
            continue;
        };
        wait = Duration::from_millis(20);
        if let Some(here) = hub.upgrade() {
            here.subscribed.send_modify(|n| *n += 1);
        }
        loop {
            let Some(here) = hub.upgrade() else { return };
            if !here.is_idle() {
                awaited = Instant::now();
            } else if awaited.elapsed() >= LINGER && here.rests() {
                listening.0 = Weak::new();
                return;
            }
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => here.deliver(message.get_payload_bytes()),
                    None => break,
                },
                // The broker may be dropped, and the last waiter may have left, while nothing comes.
                () = sleep(BACKOFF) => {}
            }
        }
        // A server that takes connections and drops them is not asked without a pause.
        sleep(wait).await;
    }
}

/// A watch on Redis.
struct RedisWatch {
    hub: Arc<Hub>,
    short: Arc<Short>,
    number: u64,
    /// What is still awaited, and where it may be.
    pending: HashMap<TaskId, Vec<QueueName>>,
    /// Those of which nobody said where they are.
    anywhere: Vec<TaskId>,
    /// Where those that have ended were looked for in vain, and stand as awaited.
    strays: HashMap<QueueName, Vec<TaskId>>,
    ready: VecDeque<Record>,
    published: mpsc::Receiver<Record>,
    subscribed: watch::Receiver<u64>,
    until: Instant,
    look_at: Instant,
    trouble: Option<Error>,
}

pub(super) async fn watch(
    broker: &RedisBroker,
    wanted: Vec<Wanted>,
    within: Duration,
) -> Result<Box<dyn Watch>, Error> {
    if wanted.len() > MOST {
        return Err(Error::invalid(format!(
            "one watch waits for at most {MOST} tasks, not {}; wait for them in parts",
            wanted.len()
        )));
    }
    let until = Instant::now() + within.min(Duration::from_secs(365 * 24 * 3600));
    let anywhere = wanted.iter().filter(|w| w.queue.is_none());
    let anywhere: Vec<TaskId> = anywhere.map(|w| w.id).collect();
    let pending: HashMap<TaskId, Vec<QueueName>> = wanted
        .into_iter()
        .map(|w| (w.id, w.queue.into_iter().collect()))
        .collect();
    let ids: Vec<TaskId> = pending.keys().copied().collect();
    let (to, published) = mpsc::channel(2 * ids.len().max(1));
    let number = broker.hub.enter(&ids, &to);
    Ok(Box::new(RedisWatch {
        hub: broker.hub.clone(),
        short: broker.short.clone(),
        number,
        pending,
        anywhere,
        strays: HashMap::new(),
        ready: VecDeque::new(),
        published,
        subscribed: broker.hub.subscribed.subscribe(),
        until,
        look_at: Instant::now(),
        trouble: None,
    }))
}

#[async_trait]
impl Watch for RedisWatch {
    async fn next(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            if self.pending.is_empty() {
                return Ok(None);
            }
            if Instant::now() >= self.look_at {
                self.subscribed.mark_unchanged();
                self.look().await;
                self.look_at = Instant::now() + LOOK;
                continue;
            }
            if Instant::now() >= self.until {
                return self.trouble.take().map_or(Ok(None), Err);
            }
            tokio::select! {
                Some(record) = self.published.recv() => self.answered(record),
                // What ended between the last look and this subscription was published to nobody.
                Ok(()) = self.subscribed.changed() => self.look_at = Instant::now(),
                () = sleep_until(self.look_at.min(self.until)) => {}
            }
        }
    }
}

impl RedisWatch {
    fn answered(&mut self, record: Record) {
        if let Some(queues) = self.pending.remove(&record.id) {
            if !self.hub.leave(self.number, &[record.id]).is_empty() {
                for queue in queues.into_iter().filter(|q| *q != record.queue) {
                    self.strays.entry(queue).or_default().push(record.id);
                }
            }
            self.ready.push_back(record);
        }
    }

    /// Reads what is awaited, and registers anew for what is not final. Trouble is kept for the end.
    async fn look(&mut self) {
        if let Err(error) = self.look_for_queues().await {
            self.trouble = Some(error);
            return;
        }
        let mut by_queue: HashMap<&QueueName, Vec<TaskId>> = HashMap::new();
        for (id, queues) in &self.pending {
            for queue in queues {
                by_queue.entry(queue).or_default().push(*id);
            }
        }
        let left = self.until.saturating_duration_since(Instant::now());
        let mut asks = Vec::new();
        let mut asked = Vec::new();
        for (queue, ids) in by_queue {
            for ids in ids.chunks(PER_CALL) {
                asks.push(self.ask(queue, ids, left));
                asked.push(ids.to_vec());
            }
        }
        match self.short.each(&asks).await {
            Ok(answers) => {
                self.trouble = None;
                for (ids, answer) in asked.into_iter().zip(answers) {
                    // Trouble at one queue is no trouble of the others.
                    match answer {
                        Ok(answer) => self.read(&ids, answer),
                        Err(error) => self.trouble = Some(error),
                    }
                }
            }
            Err(error) => self.trouble = Some(error),
        }
    }

    /// A queue may have become known since the last look.
    async fn look_for_queues(&mut self) -> Result<(), Error> {
        self.anywhere.retain(|id| self.pending.contains_key(id));
        if self.anywhere.is_empty() {
            return Ok(());
        }
        let all = super::inspect::queues_at(&self.hub.endpoint, &self.short).await?;
        for id in &self.anywhere {
            if let Some(queues) = self.pending.get_mut(id) {
                queues.clone_from(&all);
            }
        }
        Ok(())
    }

    fn ask(&self, queue: &QueueName, ids: &[TaskId], left: Duration) -> Cmd {
        let k = self.hub.endpoint.namespace.queue(queue);
        let mut keys = vec![k.waiters.clone()];
        for id in ids {
            keys.push(k.bucket(id.created_second().unwrap_or(0)));
            keys.push(k.record(*id));
        }
        let mut ask = scripts::WATCH.call(&keys);
        // Beyond its next look nobody needs to be kept: a client that dies leaves nothing behind for long.
        ask.arg(self.hub.endpoint.offset_ms())
            .arg(ms(left.min(10 * LOOK)))
            .arg(&self.hub.channel)
            .arg(WAITERS);
        for id in ids {
            ask.arg(id.to_string());
        }
        ask
    }

    fn read(&mut self, ids: &[TaskId], answer: Value) {
        let mut words = array(answer).unwrap_or_default().into_iter();
        let now = words.next().as_ref().and_then(number).unwrap_or(0);
        for (id, json) in ids.iter().zip(words) {
            let json = bytes(json).unwrap_or_default();
            if let Some(record) = decode(*id, &json).ok().map(|r| r.read_at(now))
                && record.state.is_final()
            {
                self.answered(record);
            }
        }
    }
}

impl Drop for RedisWatch {
    fn drop(&mut self) {
        let ids: Vec<TaskId> = self.pending.keys().copied().collect();
        let free = self.hub.leave(self.number, &ids);
        let mut by_queue = std::mem::take(&mut self.strays);
        for id in free {
            for queue in self.pending.remove(&id).unwrap_or_default() {
                by_queue.entry(queue).or_default().push(id);
            }
        }
        // Without a runtime the deadlines of its entries clear them.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if by_queue.is_empty() {
            return;
        }
        let mut calls = Vec::new();
        for (queue, ids) in by_queue {
            let waiters = self.hub.endpoint.namespace.queue(&queue).waiters;
            for ids in ids.chunks(PER_CALL) {
                let mut call = scripts::UNWATCH.call([&waiters]);
                call.arg(&self.hub.channel);
                for id in ids {
                    call.arg(id.to_string());
                }
                calls.push(call);
            }
        }
        let short = self.short.clone();
        drop(runtime.spawn(async move { drop(short.all(&calls).await) }));
    }
}
