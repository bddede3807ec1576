//! A seat at one queue, and the session that holds it: numbers, deliveries out, lost or not.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{Cmd, Value};
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::keys::QueueKeys;
use super::link::{Answer, Link};
use super::revoked::Known;
use super::scripts;
use super::value::{array, number, text};
use crate::broker::Served;
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;

/// Counts the sessions of this process, so that a receipt fits one session only.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// A consumer's place at one queue: a session at a time.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) queue: QueueName,
    pub(super) keys: QueueKeys,
    /// The node name that its events carry.
    pub(super) node: Arc<str>,
    /// The lease in force, ms: the first worker of the queue has set it.
    lease_ms: AtomicU64,
    /// The session's end has been asked for: a beat beside it may find it gone.
    closing: AtomicBool,
    /// What is revoked here.
    pub(super) revoked: Known,
    /// Nothing more is claimed: what is held runs to its verdict, then the session is closed.
    leaving: AtomicBool,
    /// Its share while several queues have messages.
    weight: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) session: Option<Session>,
    /// Sessions given up whose resignation the server has not confirmed.
    resigning: Vec<String>,
    /// How this queue is in trouble of its own, by what it is in trouble with.
    troubles: [Option<Trouble>; 4],
}

/// What a queue can be in trouble with.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Claim = 0,
    Finish = 1,
    Bell = 2,
    Sweep = 3,
}

#[derive(Debug)]
struct Trouble {
    text: String,
    retry_at: Instant,
}

/// One session, as its worker knows it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    /// Which session of this seat it is; receipts carry it.
    pub(super) generation: u64,
    /// The last claim known to be applied.
    pub(super) claimed: u64,
    /// The next claim was sent, and its answer is not known.
    pub(super) asked: bool,
    /// The number of the next finish.
    pub(super) next_finish: u64,
    /// Deliveries out, by tag.
    pub(super) out: HashMap<u64, Out>,
    pub(super) lost: CancellationToken,
}

/// What is remembered of a delivery that is out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    pub(super) priority: u8,
    pub(super) crashes: u8,
    pub(super) suspect: bool,
}

impl Seat {
    pub(super) fn new(served: Served, keys: QueueKeys, lease: Duration, node: Arc<str>) -> Self {
        Self {
            node,
            queue: served.queue,
            keys,
            lease_ms: AtomicU64::new(ms(lease)),
            closing: AtomicBool::new(false),
            revoked: Known::default(),
            leaving: AtomicBool::new(false),
            weight: AtomicU32::new(served.weight),
            state: Mutex::default(),
        }
    }

    /// Its share while several queues have messages.
    pub(super) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Whether messages are claimed from this queue.
    pub(super) fn takes(&self) -> bool {
        !self.leaving.load(Ordering::SeqCst)
    }

    /// Claims from here on, with this weight. False: the session's end has been asked for, another seat is needed.
    pub(super) fn stay(&self, weight: u32) -> bool {
        // Under the lock: it stays, or its end is asked for, not both.
        let _state = self.state();
        if self.closing.load(Ordering::SeqCst) {
            return false;
        }
        self.weight.store(weight, Ordering::Relaxed);
        self.leaving.store(false, Ordering::SeqCst);
        true
    }

    /// Claims nothing more; whether it did until now.
    pub(super) fn leave(&self) -> bool {
        !self.leaving.swap(true, Ordering::SeqCst)
    }

    /// Whether it left, a claim was sent, and its answer is not known.
    pub(super) fn owes_an_answer(&self) -> bool {
        !self.takes() && self.state().session.as_ref().is_some_and(|s| s.asked)
    }

    /// The server has answered the claim that was sent.
    pub(super) fn answered(&self, generation: u64) {
        let mut state = self.state();
        let session = state.session.as_mut();
        if let Some(session) = session.filter(|s| s.generation == generation) {
            session.asked = false;
        }
    }

    /// The end of the session, if it left and holds nothing; from here on it can not stay.
    pub(super) fn close_left(&self, endpoint: &Endpoint) -> Option<Cmd> {
        let state = self.state();
        let session = state.session.as_ref()?;
        if self.takes() || session.asked || !session.out.is_empty() {
            return None;
        }
        self.closing.store(true, Ordering::SeqCst);
        Some(self.close_of(endpoint, &session.id))
    }

    /// Whether it left and nothing of it is left at the server.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        !self.takes() && state.session.is_none() && state.resigning.is_empty()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.load(Ordering::Relaxed))
    }

    /// Gives up the session of `generation`, if it is still the one: its deliveries are cancelled, its verdicts dropped.
    pub(super) fn lose(&self, generation: u64, why: &str) {
        let mut state = self.state();
        if state
            .session
            .as_ref()
            .is_none_or(|s| s.generation != generation)
        {
            return;
        }
        if let Some(session) = state.session.take() {
            tracing::warn!(queue = %self.queue, session = session.id, deliveries = session.out.len(), why, "session lost");
            session.lost.cancel();
            state.resigning.push(session.id);
        }
    }

    /// Whether the session of `generation` is still the one.
    pub(super) fn holds(&self, generation: u64) -> bool {
        let state = self.state();
        state
            .session
            .as_ref()
            .is_some_and(|s| s.generation == generation)
    }

    /// How many suspects this seat has out.
    pub(super) fn suspects_out(&self) -> usize {
        let state = self.state();
        state
            .session
            .as_ref()
            .map_or(0, |s| s.out.values().filter(|out| out.suspect).count())
    }

    /// Whether the queue is in trouble of its own and not to be claimed from: what can not be finished is not claimed.
    pub(super) fn rests(&self) -> bool {
        let state = self.state();
        let [claim, finish, ..] = &state.troubles;
        finish.is_some() || claim.as_ref().is_some_and(|t| Instant::now() < t.retry_at)
    }

    /// Whether its bell is to be waited for.
    pub(super) fn hears(&self) -> bool {
        let state = self.state();
        let bell = &state.troubles[At::Bell as usize];
        self.takes()
            && state.session.is_some()
            && bell.as_ref().is_none_or(|t| Instant::now() >= t.retry_at)
    }

    /// Remembers trouble of this queue alone; told once per kind of trouble.
    pub(super) fn troubled(&self, at: At, error: &Error) {
        let (text, mut state) = (error.to_string(), self.state());
        let trouble = &mut state.troubles[at as usize];
        if trouble.as_ref().is_none_or(|t| t.text != text) {
            // What passes by itself, such as a server that loads its data, is nobody's alarm.
            if error.kind() == ErrorKind::Unreachable {
                tracing::warn!(queue = %self.queue, error = text, "the queue can not be worked on yet");
            } else {
                tracing::error!(queue = %self.queue, error = text, "the queue can not be worked on");
            }
        }
        *trouble = Some(Trouble {
            text,
            retry_at: Instant::now() + Duration::from_secs(1),
        });
    }

    pub(super) fn works(&self, at: At) {
        if self.state().troubles[at as usize].take().is_some() {
            tracing::info!(queue = %self.queue, "the queue can be worked on again");
        }
    }

    /// Settles what the seat owes (resignations), and opens a session if it has none.
    pub(super) async fn prepare(
        &self,
        endpoint: &Endpoint,
        retired: &AtomicBool,
        link: &mut Link,
    ) -> Result<(), Error> {
        self.resign_lost(endpoint, link).await?;
        while self.state().session.is_none() && self.takes() && !retired.load(Ordering::SeqCst) {
            let id = uuid::Uuid::now_v7().simple().to_string();
            let mut open =
                scripts::OPEN.call([&self.keys.session(&id), &self.keys.leases, &self.keys.meta]);
            open.arg(endpoint.offset_ms())
                .arg(&id)
                .arg(self.lease_ms.load(Ordering::Relaxed));
            // An open whose answer is lost leaves an empty session that sweepers drop; its id is never used again.
            // That the queue is not known to all costs no work, and each beat says it again.
            let known = endpoint.known([&self.queue]);
            let answer = link.all(&[known, open], Duration::ZERO).await?.pop();
            let words = array(answer.unwrap_or(Ok(Value::Nil))?).unwrap_or_default();
            match (words.first().and_then(text), words.get(1).and_then(number)) {
                (Some("OK"), Some(lease)) => {
                    self.opened(id, lease);
                    // The stop may have begun meanwhile, too early to see this session.
                    if retired.load(Ordering::SeqCst)
                        && let Some(retire) = self.retire()
                    {
                        link.call(&retire).await?;
                    }
                }
                (Some("TAKEN"), _) => {}
                _ => return Err(link.odd(words)),
            }
        }
        Ok(())
    }

    fn opened(&self, id: String, lease: u64) {
        let asked = self.lease_ms.swap(lease, Ordering::Relaxed);
        if asked != lease {
            tracing::warn!(queue = %self.queue, asked_ms = asked, lease_ms = lease, "workers at this queue use another lease, and so does this one");
        }
        let mut state = self.state();
        state.session = Some(Session {
            id,
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            claimed: 0,
            asked: false,
            next_finish: 1,
            out: HashMap::new(),
            lost: CancellationToken::new(),
        });
    }

    /// Repeats each resignation until the server has confirmed it.
    pub(super) async fn resign_lost(
        &self,
        endpoint: &Endpoint,
        link: &mut Link,
    ) -> Result<(), Error> {
        loop {
            let Some(id) = self.state().resigning.last().cloned() else {
                return Ok(());
            };
            let mut resign = scripts::RESIGN.call([
                &self.keys.session(&id),
                &self.keys.orphan(&id),
                &self.keys.leases,
            ]);
            resign.arg(endpoint.offset_ms()).arg(&id);
            link.call(&resign).await?;
            self.state().resigning.retain(|r| *r != id);
        }
    }

    /// The beat of the current session, with its generation.
    pub(super) fn beat(&self, endpoint: &Endpoint) -> Option<(u64, Cmd)> {
        let state = self.state();
        let session = state.session.as_ref()?;
        let mut beat = scripts::BEAT.call([&self.keys.session(&session.id), &self.keys.leases]);
        beat.arg(endpoint.offset_ms())
            .arg(&session.id)
            .arg(self.lease_ms.load(Ordering::Relaxed));
        beat.arg(session.claimed).arg(session.next_finish);
        Some((session.generation, beat))
    }

    /// Takes note of what a beat was answered.
    pub(super) fn beaten(&self, generation: u64, answer: Answer) -> Result<(), Error> {
        if text(&answer?) == Some("LOST") && !self.closing.load(Ordering::SeqCst) {
            self.lose(
                generation,
                "its lease was past and its deliveries were given back, or the server lost them",
            );
        }
        Ok(())
    }

    /// The mark that no crash is to be charged.
    pub(super) fn retire(&self) -> Option<Cmd> {
        let state = self.state();
        let session = state.session.as_ref()?;
        Some(scripts::RETIRE.call([self.keys.session(&session.id)]))
    }

    /// The end of the session.
    pub(super) fn close(&self, endpoint: &Endpoint) -> Option<Cmd> {
        self.closing.store(true, Ordering::SeqCst);
        let state = self.state();
        Some(self.close_of(endpoint, &state.session.as_ref()?.id))
    }

    fn close_of(&self, endpoint: &Endpoint, id: &str) -> Cmd {
        let mut close = scripts::CLOSE.call([
            &self.keys.session(id),
            &self.keys.orphan(id),
            &self.keys.leases,
        ]);
        close.arg(endpoint.offset_ms()).arg(id);
        close
    }

    /// Forgets the session after its end; what was still out does not count any more.
    pub(super) fn closed(&self) {
        if let Some(session) = self.state().session.take() {
            session.lost.cancel();
        }
    }
}

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
