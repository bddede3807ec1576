//! Reading what was told: a page of all queues and of the fleet, from a position on.
//!
//! Entries have one sequence of numbers over all queues, so a position is one number: of the last entry that was read. With
//! it goes which file that was, and when that entry was told: in another file, or in an older copy of this one that was put
//! back, the number means another entry, or none.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::bell::Topic;
use super::link::Link;
use super::tx::{Tx, View, number};
use super::{fleet, stream};
use crate::error::Error;
use crate::event::{EventPage, EventPosition};
use crate::id::{QueueName, TaskId};

/// A page has at most this many entries, …
const PAGE: i64 = 1_000;

/// … and no further one behind so many events: an entry tells of up to 999 messages.
const FULL: usize = 1_000;

/// A reader waits at most this long, whatever it asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A wake-up that got lost costs at most this.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The one entry of a position.
const KEY: &str = "sqlite";

/// Where a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The last entry that was read.
    number: i64,
    /// When that was told (ms), 0 where it is not known.
    at: i64,
    /// The highest number that was dropped when it was read: what was missed by then was said.
    dropped: i64,
}

/// The page behind `after`; with nothing there, waits for something.
pub(super) async fn read(
    link: &Link,
    after: &EventPosition,
    wait: Duration,
) -> Result<EventPage, Error> {
    let deadline = Instant::now() + wait.min(LONGEST_WAIT);
    let mut after = after.clone();
    loop {
        // Armed before the look: what is told between look and wait is not missed.
        let mut news = pin!(link.bell().heard(Topic::News));
        news.as_mut().enable();
        let from = after.clone();
        let look = move |view: &View<'_>| Ok((page(view, &from)?, fleet::has_lapsed(view)?));
        let (page, lapsed) = link.read(look).await?;
        if !page.events.is_empty() || page.missed {
            return Ok(page);
        }
        // A fleet that is gone whole has nobody but its watcher to tell of it. Who can not write still may read.
        if lapsed && link.write(tell_lapsed).await.is_ok() {
            continue;
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(page);
        }
        after = page.next;
        // Rung or timed out, it looks again.
        drop(timeout_at(deadline.min(now + LOOK_AGAIN), news).await);
    }
}

fn tell_lapsed(tx: &mut Tx<'_>) -> Result<usize, Error> {
    fleet::expire(tx, fleet::AT_ONCE)
}

fn page(view: &View<'_>, after: &EventPosition) -> Result<EventPage, Error> {
    let sql = "SELECT identity, events_dropped FROM store WHERE one = 1";
    let (identity, dropped) = view.one(sql, (), |row| {
        Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?))
    })?;
    let identity = TaskId::from(uuid::Uuid::from_bytes(identity));
    let (mut place, missed) = stand(view, identity, dropped, after)?;
    let sql = "SELECT id, at, (SELECT name FROM queue WHERE queue.id = event.queue), entry FROM event \
               WHERE id > ?1 ORDER BY id LIMIT ?2";
    let failed = |e| view.trouble(e);
    let mut statement = view.prepared(sql)?;
    let mut rows = statement.query([place.number, PAGE]).map_err(failed)?;
    let mut events = Vec::new();
    while events.len() < FULL
        && let Some(row) = rows.next().map_err(failed)?
    {
        place.number = row.get(0).map_err(failed)?;
        place.at = row.get(1).map_err(failed)?;
        let name: String = row.get(2).map_err(failed)?;
        let entry = row.get_ref(3).map_err(failed)?;
        let entry = entry.as_blob().map_err(|e| failed(e.into()))?;
        let queue = match name.as_str() {
            "" => None,
            name => Some(QueueName::new(name)?),
        };
        events.extend(stream::expand(number(place.at), queue.as_ref(), entry));
    }
    // Stable: what was told at the same time keeps its order.
    events.sort_by_key(|event| event.at);
    place.dropped = dropped;
    Ok(EventPage {
        events,
        next: place.position(identity),
        missed,
    })
}

/// Where a reader at `after` stands here, and whether something that it did not read is gone.
fn stand(
    view: &View<'_>,
    identity: TaskId,
    dropped: i64,
    after: &EventPosition,
) -> Result<(Place, bool), Error> {
    let beginning = Place {
        number: 0,
        at: 0,
        dropped,
    };
    let Some(text) = after.read.get(KEY) else {
        if !after.read.is_empty() {
            // A position of another kind of broker.
            return Ok((beginning, true));
        }
        if after.from_oldest {
            return Ok((beginning, false));
        }
        let number = stream::last(view)?;
        let at = told_at(view, number)?.unwrap_or(0);
        return Ok((
            Place {
                number,
                at,
                dropped,
            },
            false,
        ));
    };
    match Place::parse(text, identity) {
        Some(place) if place.is_of(view)? => Ok((place, dropped > place.number.max(place.dropped))),
        _ => Ok((beginning, true)),
    }
}

impl Place {
    /// `None`: it was written for another file.
    fn parse(text: &str, identity: TaskId) -> Option<Self> {
        let mut words = text.split('/');
        let writer: TaskId = words.next()?.parse().ok()?;
        let mut number = || words.next()?.parse().ok();
        let place = Self {
            number: number()?,
            at: number()?,
            dropped: number()?,
        };
        (writer == identity).then_some(place)
    }

    fn position(self, identity: TaskId) -> EventPosition {
        let Self {
            number,
            at,
            dropped,
        } = self;
        let text = format!("{identity}/{number}/{at}/{dropped}");
        EventPosition {
            read: [(KEY.to_owned(), text)].into(),
            from_oldest: true,
        }
    }

    /// Whether the file still is what it was: an older copy that was put back has not told so much, or something else.
    fn is_of(self, view: &View<'_>) -> Result<bool, Error> {
        if self.number > stream::last(view)? {
            return Ok(false);
        }
        let at = told_at(view, self.number)?.filter(|_| self.at != 0);
        Ok(at.is_none_or(|at| at == self.at))
    }
}

/// When an entry that is still there was told.
fn told_at(view: &View<'_>, number: i64) -> Result<Option<i64>, Error> {
    let sql = "SELECT at FROM event WHERE id = ?1";
    view.maybe(sql, [number], |row| row.get(0))
}
