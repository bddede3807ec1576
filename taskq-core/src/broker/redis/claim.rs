//! Messages out: numbered claims over all queues of a process, and the wait on their bells.

mod inform;
mod part;
mod plan;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::Cmd;
use tokio::sync::Notify;

use self::plan::Planned;
use super::bell::{self, Bells};
use super::delivery::deliveries;
use super::endpoint::Endpoint;
use super::link::{Answer, Link};
use super::session::{At, Seat};
use super::value::{array, bytes, number, text};
use crate::broker::shares::{self, Turn};
use crate::broker::{Delivery, Order};
use crate::error::{Error, ErrorKind};
use crate::message::MAX_BYTES;

/// A claim takes this many at most; tags count to 999.
const MAX_CLAIM: usize = 999;

/// The block on the bells ends after this long at the latest: producers that ring no bell are found so.
const MAX_BLOCK: Duration = Duration::from_secs(1);

/// A paused queue is asked this often whether it still is.
const ASK_PAUSED: Duration = Duration::from_secs(1);

/// Claims for all seats, one round at a time.
#[derive(Debug)]
pub(super) struct Claimer {
    link: Link,
    order: Order,
    /// Breaks the wait on the bells off: the queues are others now.
    changed: Arc<Notify>,
    /// Which seat is asked first, of several whose turn it is.
    turn: usize,
    /// The seats that the moods are of.
    known: Vec<Arc<Seat>>,
    /// What each seat's last answer said.
    moods: Vec<Mood>,
    /// How often somebody was allowed a suspect.
    permits: usize,
    /// Claimed beyond what the caller had room for.
    left: VecDeque<Delivery>,
    /// When the paused queues are asked again, all at once.
    ask_paused: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mood {
    /// The last answer was as full as it could be: there is more.
    hungry: bool,
    /// Mean size of its messages, bytes.
    mean: usize,
    /// It was empty, and what came since has rung its bell.
    quiet: bool,
    /// When its first delayed message is due, if that is for us to wake for.
    next_due: Option<Instant>,
    /// It is paused: nothing is claimed, neither its bell nor what is due there is waited for.
    paused: bool,
    /// Whose turn it is: see [`shares`].
    pass: u64,
    /// When it was allowed a suspect last, in permits.
    permitted: usize,
}

/// What one call has come to so far.
#[derive(Default)]
struct Round {
    deliveries: Vec<Delivery>,
    /// The queue whose bell ended the wait.
    rang: Option<usize>,
    /// A queue that was asked for no suspect, and has one.
    suspects_at: Option<usize>,
    /// A session turned out to be lost: a new one must be opened first.
    lost: bool,
    /// Queues that answered whether they had something.
    asked: Vec<usize>,
    /// The wait was broken off.
    broken_off: bool,
    error: Option<Error>,
}

impl Claimer {
    pub(super) fn new(link: Link, order: Order, changed: Arc<Notify>) -> Self {
        Self {
            link,
            order,
            changed,
            turn: 0,
            known: Vec::new(),
            moods: Vec::new(),
            permits: 0,
            left: VecDeque::new(),
            ask_paused: Instant::now(),
        }
    }

    /// Opens a session at each queue, over `link`. One that is in trouble of its own gets it with a later claim; if all are, the
    /// first trouble is the answer.
    pub(super) async fn open(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        link: &mut Link,
    ) -> Result<(), Error> {
        let mut troubles = Vec::new();
        for seat in seats {
            let retired = AtomicBool::new(false);
            match seat.prepare(endpoint, &retired, link).await {
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
            // What was revoked since they were claimed counts.
            let from = |seat: &&Arc<Seat>| left.iter().any(|d| d.queue == seat.queue);
            seats.iter().filter(from).for_each(|s| s.revoked.doubt());
            let left = self.informed(endpoint, seats, left).await?;
            if !left.is_empty() {
                return Ok(left);
            }
        }
        let got = self.claim_anew(endpoint, seats, retired, max, wait).await?;
        self.informed(endpoint, seats, got).await
    }

    async fn claim_anew(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        retired: &AtomicBool,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        self.know(seats);
        self.prepare(endpoint, seats, retired).await?;
        let waiting = self.left.len();
        self.part(endpoint, seats).await?;
        // What queues that were left still gave. What waits for its revocations to be read goes on waiting.
        let mut gave = self.left.split_off(waiting);
        if !gave.is_empty() {
            let beyond = gave.split_off(max.min(gave.len()));
            self.left.extend(beyond);
            return Ok(gave.into());
        }
        // Whatever becomes of this call: only an answer makes a queue quiet again.
        let quiet = self
            .able(seats)
            .into_iter()
            .all(|i| self.moods[i].quiet || self.moods[i].paused);
        self.moods.iter_mut().for_each(|mood| mood.quiet = false);
        let mut round = Round::default();
        if !quiet || wait.is_zero() {
            let which = match wait.is_zero() {
                true => self.able(seats),
                false => self.askable(seats),
            };
            self.turn = self.turn.wrapping_add(1);
            self.ask(endpoint, seats, max, which, None, &mut round)
                .await?;
            if !round.deliveries.is_empty() || round.lost || wait.is_zero() {
                return round.into_result();
            }
            round = Round {
                suspects_at: round.suspects_at,
                ..Round::default()
            };
        }
        self.block(endpoint, seats, max, wait.min(MAX_BLOCK), &mut round)
            .await?;
        if round.deliveries.is_empty() && !round.lost && !round.broken_off {
            self.follow(endpoint, seats, max, &mut round).await?;
        }
        self.hand_on(seats, max, &mut round).await;
        round.into_result()
    }

    /// Takes note of the seats there are now; what is known of those that stay is kept.
    fn know(&mut self, seats: &[Arc<Seat>]) {
        let same = |(a, b): (&Arc<Seat>, &Arc<Seat>)| Arc::ptr_eq(a, b);
        if self.known.len() == seats.len() && self.known.iter().zip(seats).all(same) {
            return;
        }
        let mood = |seat| {
            let before = self.known.iter().position(|known| Arc::ptr_eq(known, seat));
            before.map(|i| self.moods[i]).unwrap_or_default()
        };
        self.moods = seats.iter().map(mood).collect();
        self.known = seats.to_vec();
    }

    /// Seats that can be claimed from: in the order of the queues if that is strict, else in their turn.
    fn able(&self, seats: &[Arc<Seat>]) -> Vec<usize> {
        let first = match self.order {
            Order::Strict => 0,
            Order::Weighted => self.turn,
        };
        let can = |seat: &Seat| seat.takes() && !seat.rests() && seat.state().session.is_some();
        (0..seats.len())
            .map(|i| (i.wrapping_add(first)) % seats.len())
            .filter(|&i| can(&seats[i]))
            // What came from there waits for what is revoked to be read: nothing more is taken.
            .filter(|&i| !self.left.iter().any(|d| d.queue == seats[i].queue))
            .collect()
    }

    /// Those of them that are to be asked now.
    fn askable(&self, seats: &[Arc<Seat>]) -> Vec<usize> {
        let now = Instant::now();
        let mut able = self.able(seats);
        able.retain(|&i| !self.moods[i].paused || now >= self.ask_paused);
        able
    }

    /// How long until the first delayed message is due in any of them, as far as is known.
    fn until_due(&self, seats: &[Arc<Seat>]) -> Option<Duration> {
        let mut able = self.able(seats);
        able.retain(|&i| !self.moods[i].paused);
        let at = able.into_iter().filter_map(|i| self.moods[i].next_due);
        at.min()
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Asks `which` of the queues until one brings something: with less room than queues it takes several rounds. In strict
    /// order it goes on until there is no room left, each queue is asked until it has nothing more.
    async fn ask(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        max: usize,
        mut which: Vec<usize>,
        first: Option<usize>,
        round: &mut Round,
    ) -> Result<(), Error> {
        while !which.is_empty() {
            let room = max.saturating_sub(round.deliveries.len());
            let plan = self.plan(endpoint, seats, room, &mut which, first);
            let calls: Vec<Cmd> = plan.iter().map(|p| p.call.clone()).collect();
            // Our caller may drop us here, and the call may fail: what is claimed is kept for its next call.
            let waiting = self.keep(round);
            let answers = self.link.all(&calls, Duration::ZERO).await?;
            round.deliveries = self.left.split_off(waiting).into();
            self.read(seats, &plan, answers, max, round);
            let enough = match self.order {
                Order::Weighted => !round.deliveries.is_empty(),
                Order::Strict => round.deliveries.len() >= max,
            };
            if enough || round.lost {
                break;
            }
            if self.order == Order::Strict {
                let has_more = |p: &&Planned| {
                    let mood = &self.moods[p.seat];
                    !mood.quiet && !mood.paused && !seats[p.seat].rests()
                };
                which.splice(0..0, plan.iter().filter(has_more).map(|p| p.seat));
            }
        }
        Ok(())
    }

    /// Waits for any bell, and asks as many queues as there is room for.
    ///
    /// The claims go down the connection right behind the blocked pop: the server runs them in the turn that ends the block.
    async fn block(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        max: usize,
        block: Duration,
        round: &mut Round,
    ) -> Result<(), Error> {
        let able = self.able(seats);
        self.turn = self.turn.wrapping_add(1);
        let (paused, mut which): (Vec<usize>, Vec<usize>) =
            able.into_iter().partition(|&i| self.moods[i].paused);
        let ask_paused = self.ask_paused.saturating_duration_since(Instant::now());
        let block = match paused.is_empty() {
            true => block,
            false => block.min(ask_paused),
        };
        let until_due = self.until_due(seats).filter(|due| *due < block);
        let plan = self.plan(endpoint, seats, max, &mut which, None);
        let bells = Bells::of(seats, |i| self.moods[i].paused);
        let claims = plan.iter().map(|p| p.call.clone());
        let changed = Arc::clone(&self.changed);
        let link = &mut self.link;
        let exchange = async {
            match bells.wait(until_due.unwrap_or(block)) {
                None => {
                    tokio::time::sleep(until_due.unwrap_or(block)).await;
                    let claims: Vec<Cmd> = claims.collect();
                    let answers = link.all(&claims, Duration::ZERO).await?;
                    Ok::<_, Error>((None, answers))
                }
                Some(wait) => {
                    let calls: Vec<Cmd> = std::iter::once(wait).chain(claims).collect();
                    let mut answers = match until_due {
                        Some(due) => link.all_in_time(&calls, due).await?,
                        None => link.all(&calls, block).await?,
                    }
                    .into_iter();
                    Ok((answers.next(), answers.collect()))
                }
            }
        };
        // Broken off, the connection goes with it; what it claimed unseen is answered by the next claim.
        let (rang, answers) = tokio::select! {
            biased;
            answers = exchange => answers?,
            () = changed.notified() => {
                round.broken_off = true;
                return Ok(());
            }
        };
        round.rang = rang.and_then(|answer| bells.rang(seats, answer));
        if round.rang.is_some_and(|i| self.moods[i].paused) {
            self.ask_paused = Instant::now();
        }
        self.read(seats, &plan, answers, max, round);
        Ok(())
    }

    /// After a block that brought nothing: asks the queue whose ring is used up and the one that has a suspect, then those
    /// there was no room for.
    async fn follow(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        max: usize,
        round: &mut Round,
    ) -> Result<(), Error> {
        let permit_free = seats.iter().all(|s| s.suspects_out() == 0);
        let suspect = round.suspects_at.filter(|_| permit_free);
        // The ring of a freed permit may be here sooner than the answer of the finish that freed it.
        let early = round.suspects_at.filter(|i| round.rang == Some(*i));
        let rang = round.rang.filter(|i| !round.asked.contains(i));
        // The permit goes to the first.
        let first = suspect.or(early).or(rang);
        let mut which = self.askable(seats);
        which.retain(|&i| !round.asked.contains(&i) || first == Some(i));
        if self.order == Order::Weighted {
            which.retain(|&i| first != Some(i));
            which.splice(0..0, first);
            which.extend(rang.filter(|i| !which.contains(i)));
        }
        self.ask(endpoint, seats, max, which, first, round).await?;
        // If it still is: to be asked again before the next block.
        if let Some(i) = round.rang.filter(|i| round.suspects_at == Some(*i)) {
            self.moods[i].quiet = false;
        }
        Ok(())
    }

    /// Rings on for others, if this worker is full now: the ring that nobody followed, and what is due soon.
    async fn hand_on(&mut self, seats: &[Arc<Seat>], max: usize, round: &mut Round) {
        if round.deliveries.is_empty() {
            return;
        }
        let rang = round.rang.filter(|i| !round.asked.contains(i));
        let full = round.deliveries.len() + self.left.len() >= max;
        let mut rings = Vec::new();
        for (i, mood) in self.moods.iter_mut().enumerate() {
            // From here on it is theirs.
            let due = full && mood.next_due.take().is_some();
            if due {
                rings.push(bell::unwatch(&seats[i]));
            }
            if due || rang == Some(i) {
                rings.push(bell::ring(&seats[i]));
            }
        }
        if rings.is_empty() {
            return;
        }
        // Our caller may drop us here: what is claimed is kept for its next call.
        let waiting = self.keep(round);
        // A ring that is lost costs others the second after which they ask by themselves.
        drop(self.link.all(&rings, Duration::ZERO).await);
        round.deliveries = self.left.split_off(waiting).into();
    }

    /// Puts the round's deliveries behind those that wait already; from where on they stand there.
    fn keep(&mut self, round: &mut Round) -> usize {
        let waiting = self.left.len();
        self.left.extend(round.deliveries.drain(..));
        waiting
    }

    async fn prepare(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        retired: &AtomicBool,
    ) -> Result<(), Error> {
        for seat in seats {
            if seat.rests() || !seat.takes() {
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

    fn read(
        &mut self,
        seats: &[Arc<Seat>],
        plan: &[Planned],
        answers: Vec<Answer>,
        max: usize,
        round: &mut Round,
    ) {
        // Who can not be asked takes part in nothing, so it saves up no turns.
        let able = self.able(seats);
        for (i, mood) in self.moods.iter_mut().enumerate() {
            mood.hungry &= able.contains(&i);
        }
        let hungry: Vec<bool> = self.moods.iter().map(|mood| mood.hungry).collect();
        let mut got = vec![None; seats.len()];
        for (planned, answer) in plan.iter().zip(answers) {
            let before = round.deliveries.len();
            self.read_one(&seats[planned.seat], planned, answer, round);
            got[planned.seat] = Some(round.deliveries.len() - before);
        }
        let turns = self.moods.iter_mut().enumerate().map(|(i, mood)| Turn {
            weight: seats[i].weight(),
            pass: &mut mood.pass,
            asked: got[i].is_some(),
            got: got[i].unwrap_or_default(),
            hungry: hungry[i],
        });
        shares::settle(&mut turns.collect::<Vec<_>>());
        if round.deliveries.len() > max {
            self.left.extend(round.deliveries.drain(max..));
        }
    }

    fn read_one(&mut self, seat: &Seat, planned: &Planned, answer: Answer, round: &mut Round) {
        seat.answered(planned.generation);
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
        let was_paused = std::mem::take(&mut mood.paused);
        (mood.hungry, mood.quiet, mood.next_due) = (false, false, None);
        let mut words = words.into_iter();
        let (kind, now) = (words.next(), words.next().as_ref().and_then(number));
        match (kind.as_ref().and_then(text), now) {
            (Some(kind @ ("OK" | "ALL")), Some(now)) => {
                // With the last of all, the next claim waits for the bell at once.
                mood.quiet = kind == "ALL";
                round.asked.push(planned.seat);
                let serial = words.next().and_then(bytes).unwrap_or_default();
                seat.revoked.told(&serial, now);
                let deliveries = deliveries(seat, planned.generation, now, words);
                let size: usize = deliveries.iter().map(|d| d.body.len()).sum();
                mood.hungry = !mood.quiet && deliveries.len() >= planned.n;
                mood.mean = size / deliveries.len().max(1);
                round.deliveries.extend(deliveries);
            }
            (Some("NONE"), Some(now)) => {
                round.asked.push(planned.seat);
                mood.quiet = true;
                let due = words.next().as_ref().and_then(number);
                mood.next_due = due.map(|due| {
                    Instant::now() + Duration::from_millis(due.saturating_sub(now).min(1_500))
                });
                if words.next().as_ref().and_then(number) == Some(1) {
                    round.suspects_at = Some(planned.seat);
                }
            }
            (Some("PAUSED"), Some(_)) => {
                round.asked.push(planned.seat);
                mood.paused = true;
                if !was_paused {
                    tracing::info!(queue = %seat.queue, "the queue is paused: nothing is claimed from it");
                }
                if self.ask_paused <= Instant::now() {
                    self.ask_paused = Instant::now() + ASK_PAUSED;
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
        if was_paused && !self.moods[planned.seat].paused {
            tracing::info!(queue = %seat.queue, "the queue is not paused any more");
        }
    }
}

impl Round {
    /// Trouble at one queue, told when it came up, is no trouble of the others.
    fn into_result(self) -> Result<Vec<Delivery>, Error> {
        match self.error {
            Some(error) if self.asked.is_empty() => Err(error),
            _ => Ok(self.deliveries),
        }
    }
}
