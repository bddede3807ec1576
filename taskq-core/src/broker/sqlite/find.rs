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
        if let Some(hit) = self.held(queue)? {
            return Ok(Some(hit));
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

    fn held(&mut self, queue: QueueId) -> Result<Hit<Place>, Error> {
        let sql = "SELECT held FROM queue WHERE id = ?1";
        let length = number(self.view.one(sql, [queue.0], |row| row.get(0))?);
        // Who sweeps takes a session from its owner before it gives back in parts.
        let sql = "SELECT id, owner = x'' FROM session WHERE queue = ?1 ORDER BY deadline LIMIT ?2";
        let most = [queue.0, column(SESSIONS as u64 + 1)];
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let sessions: Vec<(i64, bool)> = self.view.all(sql, most, row)?;
        let (_, all) = windows(usize::try_from(length).unwrap_or(usize::MAX));
        self.complete &= all && sessions.len() <= SESSIONS;
        let mut room = MAX_SEARCHED;
        for (session, returning) in sessions.into_iter().take(SESSIONS) {
            let keys = held_by(session);
            let sql = "SELECT body FROM held WHERE tag BETWEEN ?1 AND ?2 ORDER BY tag LIMIT ?3";
            let params = [*keys.start(), *keys.end(), column(room as u64)];
            let seen = self.seen;
            let place = |_: &Row<'_>| match returning {
                true => Ok(Place::Returning),
                false => Ok(Place::Held),
            };
            if let Some(hit) = self.look(sql, params, place)? {
                return Ok(Some(hit));
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

#[cfg(test)]
mod tests {
    use super::super::SqliteBroker;
    use super::super::open::Location;
    use super::super::tx::Tx;
    use super::super::{moves, place, session};
    use super::*;
    use crate::broker::marked::Marked;
    use crate::message::Message;

    fn queue() -> QueueName {
        QueueName::default()
    }

    /// A message of about so many bytes, and its id.
    fn message(bytes: usize) -> (TaskId, Vec<u8>) {
        let mut message = Message::new("t");
        let args = serde_json::value::to_raw_value(&["x".repeat(bytes)]);
        message.args = args.ok();
        (message.id, message.encode().unwrap())
    }

    /// Puts so many messages like `body` into a lane, and a wanted one at a place in it; answers its id.
    fn fill(
        tx: &mut Tx<'_>,
        priority: u8,
        length: i64,
        body: &[u8],
        wanted: i64,
    ) -> Result<TaskId, Error> {
        let lane = Lane::of(tx.queue(&queue())?, priority);
        let sql = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2) \
                   INSERT INTO ready SELECT ?1 + i, 0, 0, ?3 FROM n";
        tx.run(sql, params![lane.middle(), length, body])?;
        let (id, body) = message(1);
        let sql = "UPDATE ready SET body = ?2 WHERE place = ?1";
        assert_eq!(tx.run(sql, params![lane.middle() + wanted, body])?, 1);
        Ok(id)
    }

    async fn found(broker: &SqliteBroker, id: TaskId) -> (Option<Place>, bool) {
        let found = find(&broker.link, &queue(), id).await.unwrap();
        (found.place.map(|(place, _)| place), found.complete)
    }

    #[tokio::test]
    async fn of_long_lanes_both_ends_are_looked_at() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let length = 2 * MAX_SEARCHED as i64;
        let fill = broker.link.write(move |tx| {
            let (_, other) = message(1);
            let at = [(9, 7), (5, length / 2), (4, length - 1)];
            let ids = at.map(|(priority, wanted)| fill(tx, priority, length, &other, wanted));
            ids.into_iter().collect::<Result<Vec<_>, _>>()
        });
        let ids = fill.await.unwrap();
        let ahead = |ahead| Some(Place::Waiting { ahead });
        let length = length as u64;
        assert_eq!(found(&broker, ids[0]).await, (ahead(7), false));
        assert_eq!(found(&broker, ids[1]).await, (None, false));
        assert_eq!(found(&broker, ids[2]).await, (ahead(3 * length - 1), false));
    }

    #[tokio::test]
    async fn of_large_messages_so_many_bytes_are_looked_at() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let fill = broker.link.write(|tx| {
            let (_, large) = message((1 << 20) - 200);
            let seen = fill(tx, 9, 70, &large, 60)?;
            Ok([seen, fill(tx, 8, 70, &large, 66)?])
        });
        let [seen, beyond] = fill.await.unwrap();
        let (place, _) = found(&broker, seen).await;
        assert_eq!(place, Some(Place::Waiting { ahead: 60 }));
        assert_eq!(found(&broker, beyond).await, (None, false));
    }

    #[tokio::test]
    async fn a_listing_of_large_messages_is_bounded() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let message = Marked {
            body: message((1 << 20) - 200).1.into(),
            priority: 0,
            crashes: 0,
        };
        for hour in 1..=70 {
            let message = message.clone();
            let delay = broker.link.write(move |tx| {
                let (queue, now) = (tx.queue(&queue())?, tx.now());
                moves::push(tx, queue, &message, now + hour * 3_600_000)
            });
            delay.await.unwrap();
        }
        let listed = delayed(&broker.link, &queue(), 1_000).await.unwrap();
        assert_eq!(listed.len(), 64);
        assert!(listed.is_sorted_by_key(|one| one.due));
    }

    /// What a sweep gives back in parts is on its way back until all is.
    #[tokio::test]
    async fn what_a_lost_session_held_is_returning() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let (id, body) = message(1);
        let hold = broker.link.write(move |tx| {
            let queue = tx.queue(&queue())?;
            let sql = "INSERT INTO session (id, queue, owner, node, lease_ms, deadline, since) \
                       VALUES (5, ?1, x'01', 'w', 1, 1, 1)";
            tx.run(sql, [queue.0])?;
            tx.counts(queue).held += 1;
            let sql =
                "INSERT INTO held (tag, priority, crashes, suspect, body) VALUES (?1, 0, 0, 0, ?2)";
            tx.run(sql, params![place::held(5, 1), body])
        });
        hold.await.unwrap();
        assert_eq!(found(&broker, id).await, (Some(Place::Held), true));
        let sweep = broker.link.write(|tx| session::disown(tx, 5));
        sweep.await.unwrap();
        assert_eq!(found(&broker, id).await, (Some(Place::Returning), true));
    }
}
