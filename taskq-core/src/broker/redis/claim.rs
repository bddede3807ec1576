//! Messages out: numbered claims over all queues of a process, and the wait on their bells.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::{Cmd, Value, cmd};

use super::endpoint::Endpoint;
use super::link::{Answer, Link};
use super::scripts;
use super::session::{At, Out, Seat};
use super::value::{array, bytes, number, text};
use crate::broker::{Delivery, Receipt};
use crate::error::{Error, ErrorKind};
use crate::message::{MAX_BYTES, Message};

/// A claim takes this many at most; tags count to 999.
const MAX_CLAIM: usize = 999;

/// The block on the bells ends after this long at the latest: producers that ring no bell are found so.
const MAX_BLOCK: Duration = Duration::from_secs(1);

/// Claims for all seats, one round at a time.
#[derive(Debug)]
pub(super) struct Claimer {
    link: Link,
    /// Which seat is served first, and which may bring a suspect.
    turn: usize,
    /// What each seat's last answer said.
    moods: Vec<Mood>,
    /// Claimed beyond what the caller had room for.
    left: VecDeque<Delivery>,
    /// The last round found every queue empty, and what it said of the next due time.
    empty: Option<Empty>,
}

#[derive(Debug, Clone, Copy)]
struct Empty {
    next_due: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mood {
    /// The last answer was as full as it could be: there is more.
    hungry: bool,
    /// Mean size of its messages, bytes.
    mean: usize,
}

/// One claim of a round.
struct Planned {
    seat: usize,
    generation: u64,
    n: usize,
    call: Cmd,
}

/// What a round came to.
#[derive(Default)]
struct Round {
    deliveries: Vec<Delivery>,
    next_due: Option<Instant>,
    /// The queue whose bell ended the wait.
    rang: Option<usize>,
    /// A queue that was asked for no suspect, and has one.
    suspects_at: Option<usize>,
    /// A session turned out to be lost: a new one must be opened first.
    lost: bool,
    /// Queues that answered whether they had something.
    asked: usize,
    error: Option<Error>,
}

impl Claimer {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            turn: 0,
            moods: Vec::new(),
            left: VecDeque::new(),
            empty: None,
        }
    }

    /// Opens a session at each queue. One that is in trouble of its own gets it with a later claim; if all are, the
    /// first trouble is the answer.
    pub(super) async fn open(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
    ) -> Result<(), Error> {
        self.moods = vec![Mood::default(); seats.len()];
        let mut troubles = Vec::new();
        for seat in seats {
            let retired = AtomicBool::new(false);
            match seat.prepare(endpoint, &retired, &mut self.link).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Unreachable => return Err(error),
                Err(error) => troubles.push((seat, error)),
            }
        }
        if troubles.len() == seats.len()
            && let Some((_, first)) = troubles.first()
        {
            return Err(first.clone());
        }
        for (seat, error) in troubles {
            seat.troubled(At::Claim, &error);
        }
        Ok(())
    }

    /// Deliveries that a call claimed beyond its room.
    fn leftovers(&mut self, max: usize) -> Vec<Delivery> {
        self.left.retain(|d| !d.lost.is_cancelled());
        let n = self.left.len().min(max);
        self.left.drain(..n).collect()
    }

    pub(super) async fn claim(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        retired: &AtomicBool,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        if max == 0 || retired.load(Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        let left = self.leftovers(max);
        if !left.is_empty() {
            return Ok(left);
        }
        self.prepare(endpoint, seats, retired).await?;
        // What came since an empty round has rung a bell; only then is there nothing to ask for before the block.
        let mut next_due = self.empty.take().map(|e| e.next_due);
        if next_due.is_none() || wait.is_zero() {
            let first = self.turns(endpoint, seats, max).await?;
            if !first.deliveries.is_empty() || first.lost || wait.is_zero() {
                return first.into_result();
            }
            next_due = Some(first.next_due);
        }
        let until_due = next_due
            .flatten()
            .map_or(MAX_BLOCK, |at| at.saturating_duration_since(Instant::now()));
        let mut last = self
            .round(
                endpoint,
                seats,
                max,
                Some(wait.min(MAX_BLOCK).min(until_due)),
            )
            .await?;
        let permit_free = seats.iter().all(|s| s.suspects_out() == 0);
        let again = last.rang.or(last.suspects_at.filter(|_| permit_free));
        if let (true, Some(seat)) = (last.deliveries.is_empty(), again) {
            // Its ring is used up, and there was no room to ask it, or its turn to bring a suspect had not come.
            self.turn = seat;
            last = self.round(endpoint, seats, max, None).await?;
        } else if last.deliveries.is_empty() && last.asked == seats.len() {
            self.empty = Some(Empty {
                next_due: last.next_due,
            });
        }
        last.into_result()
    }

    /// Rounds until one brings something or every queue was asked: with less room than queues it takes several.
    async fn turns(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        max: usize,
    ) -> Result<Round, Error> {
        let (mut all, start, mut offset) = (Round::default(), self.turn, 0);
        for _ in 0..seats.len().div_ceil(max) {
            // Each round begins where the one before ended.
            self.turn = start.wrapping_add(offset);
            let round = self.round(endpoint, seats, max, None).await?;
            all.deliveries = round.deliveries;
            offset += round.asked.max(1);
            all.asked += round.asked;
            all.lost |= round.lost;
            all.next_due = all.next_due.into_iter().chain(round.next_due).min();
            all.error = all.error.or(round.error);
            if !all.deliveries.is_empty() {
                break;
            }
        }
        // Whatever the rounds did, the turn moves by one: every queue comes first, and may bring a suspect, in its turn.
        self.turn = start.wrapping_add(1);
        Ok(all)
    }

    async fn prepare(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        retired: &AtomicBool,
    ) -> Result<(), Error> {
        for seat in seats {
            if seat.rests() {
                continue;
            }
            match seat.prepare(endpoint, retired, &mut self.link).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Unreachable => return Err(error),
                Err(error) => seat.troubled(At::Claim, &error),
            }
        }
        Ok(())
    }

    /// One claim at each queue that there is room for; with `block`, behind a wait for any bell.
    ///
    /// The claims go down the connection right behind the blocked pop: the server runs them in the turn that ends the block.
    async fn round(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        max: usize,
        block: Option<Duration>,
    ) -> Result<Round, Error> {
        let plan = self.plan(endpoint, seats, max);
        let bells: Vec<usize> = (0..seats.len())
            .filter(|&i| !seats[i].rests() && seats[i].hears())
            .collect();
        let mut calls = Vec::with_capacity(plan.len() + 1);
        match block {
            Some(block) if plan.is_empty() || bells.is_empty() => tokio::time::sleep(block).await,
            Some(block) => {
                let mut wait = cmd("BZPOPMIN");
                for &i in &bells {
                    wait.arg(&seats[i].keys.bell);
                }
                // Zero would block for ever.
                wait.arg(block.as_secs_f64().max(0.001));
                calls.push(wait);
            }
            None => {}
        }
        let waits = calls.len();
        calls.extend(plan.iter().map(|p| p.call.clone()));
        let mut answers = self
            .link
            .all(&calls, block.unwrap_or_default())
            .await?
            .into_iter();
        let mut round = Round::default();
        if waits > 0
            && let Some(answer) = answers.next()
        {
            round.rang = rang(seats, &bells, answer);
        }
        for (planned, answer) in plan.iter().zip(answers) {
            self.read(&seats[planned.seat], planned, answer, &mut round);
        }
        if round.deliveries.len() > max {
            self.left.extend(round.deliveries.drain(max..));
        }
        Ok(round)
    }

    /// Shares `max` among the queues: those that were full last time get what the others' probes leave.
    fn plan(&mut self, endpoint: &Endpoint, seats: &[Arc<Seat>], max: usize) -> Vec<Planned> {
        let turn = self.turn;
        self.turn = self.turn.wrapping_add(1);
        let mut suspect_free = seats.iter().all(|s| s.suspects_out() == 0);
        let able: Vec<usize> = (0..seats.len())
            .map(|i| (i + turn) % seats.len())
            .filter(|&i| !seats[i].rests() && seats[i].state().session.is_some())
            .take(max)
            .collect();
        let hungry = able.iter().filter(|&&i| self.moods[i].hungry).count();
        let (sharers, spare) = match hungry {
            0 => (able.len(), max - able.len()),
            hungry => (hungry, max - able.len()),
        };
        let mut extra = spare % sharers.max(1);
        let mut plan = Vec::with_capacity(able.len());
        for i in able {
            let mut n = 1;
            if hungry == 0 || self.moods[i].hungry {
                n += spare / sharers + usize::from(extra > 0);
                extra = extra.saturating_sub(1);
            }
            // A claim of large messages ends at its byte bound anyway; what it popped beyond would be pushed back.
            let n = n
                .min(MAX_CLAIM)
                .min((2 * MAX_BYTES / self.moods[i].mean.max(1)).max(1));
            let seat = &seats[i];
            let state = seat.state();
            let Some(session) = state.session.as_ref() else {
                continue;
            };
            let k = &seat.keys;
            let fixed = [&k.delayed, &k.suspects, &k.bell];
            let mut call = scripts::CLAIM.call(
                std::iter::once(&k.session(&session.id))
                    .chain(fixed)
                    .chain(&k.ready),
            );
            call.arg(endpoint.offset_ms())
                .arg(session.claimed + 1)
                .arg(n);
            call.arg(u8::from(std::mem::take(&mut suspect_free)))
                .arg(MAX_BYTES);
            plan.push(Planned {
                seat: i,
                generation: session.generation,
                n,
                call,
            });
        }
        plan
    }

    fn read(&mut self, seat: &Seat, planned: &Planned, answer: Answer, round: &mut Round) {
        let words = match answer {
            Ok(value) => array(value).unwrap_or_default(),
            Err(error) => {
                seat.troubled(At::Claim, &error);
                round.error.get_or_insert(error);
                return;
            }
        };
        seat.works(At::Claim);
        let mood = &mut self.moods[planned.seat];
        mood.hungry = false;
        let mut words = words.into_iter();
        let (kind, now) = (words.next(), words.next().as_ref().and_then(number));
        match (kind.as_ref().and_then(text), now) {
            (Some("OK"), Some(now)) => {
                round.asked += 1;
                let deliveries = deliveries(seat, planned.generation, now, words);
                let size: usize = deliveries.iter().map(|d| d.body.len()).sum();
                mood.hungry = deliveries.len() >= planned.n;
                mood.mean = size / deliveries.len().max(1);
                round.deliveries.extend(deliveries);
            }
            (Some("NONE"), Some(now)) => {
                round.asked += 1;
                if let Some(due) = words.next().as_ref().and_then(number) {
                    let at =
                        Instant::now() + Duration::from_millis(due.saturating_sub(now).min(60_000));
                    round.next_due = Some(round.next_due.map_or(at, |other| other.min(at)));
                }
                if words.next().as_ref().and_then(number) == Some(1) {
                    round.suspects_at = Some(planned.seat);
                }
            }
            (Some("LOST"), _) => {
                round.lost = true;
                seat.lose(
                    planned.generation,
                    "the server does not know its claims any more",
                );
            }
            _ => {
                let error = self.link.odd(kind);
                seat.troubled(At::Claim, &error);
                round.error.get_or_insert(error);
            }
        }
    }
}

impl Round {
    /// Trouble at one queue, told when it came up, is no trouble of the others.
    fn into_result(self) -> Result<Vec<Delivery>, Error> {
        match self.error {
            Some(error) if self.asked == 0 => Err(error),
            _ => Ok(self.deliveries),
        }
    }
}

/// Which bell ended the wait. One that can not ring is told of; its queue is still asked, only later.
fn rang(seats: &[Arc<Seat>], bells: &[usize], answer: Answer) -> Option<usize> {
    match answer {
        Ok(answer) => {
            bells.iter().for_each(|&i| seats[i].works(At::Bell));
            let words = array(answer)?;
            let key = words.first().and_then(text)?;
            seats.iter().position(|seat| seat.keys.bell == key)
        }
        Err(error) => {
            let told = error.to_string();
            let named = |i: &&usize| told.contains(&seats[**i].keys.bell);
            let at = bells.iter().find(named).or(bells.first())?;
            seats[*at].troubled(At::Bell, &error);
            None
        }
    }
}

/// Takes note of a claim that was applied, and makes deliveries of its answer.
fn deliveries(
    seat: &Seat,
    generation: u64,
    now: u64,
    mut words: impl Iterator<Item = Value>,
) -> Vec<Delivery> {
    let mut state = seat.state();
    let Some(session) = state
        .session
        .as_mut()
        .filter(|s| s.generation == generation)
    else {
        // Lost meanwhile: the server gives them back with the session.
        return Vec::new();
    };
    session.claimed += 1;
    let mut deliveries = Vec::new();
    while let (Some(tag), Some(marked)) = (words.next(), words.next()) {
        let (Some(tag), Some(marked)) = (number(&tag), bytes(marked)) else {
            continue;
        };
        let marked = Bytes::from(marked);
        let (priority, crashes) = mark(&marked);
        let body = marked.slice(2.min(marked.len())..);
        let suspect = crashes > 0 && is_on_last_life(&body, crashes);
        let out = Out {
            priority,
            crashes,
            suspect,
        };
        session.out.insert(tag, out);
        deliveries.push(Delivery {
            queue: seat.queue.clone(),
            body,
            priority,
            crashes,
            suspect,
            claimed_at: now,
            lost: session.lost.clone(),
            receipt: Receipt {
                session: generation,
                tag,
            },
        });
    }
    deliveries
}

/// Priority and crash count: the two digits before a message.
pub(super) fn mark(marked: &[u8]) -> (u8, u8) {
    let digit = |i: usize| marked.get(i).map_or(0, |b| b.saturating_sub(b'0').min(9));
    (digit(0), digit(1))
}

fn is_on_last_life(body: &[u8], crashes: u8) -> bool {
    let limit =
        Message::decode(body).map_or(crate::message::DEFAULT_MAX_CRASHES, |m| m.crash_limit());
    crashes + 1 >= limit
}
