//! A consumer's place at one queue: a session at a time, as the consumer knows it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::finish::Unsettled;
use super::session::{Key, Opened};
use crate::broker::Served;
use crate::clock::ceil_ms;
use crate::id::QueueName;

/// Counts the sessions of this process, so that a receipt fits one session only.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) queue: QueueName,
    /// The node name that its events carry.
    pub(super) node: Arc<str>,
    /// The lease in force, ms.
    lease_ms: AtomicU64,
    /// Nothing more is claimed: what is held runs to its verdict, then the session is closed.
    leaving: AtomicBool,
    /// Its share while several queues have messages, …
    weight: AtomicU32,
    /// … and whose turn it is: see [`shares`](crate::broker::shares). Moved on by claims alone.
    pub(super) pass: AtomicU64,
    state: Mutex<State>,
    /// A batch of verdicts that was begun and is not settled.
    pub(super) finishing: tokio::sync::Mutex<Option<Unsettled>>,
}

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    /// Sessions given up without the file knowing it.
    resigning: Vec<Key>,
}

/// One session, as its consumer knows it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) key: Key,
    /// Which session of this process it is; receipts carry it.
    pub(super) generation: u64,
    /// How many claims and finishes are known to be done.
    pub(super) claims: i64,
    pub(super) finishes: i64,
    pub(super) lost: CancellationToken,
}

impl Seat {
    pub(super) fn new(served: Served, lease: Duration, node: Arc<str>) -> Self {
        Self {
            queue: served.queue,
            node,
            lease_ms: AtomicU64::new(ceil_ms(lease)),
            leaving: AtomicBool::new(false),
            weight: AtomicU32::new(served.weight),
            pass: AtomicU64::new(0),
            state: Mutex::default(),
            finishing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    pub(super) fn lease_ms(&self) -> u64 {
        self.lease_ms.load(Ordering::Relaxed)
    }

    /// Whether messages are claimed from this queue.
    pub(super) fn takes(&self) -> bool {
        !self.leaving.load(Ordering::SeqCst)
    }

    /// Claims from here on, with this weight.
    pub(super) fn stay(&self, weight: u32) {
        self.weight.store(weight, Ordering::Relaxed);
        self.leaving.store(false, Ordering::SeqCst);
    }

    /// Claims nothing more; whether it did until now.
    pub(super) fn leave(&self) -> bool {
        !self.leaving.swap(true, Ordering::SeqCst)
    }

    /// Whether it left and nothing of it is left in the file.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        !self.takes() && state.session.is_none() && state.resigning.is_empty()
    }

    /// The session, as it is known now.
    pub(super) fn session(&self) -> Option<Session> {
        self.state().session.clone()
    }

    /// Whether the session of `generation` is still the one.
    pub(super) fn holds(&self, generation: u64) -> bool {
        let state = self.state();
        let session = state.session.as_ref();
        session.is_some_and(|s| s.generation == generation)
    }

    /// It has a session. One that was opened beside another is not used: it holds nothing, and its lease runs out.
    pub(super) fn opened(&self, opened: Opened) {
        let asked = self.lease_ms.swap(opened.lease_ms, Ordering::Relaxed);
        if asked != opened.lease_ms {
            tracing::warn!(queue = %self.queue, asked_ms = asked, lease_ms = opened.lease_ms, "workers at this queue use another lease, and so does this one");
        }
        let mut state = self.state();
        state.session.get_or_insert_with(|| Session {
            key: opened.key,
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            claims: 0,
            finishes: 0,
            lost: CancellationToken::new(),
        });
    }

    /// So many claims are done now.
    pub(super) fn claimed(&self, generation: u64, claims: i64) {
        self.note(generation, |session| session.claims = claims);
    }

    /// So many finishes are done now.
    pub(super) fn finished(&self, generation: u64, finishes: i64) {
        self.note(generation, |session| session.finishes = finishes);
    }

    fn note(&self, generation: u64, what: impl FnOnce(&mut Session)) {
        let mut state = self.state();
        let session = state.session.as_mut();
        if let Some(session) = session.filter(|s| s.generation == generation) {
            what(session);
        }
    }

    /// The file says that the session of `generation` is not ours any more: its deliveries are cancelled.
    pub(super) fn lost(&self, generation: u64, why: &str) {
        if let Some(session) = self.take(generation) {
            tracing::warn!(queue = %self.queue, session = session.key.id, why, "session lost");
        }
    }

    /// Gives the session of `generation` up by itself; the file is told with the next beat.
    pub(super) fn give_up(&self, generation: u64, why: &str) {
        if let Some(session) = self.take(generation) {
            tracing::error!(queue = %self.queue, session = session.key.id, why, "session given up");
            self.state().resigning.push(session.key);
        }
    }

    /// Forgets the session of `generation` after its end; what was still out does not count any more.
    pub(super) fn closed(&self, generation: u64) {
        drop(self.take(generation));
    }

    /// What the file is to be told, …
    pub(super) fn resigning(&self) -> Vec<Key> {
        self.state().resigning.clone()
    }

    /// … once it was.
    pub(super) fn resigned(&self, keys: &[Key]) {
        self.state().resigning.retain(|key| !keys.contains(key));
    }

    fn take(&self, generation: u64) -> Option<Session> {
        let mut state = self.state();
        let session = state.session.take_if(|s| s.generation == generation)?;
        session.lost.cancel();
        Some(session)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
