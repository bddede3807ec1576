//! Looking for one message in a queue, and listing what is due next.
//!
//! All places are looked at as of one moment, so a message that moves meanwhile is not missed. A lane has no gaps: what
//! leaves it leaves at its front, and what comes back comes to an end. So keys tell how many are before a message.

use std::ops::{ControlFlow, RangeInclusive};

use rusqlite::{Params, Row, params};

use super::dead;
use super::link::Link;
use super::moves::marked;
use super::place::{Lane, QueueId, held_by};
use super::tx::{View, column, number};
use crate::broker::search::{MAX_SEARCHED, Needle, windows};
use crate::broker::{DelayedMessage, Found, Place};
use crate::error::Error;
use crate::id::{QueueName, TaskId};

/// A place is looked through up to this many bytes from where each look begins: 64 MiB.
const BYTES: usize = 64 << 20;

/// A listing answers at most so many, and 64 MiB beyond the first.
const MAX_LISTED: usize = 1_000;

/// Of so many sessions, what they hold is looked through.
const SESSIONS: usize = 1_000;

/// At most `limit` of those that are not due yet, the next first.
pub(super) async fn delayed(
    link: &Link,
    queue: &QueueName,
    limit: usize,
) -> Result<Vec<DelayedMessage>, Error> {
    let name = queue.clone();
    let look = move |view: &View<'_>| match view.known(&name)? {
        Some(queue) => due_next(view, queue, limit),
        None => Ok(Vec::new()),
    };
    link.read(look).await
}

fn due_next(view: &View<'_>, queue: QueueId, limit: usize) -> Result<Vec<DelayedMessage>, Error> {
    let sql = "SELECT due, priority, crashes, body FROM delayed WHERE queue = ?1 ORDER BY due, arrival LIMIT ?2";
    let limit = column(limit.min(MAX_LISTED) as u64);
    let (mut listed, mut room) = (Vec::new(), BYTES);
    let _full = view.each(sql, params![queue.0, limit], |row| {
        let message = marked(row, 1)?;
        match room.checked_sub(message.body.len()) {
            Some(left) => room = left,
            None if listed.is_empty() => room = 0,
            None => return Ok(ControlFlow::Break(())),
        }
        listed.push(DelayedMessage {
            due: number(row.get(0)?),
            body: message.body,
            priority: message.priority,
            crashes: message.crashes,
        });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(listed)
}

pub(super) async fn find(link: &Link, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
    let name = queue.clone();
    link.read(move |view| look_for(view, &name, id)).await
}

fn look_for(view: &View<'_>, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
    let mut search = Search {
        view,
        needle: Needle::new(id),
        complete: true,
        seen: 0,
    };
    let place = match view.known(queue)? {
        Some(queue) => search.everywhere(queue)?,
        None => None,
    };
    Ok(Found {
        place: place.map(|(place, body)| (place, body.into())),
        complete: search.complete,
        now: view.now(),
    })
}

type Hit<T> = Option<(T, Vec<u8>)>;

struct Search<'a> {
    view: &'a View<'a>,
    needle: Needle,
    complete: bool,
    /// So many messages were looked at.
    seen: usize,
}

impl Search<'_> {
    fn everywhere(&mut self, queue: QueueId) -> Result<Hit<Place>, Error> {
        let mut ahead = 0;
        for priority in (0..=9).rev() {
            if let Some((before, body)) = self.lane(Lane::of(queue, priority), &mut ahead)? {
                return Ok(Some((Place::Waiting { ahead: before }, body)));
            }
        }
        let mut ahead = 0;
        if let Some((before, body)) = self.lane(Lane::suspects(queue), &mut ahead)? {
            return Ok(Some((Place::Suspect { ahead: before }, body)));
        }
        if let Some((due, body)) = self.delayed(queue)? {
            return Ok(Some((Place::Delayed { due }, body)));
        }
        if let Some(body) = self.held(queue)? {
            return Ok(Some((Place::Held, body)));
        }
        self.dead(queue)
    }

    /// How many are before the message, and the message. `ahead` are before the lane; those in it are added.
    fn lane(&mut self, lane: Lane, ahead: &mut u64) -> Result<Hit<u64>, Error> {
        let Some(ends) = ends(self.view, lane)? else {
            return Ok(None);
        };
        let first = *ends.start();
        let length = number(ends.end() - first + 1);
        let (parts, all) = windows(usize::try_from(length).unwrap_or(usize::MAX));
        self.complete &= all;
        let sql = "SELECT body, place FROM ready WHERE place BETWEEN ?1 AND ?2 ORDER BY place";
        for part in parts {
            let keys = [part.start, part.end].map(|n| first.saturating_add(column(n as u64)));
            let place = |row: &Row<'_>| row.get::<_, i64>(1);
            if let Some((place, body)) = self.look(sql, [keys[0], keys[1] - 1], place)? {
                return Ok(Some((*ahead + number(place - first), body)));
            }
        }
        *ahead += length;
        Ok(None)
    }

    fn delayed(&mut self, queue: QueueId) -> Result<Hit<u64>, Error> {
        let sql = "SELECT delayed FROM queue WHERE id = ?1";
        let length = number(self.view.one(sql, [queue.0], |row| row.get(0))?);
        let (parts, all) = windows(usize::try_from(length).unwrap_or(usize::MAX));
        self.complete &= all;
        let next = "SELECT body, due FROM delayed WHERE queue = ?1 ORDER BY due, arrival LIMIT ?2";
        let last = "SELECT body, due FROM delayed WHERE queue = ?1 ORDER BY due DESC, arrival DESC LIMIT ?2";
        for (part, sql) in parts.into_iter().zip([next, last]) {
            let limit = column(part.len() as u64);
            let due = |row: &Row<'_>| row.get::<_, i64>(1).map(number);
            if let Some(hit) = self.look(sql, params![queue.0, limit], due)? {
                return Ok(Some(hit));
            }
        }
        Ok(None)
    }

    fn held(&mut self, queue: QueueId) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT held FROM queue WHERE id = ?1";
        let length = number(self.view.one(sql, [queue.0], |row| row.get(0))?);
        let sql = "SELECT id FROM session WHERE queue = ?1 ORDER BY deadline LIMIT ?2";
        let most = [queue.0, column(SESSIONS as u64 + 1)];
        let sessions: Vec<i64> = self.view.all(sql, most, |row| row.get(0))?;
        let (_, all) = windows(usize::try_from(length).unwrap_or(usize::MAX));
        self.complete &= all && sessions.len() <= SESSIONS;
        let mut room = MAX_SEARCHED;
        for session in sessions.into_iter().take(SESSIONS) {
            let keys = held_by(session);
            let sql = "SELECT body FROM held WHERE tag BETWEEN ?1 AND ?2 ORDER BY tag LIMIT ?3";
            let params = [*keys.start(), *keys.end(), column(room as u64)];
            let seen = self.seen;
            if let Some(((), body)) = self.look(sql, params, |_| Ok(()))? {
                return Ok(Some(body));
            }
            room = room.saturating_sub(self.seen - seen);
        }
        Ok(None)
    }

    fn dead(&mut self, queue: QueueId) -> Result<Hit<Place>, Error> {
        let sql = "SELECT body, state, reason, at FROM dead WHERE queue = ?1 AND at > ?2 ORDER BY id DESC";
        let since = dead::kept_since(self.view);
        self.look(sql, [queue.0, since], |row| {
            Ok(Place::Dead {
                state: dead::state(row.get(1)?),
                reason: row.get(2)?,
                at: number(row.get(3)?),
            })
        })
    }

    /// The message among these rows, whose first column is a body, and what `place` tells of its row.
    fn look<T>(
        &mut self,
        sql: &str,
        params: impl Params,
        place: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Hit<T>, Error> {
        let (needle, mut left, mut seen) = (&self.needle, BYTES, 0);
        let found = self.view.each(sql, params, |row| {
            let body = row.get_ref(0)?.as_blob()?;
            seen += 1;
            if needle.fits(body) {
                return Ok(ControlFlow::Break(Some((place(row)?, body.to_vec()))));
            }
            match left.checked_sub(body.len()) {
                Some(less) => left = less,
                None => return Ok(ControlFlow::Break(None)),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.seen += seen;
        self.complete &= !matches!(found, Some(None));
        Ok(found.flatten())
    }
}

/// The first and the last key of a lane that holds something.
fn ends(view: &View<'_>, lane: Lane) -> Result<Option<RangeInclusive<i64>>, Error> {
    // One look-up each: asked for together, both ends are looked for through the whole lane.
    let sql = "SELECT (SELECT min(place) FROM ready WHERE place BETWEEN ?1 AND ?2), \
               (SELECT max(place) FROM ready WHERE place BETWEEN ?1 AND ?2)";
    let keys = lane.keys();
    let (first, last): (Option<i64>, Option<i64>) =
        view.one(sql, [keys.start(), keys.end()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    Ok(first.zip(last).map(|(first, last)| first..=last))
}
