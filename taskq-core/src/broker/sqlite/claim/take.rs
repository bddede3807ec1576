//! The step of a claim: what is due is promoted, the queues get their shares, and messages become deliveries.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::params;

use super::super::place::{Lane, MAX_TAG, QueueId, held, waiting};
use super::super::seat::{Seat, Session};
use super::super::session::{self, Key};
use super::super::tx::{Tx, column};
use super::super::{moves, revoked};
use super::look::{has_permit, lies};
use crate::broker::Order;
use crate::broker::marked::Marked;
use crate::broker::outgoing::BATCH_LIMIT;
use crate::broker::shares::{self, Claimant};
use crate::error::Error;
use crate::message::MAX_BYTES;
use crate::revocation::Revocations;

/// What is asked of one queue.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) seat: Arc<Seat>,
    pub(super) session: Session,
    pub(super) weight: u32,
    pub(super) pass: u64,
}

/// All that a claim asks for.
#[derive(Debug)]
pub(super) struct Asks {
    pub(super) of: Vec<Ask>,
    /// The sessions whose suspects count.
    pub(super) sessions: Vec<Key>,
    pub(super) order: Order,
    pub(super) max: usize,
    pub(super) retired: Arc<AtomicBool>,
}

/// What one queue answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// It is not our session any more.
    pub(super) lost: bool,
    /// It had messages.
    pub(super) had: bool,
    pub(super) got: Vec<Taken>,
    pub(super) revoked: Arc<Revocations>,
    pub(super) now: u64,
}

#[derive(Debug)]
pub(super) struct Taken {
    pub(super) tag: i64,
    pub(super) message: Marked,
    pub(super) suspect: bool,
}

/// A queue that can be taken from.
struct Open {
    ask: usize,
    queue: QueueId,
    last_tag: i64,
    waiting: usize,
    suspects: bool,
    paused: bool,
    share: usize,
}

/// Takes what there is, in the turn of the queues: an answer for each of them.
pub(super) fn take(tx: &mut Tx<'_>, asks: &Asks) -> Result<Vec<Answer>, Error> {
    let mut answers: Vec<Answer> = asks.of.iter().map(|_| Answer::default()).collect();
    // Asked here, behind every step of a stop that was begun before: what is held then is charged to nobody.
    if asks.retired.load(Ordering::SeqCst) {
        return Ok(answers);
    }
    let mut permit = None;
    let mut open = Vec::new();
    for (i, ask) in asks.of.iter().enumerate() {
        if !ask.seat.takes() {
            continue;
        }
        match fenced(tx, i, ask)? {
            None => {
                session::resign(tx, ask.session.key)?;
                answers[i].lost = true;
            }
            Some(found) if found.paused => {}
            Some(mut found) => {
                let most = (BATCH_LIMIT / asks.of.len()).max(1);
                moves::promote(tx, found.queue, most)?;
                found.count(tx)?;
                if found.suspects && permit.is_none() {
                    permit = Some(has_permit(tx, &asks.sessions)?);
                }
                found.suspects &= permit == Some(true);
                answers[i].had = found.most() > 0;
                open.push(found);
            }
        }
    }
    share(asks, &mut open);
    let mut permit = permit.unwrap_or(false);
    let mut room = Room { left: None };
    for one in open.iter().filter(|one| one.share > 0) {
        let session = asks.of[one.ask].session.key.id;
        let (got, full) = one.take(tx, session, &mut permit, &mut room)?;
        if let Some(Taken { tag, .. }) = got.last() {
            let sql = "UPDATE session SET claims = claims + 1, last_tag = ?2 WHERE id = ?1";
            tx.run(sql, params![session, tag])?;
            tx.counts(one.queue).held += got.len();
            let answer = &mut answers[one.ask];
            answer.revoked = revoked::read(tx, one.queue)?;
            answer.now = tx.now();
            answer.got = got;
        }
        if full {
            break;
        }
    }
    Ok(answers)
}

/// The queue of `ask`, if the session there is the one its consumer knows.
fn fenced(tx: &Tx<'_>, i: usize, ask: &Ask) -> Result<Option<Open>, Error> {
    let sql = "SELECT queue, last_tag FROM session WHERE id = ?1 AND owner = ?2 AND claims = ?3";
    let Session { key, claims, .. } = ask.session;
    let row = params![key.id, key.owner.as_bytes(), claims];
    let session = tx.maybe(sql, row, |row| Ok((QueueId(row.get(0)?), row.get(1)?)))?;
    let Some((queue, last_tag)) = session else {
        return Ok(None);
    };
    // Its tags are used up.
    if last_tag > MAX_TAG - 2 * BATCH_LIMIT as i64 {
        return Ok(None);
    }
    let sql = "SELECT paused_since IS NOT NULL FROM queue WHERE id = ?1";
    let paused = tx.one(sql, [queue.0], |row| row.get(0))?;
    Ok(Some(Open {
        ask: i,
        queue,
        last_tag,
        waiting: 0,
        suspects: false,
        paused,
        share: 0,
    }))
}

/// Who gets how many, those first whose turn it is.
fn share(asks: &Asks, open: &mut [Open]) {
    let max = asks.max.min(BATCH_LIMIT);
    match asks.order {
        Order::Strict => {
            let mut left = max;
            for one in open {
                one.share = one.most().min(left);
                left -= one.share;
            }
        }
        Order::Weighted => {
            let claimant = |one: &Open| Claimant {
                weight: asks.of[one.ask].weight,
                pass: asks.of[one.ask].pass,
                least: 0,
                most: one.most(),
            };
            let claimants: Vec<Claimant> = open.iter().map(claimant).collect();
            for (one, share) in open.iter_mut().zip(shares::divide(max, &claimants)) {
                one.share = share;
            }
            open.sort_by_key(|one| asks.of[one.ask].pass);
        }
    }
}

impl Open {
    /// How much there is to take: as it is counted, and never nothing while something lies there.
    fn count(&mut self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let sql = "SELECT waiting FROM queue WHERE id = ?1";
        let before: i64 = tx.one(sql, [self.queue.0], |row| row.get(0))?;
        let counted = before + tx.counts(self.queue).waiting.by();
        self.waiting = usize::try_from(counted).unwrap_or(0);
        if self.waiting == 0 {
            self.waiting = usize::from(lies(tx, &waiting(self.queue))?);
        }
        self.suspects = lies(tx, &Lane::suspects(self.queue).keys())?;
        Ok(())
    }

    fn most(&self) -> usize {
        self.waiting.min(BATCH_LIMIT) + usize::from(self.suspects)
    }

    /// Takes its share: a suspect first, if one is permitted. True: there is no room for more bytes.
    fn take(
        &self,
        tx: &mut Tx<'_>,
        session: i64,
        permit: &mut bool,
        room: &mut Room,
    ) -> Result<(Vec<Taken>, bool), Error> {
        let (mut got, mut full) = (Vec::with_capacity(self.share), false);
        if self.suspects && *permit {
            let suspects = Lane::suspects(self.queue).keys();
            let (one, _) = room.fill(tx, &suspects, 1)?;
            *permit &= one.is_empty();
            tx.counts(self.queue).suspects -= one.len();
            got.extend(one.into_iter().map(|message| (message, true)));
        }
        if got.len() < self.share {
            let left = self.share - got.len();
            let next;
            (next, full) = room.fill(tx, &waiting(self.queue), left)?;
            tx.counts(self.queue).waiting -= next.len();
            got.extend(next.into_iter().map(|message| (message, false)));
        }
        let sql =
            "INSERT INTO held (tag, priority, crashes, suspect, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut insert = tx.prepared(sql)?;
        let mut taken = Vec::with_capacity(got.len());
        for (tag, (message, suspect)) in (self.last_tag + 1..).zip(got) {
            let (
                Marked {
                    body,
                    priority,
                    crashes,
                },
                key,
            ) = (&message, held(session, tag));
            let row = params![key, priority, crashes, suspect, &body[..]];
            insert.execute(row).map_err(|e| tx.trouble(e))?;
            taken.push(Taken {
                tag,
                message,
                suspect,
            });
        }
        Ok((taken, full))
    }
}

/// How many bytes still go with a claim: 1 MiB beyond its first message.
struct Room {
    /// `None`: the first is not taken yet.
    left: Option<usize>,
}

impl Room {
    /// Takes up to `n` messages out, from the front of `places`. True: the next one had no room.
    fn fill(
        &mut self,
        tx: &Tx<'_>,
        places: &RangeInclusive<i64>,
        n: usize,
    ) -> Result<(Vec<Marked>, bool), Error> {
        let sql = "SELECT priority, crashes, body, place FROM ready WHERE place BETWEEN ?1 AND ?2 \
                   ORDER BY place LIMIT ?3";
        let (mut got, mut last, mut full) = (Vec::with_capacity(n), None, false);
        let mut select = tx.prepared(sql)?;
        let bounds = params![places.start(), places.end(), column(n as u64)];
        let mut rows = select.query(bounds).map_err(|e| tx.trouble(e))?;
        while let Some(row) = rows.next().map_err(|e| tx.trouble(e))? {
            let message = moves::marked(row, 0).map_err(|e| tx.trouble(e))?;
            match &mut self.left {
                None => self.left = Some(MAX_BYTES),
                Some(left) if message.body.len() > *left => {
                    full = true;
                    break;
                }
                Some(left) => *left -= message.body.len(),
            }
            last = Some(row.get(3).map_err(|e| tx.trouble(e))?);
            got.push(message);
        }
        drop(rows);
        if let Some(last) = last {
            let last: i64 = last;
            // All of them lie before it: what was read is where the places begin.
            let sql = "DELETE FROM ready WHERE place BETWEEN ?1 AND ?2";
            tx.run(sql, [*places.start(), last])?;
        }
        Ok((got, full))
    }
}
