//! Verdicts in: numbered batches, one at a time for each queue, repeated until they are settled.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::params;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::bell::Topic;
use super::link::Link;
use super::place::{QueueId, held};
use super::seat::{Seat, Session};
use super::started::tag;
use super::trouble::is_of_its_own;
use super::tx::Tx;
use super::{dead, give, moves, records, session, stream};
use crate::broker::marked::Marked;
use crate::broker::outgoing::BATCH_LIMIT;
use crate::broker::{End, Finished, RevokeCause, Verdict};
use crate::clock::ceil_ms;
use crate::error::Error;
use crate::event::Told;
use crate::id::QueueName;
use crate::message::{MAX_BYTES, Message};
use crate::outcome::Failure;
use crate::record::Record;
use crate::state::State;

/// So many errors that no repeat mends are enough; …
const MAX_REFUSALS: u32 = 5;

/// … and so many for a part of a batch that met with as many.
const MAX_REFUSALS_OF_A_PART: u32 = 2;

/// The first wait before a batch is tried again; each further one is twice as long.
const PATIENCE: Duration = Duration::from_millis(20);

/// A batch on its way. Steps run once, so each try is a new step over the same batch.
#[derive(Debug)]
pub(super) struct Unsettled {
    batch: Arc<Batch>,
    /// What was split off because the whole was refused: the last one is next.
    rest: Vec<Vec<(i64, Verdict)>>,
    /// How often it was refused, and how often it may be.
    refusals: u32,
    most_refusals: u32,
    /// `None`: no try is under way.
    answer: Option<oneshot::Receiver<Result<bool, Error>>>,
}

#[derive(Debug)]
struct Batch {
    session: Session,
    /// Its number in the session.
    number: i64,
    queue: QueueName,
    node: Arc<str>,
    /// In the order in which they take effect: see [`in_order`].
    verdicts: Vec<(i64, Verdict)>,
    /// Its one verdict is refused, for this reason: its message is DEAD instead.
    refused: Option<String>,
    /// What the last try came to, which counts once it is committed: of the first verdicts, as far as they had room in a
    /// step.
    came_to: Mutex<Finished>,
}

pub(super) async fn finish(
    link: &Link,
    seat: &Seat,
    verdicts: Vec<Verdict>,
) -> Result<Finished, Error> {
    let mut slot = seat.finishing.lock().await;
    // Of a call whose future was dropped.
    settle(link, seat, &mut slot).await?;
    let mut finished = Finished::default();
    let mut rest = in_order(verdicts).into_iter().peekable();
    while rest.peek().is_some() {
        let batch = next_batch(&mut rest);
        let all = batch.len();
        let Some(session) = seat.session() else {
            finished.lost += all;
            continue;
        };
        let verdicts: Vec<(i64, Verdict)> = batch
            .into_iter()
            .filter_map(|v| Some((tag(v.receipt, session.generation)?, v)))
            .collect();
        finished.lost += all - verdicts.len();
        if verdicts.is_empty() {
            continue;
        }
        let batch = Batch::new(session, seat, verdicts, None);
        *slot = Some(Unsettled::new(batch, Vec::new(), MAX_REFUSALS));
        let one = settle(link, seat, &mut slot).await?;
        finished.applied += one.applied;
        finished.lost += one.lost;
    }
    Ok(finished)
}

/// In the order of the claims, whatever order the runs ended in; behind them what is returned, the newest first: each goes
/// to the front, so they lie there as before, in however many steps it is done.
fn in_order(mut verdicts: Vec<Verdict>) -> Vec<Verdict> {
    verdicts.sort_by_key(|verdict| {
        let (returned, tag) = (matches!(verdict.end, End::Return), verdict.receipt.tag);
        (returned, if returned { u64::MAX - tag } else { tag })
    });
    verdicts
}

/// The next verdicts, within the bounds of a batch.
fn next_batch(rest: &mut std::iter::Peekable<impl Iterator<Item = Verdict>>) -> Vec<Verdict> {
    let (mut batch, mut room) = (Vec::new(), MAX_BYTES);
    while let Some(verdict) =
        rest.next_if(|v| batch.is_empty() || batch.len() < BATCH_LIMIT && size(v) <= room)
    {
        if !batch.is_empty() {
            room -= size(&verdict);
        }
        batch.push(verdict);
    }
    batch
}

/// The bytes that a verdict brings along, more or less. What it moves is counted when it is moved.
fn size(verdict: &Verdict) -> usize {
    let end = match &verdict.end {
        End::Retry { body, .. } => body.len(),
        End::Dead { reason, .. } => reason.len(),
        End::Done | End::Snooze(_) | End::Return | End::Revoked(_) => 0,
    };
    let record = |r: &Record| {
        let result = r.result.as_ref().map_or(0, |r| r.get().len());
        let error = r.error.as_ref().map_or(0, |e| {
            e.kind.len() + e.message.len() + e.chain.iter().map(String::len).sum::<usize>()
        });
        256 + r.task.len() + result + error
    };
    end + verdict.record.as_ref().map_or(0, record)
}

/// Repeats a batch until it is applied or its session is lost. One verdict that is refused takes no other with it.
async fn settle(link: &Link, seat: &Seat, slot: &mut Option<Unsettled>) -> Result<Finished, Error> {
    let mut wait = PATIENCE;
    let mut finished = Finished::default();
    while let Some(unsettled) = slot {
        let batch = unsettled.batch.clone();
        let generation = batch.session.generation;
        if !seat.holds(generation) {
            finished.lost += unsettled.len();
            *slot = None;
            break;
        }
        match attempt(link, unsettled).await {
            Ok(true) => {
                seat.finished(generation, batch.number);
                let one = batch.came_to();
                finished.applied += one.applied;
                finished.lost += one.lost;
                wait = PATIENCE;
                let through = one.applied + one.lost;
                let left = unsettled.len() - through;
                *slot = unsettled.next(seat, through);
                if slot.is_none() {
                    finished.lost += left;
                }
                continue;
            }
            Ok(false) => {
                finished.lost += unsettled.len();
                *slot = None;
                let why = "its lease was past and its deliveries were given back, or the file is an older one";
                seat.lost(generation, why);
                break;
            }
            // What is under way still is not begun again: it is waited for on.
            Err(_) if unsettled.answer.is_some() => continue,
            Err(error) if error.is_transient() => {
                tracing::debug!(queue = %seat.queue, %error, "verdicts are tried again");
            }
            Err(error) => {
                unsettled.refusals += 1;
                if unsettled.refusals >= unsettled.most_refusals && !unsettled.divide(seat, &error)
                {
                    *slot = None;
                    seat.give_up(generation, "its verdicts are refused");
                    return Err(error);
                }
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(1));
    }
    Ok(finished)
}

impl Unsettled {
    fn new(batch: Arc<Batch>, rest: Vec<Vec<(i64, Verdict)>>, most_refusals: u32) -> Self {
        Self {
            batch,
            rest,
            refusals: 0,
            most_refusals,
            answer: None,
        }
    }

    /// How many verdicts are not applied yet.
    fn len(&self) -> usize {
        self.batch.verdicts.len() + self.rest.iter().map(Vec::len).sum::<usize>()
    }

    /// The session as it is known now, if it still is that of the batch.
    fn session(&self, seat: &Seat) -> Option<Session> {
        let generation = self.batch.session.generation;
        seat.session().filter(|s| s.generation == generation)
    }

    /// What is left behind the first verdicts of the batch, which are applied.
    fn next(&mut self, seat: &Seat, through: usize) -> Option<Self> {
        let session = self.session(seat)?;
        let (part, most) = match self.batch.verdicts.get(through..) {
            Some(left @ [_, ..]) => (left.to_vec(), self.most_refusals),
            _ => (self.rest.pop()?, MAX_REFUSALS_OF_A_PART),
        };
        let batch = Batch::new(session, seat, part, None);
        let rest = std::mem::take(&mut self.rest);
        Some(Self::new(batch, rest, most))
    }

    /// Goes on with the half of what was refused; of a single one, with its end among the dead. A step that was refused
    /// was undone, so its number is free. False: it is not for what the verdicts say that they are refused.
    fn divide(&mut self, seat: &Seat, error: &Error) -> bool {
        let batch = &self.batch;
        if !is_of_its_own(error) || batch.refused.is_some() {
            return false;
        }
        let Some(session) = self.session(seat) else {
            return false;
        };
        let (mut part, mut refused) = (batch.verdicts.clone(), None);
        if part.len() > 1 {
            self.rest.push(part.split_off(part.len() / 2));
        } else {
            refused = Some(format!("its verdict can not be written: {error}"));
            tracing::error!(queue = %seat.queue, %error, "a verdict can not be written: its message is DEAD");
        }
        let batch = Batch::new(session, seat, part, refused);
        let rest = std::mem::take(&mut self.rest);
        *self = Self::new(batch, rest, MAX_REFUSALS_OF_A_PART);
        true
    }
}

/// One try, or what is left of it. False: the session is lost.
async fn attempt(link: &Link, unsettled: &mut Unsettled) -> Result<bool, Error> {
    if unsettled.answer.is_none() {
        let batch = unsettled.batch.clone();
        let begun = link.begin(move |tx| batch.apply(tx)).await?;
        unsettled.answer = Some(begun);
    }
    let Some(answer) = &mut unsettled.answer else {
        return Ok(false);
    };
    let came_to = link.answered(answer).await;
    if answer.is_terminated() {
        unsettled.answer = None;
    }
    came_to
}

/// What a delivery was when its verdict came.
enum Released {
    /// It is not there: finished before, or given back.
    NotOurs,
    Over,
    GoesOn(Marked),
    /// It lies where it lay: there is no room for it in this step.
    Later,
}

impl Batch {
    fn new(
        session: Session,
        seat: &Seat,
        verdicts: Vec<(i64, Verdict)>,
        refused: Option<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            number: session.finishes + 1,
            session,
            queue: seat.queue.clone(),
            node: seat.node.clone(),
            verdicts,
            refused,
            came_to: Mutex::default(),
        })
    }

    fn came_to(&self) -> Finished {
        *self.came_to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The step. False: the session is not ours any more.
    fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, Error> {
        let Session { key, claims, .. } = self.session;
        let sql = "UPDATE session SET finishes = ?3 \
                   WHERE id = ?1 AND owner = ?2 AND finishes = ?3 - 1 AND claims >= ?4 RETURNING queue";
        let row = params![key.id, key.owner.as_bytes(), self.number, claims];
        let queue = tx.maybe(sql, row, |row| row.get(0).map(QueueId))?;
        let Some(queue) = queue else {
            return self.was_applied(tx);
        };
        let holds_suspect = session::holds_suspect(tx, key.id)?;
        let finished = match &self.refused {
            None => self.end(tx, queue)?,
            Some(reason) => self.bury(tx, queue, reason)?,
        };
        tx.counts(queue).held -= finished.applied;
        if holds_suspect {
            // There may be room for the next one.
            tx.ring(Topic::Work);
        }
        *self.came_to.lock().unwrap_or_else(PoisonError::into_inner) = finished;
        Ok(true)
    }

    /// Does what the verdicts say, as far as what they move has room in a step.
    fn end(&self, tx: &mut Tx<'_>, queue: QueueId) -> Result<Finished, Error> {
        let key = self.session.key;
        let mut finished = Finished::default();
        let (mut told, mut room) = (Vec::new(), None);
        for (tag, verdict) in &self.verdicts {
            let message = match release(tx, held(key.id, *tag), &verdict.end, &mut room)? {
                Released::Later => break,
                Released::NotOurs => {
                    finished.lost += 1;
                    continue;
                }
                Released::Over => None,
                Released::GoesOn(message) => Some(message),
            };
            finished.applied += 1;
            count(tx, queue, &verdict.end);
            if let Some(attempt) = &verdict.event
                && !was_told(tx, queue, verdict)?
            {
                told.push(Told::ended(attempt, &verdict.end));
            }
            let due = move_on(tx, queue, message, &verdict.end)?;
            if let Some(record) = &verdict.record {
                records::write(tx, queue, record, due)?;
            }
        }
        stream::tell(tx, queue, Some(&self.node), &told)?;
        Ok(finished)
    }

    /// Ends what can not end as its verdict says: DEAD, out of what its message says alone.
    fn bury(&self, tx: &mut Tx<'_>, queue: QueueId, reason: &str) -> Result<Finished, Error> {
        let mut finished = Finished::default();
        for (tag, _) in &self.verdicts {
            let sql = "DELETE FROM held WHERE tag = ?1 RETURNING priority, crashes, body";
            let tag = held(self.session.key.id, *tag);
            let Some(gone) = tx.maybe(sql, [tag], |row| moves::marked(row, 0))? else {
                finished.lost += 1;
                continue;
            };
            finished.applied += 1;
            tx.counts(queue).total_dead += 1;
            let message = Message::decode(&gone.body).ok();
            let failure = Failure::new("VerdictRefused", reason);
            give::bury(tx, queue, &self.queue, &gone, message.as_ref(), failure)?;
            if let Some(message) = &message {
                let told = [Told::given_back(message, false, Some(reason))];
                stream::tell(tx, queue, Some(&self.node), &told)?;
            }
        }
        Ok(finished)
    }

    /// Whether an earlier try was committed, unseen; otherwise the session is given up.
    fn was_applied(&self, tx: &Tx<'_>) -> Result<bool, Error> {
        let Session { key, claims, .. } = self.session;
        let sql =
            "SELECT 1 FROM session WHERE id = ?1 AND owner = ?2 AND finishes = ?3 AND claims >= ?4";
        let row = params![key.id, key.owner.as_bytes(), self.number, claims];
        let applied = tx.maybe(sql, row, |_| Ok(()))?.is_some();
        if !applied {
            session::resign(tx, key)?;
        }
        Ok(applied)
    }
}

/// Takes a delivery out. A step moves 1 MiB beyond the first message that moves; `room` is what is left of it.
fn release(tx: &Tx<'_>, tag: i64, end: &End, room: &mut Option<usize>) -> Result<Released, Error> {
    let mut released = Released::Over;
    if !matches!(end, End::Done | End::Revoked(_)) {
        let sql = "SELECT priority, crashes, body FROM held WHERE tag = ?1";
        let message = tx.maybe(sql, [tag], |row| moves::marked(row, 0))?;
        if let Some(message) = &message {
            let left = match *room {
                None => Some(MAX_BYTES),
                Some(left) => left.checked_sub(message.body.len()),
            };
            if left.is_none() {
                return Ok(Released::Later);
            }
            *room = left;
        }
        released = message.map_or(Released::NotOurs, Released::GoesOn);
    }
    let gone = tx.run("DELETE FROM held WHERE tag = ?1", [tag])?;
    Ok(if gone > 0 {
        released
    } else {
        Released::NotOurs
    })
}

/// Puts a message where its verdict says; when it is due there.
fn move_on(
    tx: &mut Tx<'_>,
    queue: QueueId,
    message: Option<Marked>,
    end: &End,
) -> Result<u64, Error> {
    let now = tx.now();
    let Some(message) = message else {
        return Ok(now);
    };
    match end {
        End::Done | End::Revoked(_) => Ok(now),
        End::Retry { after, body } => {
            let due = now.saturating_add(ceil_ms(*after));
            let body = body.clone();
            moves::push(tx, queue, &Marked { body, ..message }, due)?;
            Ok(due)
        }
        End::Snooze(after) => {
            let due = now.saturating_add(ceil_ms(*after));
            moves::push(tx, queue, &message, due)?;
            Ok(due)
        }
        End::Return => {
            moves::put_back(tx, queue, &message)?;
            Ok(now)
        }
        End::Dead { state, reason } => {
            dead::push(tx, queue, &message, *state, reason)?;
            Ok(now)
        }
    }
}

/// Whoever revoked it has written that it is over, and told it: a moment after it was claimed.
fn was_told(tx: &Tx<'_>, queue: QueueId, verdict: &Verdict) -> Result<bool, Error> {
    let id = match (&verdict.end, &verdict.record) {
        (End::Revoked(RevokeCause::Requested), Some(record)) => record.id,
        _ => return Ok(false),
    };
    let stands = records::written(tx, queue, id)?;
    Ok(stands.is_some_and(|(record, _)| record.state.is_final()))
}

fn count(tx: &mut Tx<'_>, queue: QueueId, end: &End) {
    let counts = tx.counts(queue);
    let total = match end {
        End::Done => &mut counts.total_succeeded,
        End::Retry { .. } => &mut counts.total_retried,
        // Neither an attempt nor an end.
        End::Snooze(_) => return,
        End::Return => &mut counts.total_returned,
        End::Dead {
            state: State::Failure,
            ..
        } => &mut counts.total_failed,
        End::Dead { .. } => &mut counts.total_dead,
        End::Revoked(_) => &mut counts.total_revoked,
    };
    *total += 1;
}

#[cfg(test)]
mod tests;
