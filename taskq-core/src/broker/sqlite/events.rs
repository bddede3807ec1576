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
use super::{fleet, gone, stream};
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
        let lifelines = link.lifelines().clone();
        let look = move |view: &View<'_>| {
            let page = page(view, &from)?;
            if !page.events.is_empty() || page.missed {
                return Ok((page, false, Vec::new()));
            }
            let gone = gone::registered(view, &lifelines)?;
            Ok((page, fleet::has_lapsed(view)?, gone))
        };
        let (page, lapsed, gone) = link.read(look).await?;
        if !page.events.is_empty() || page.missed {
            return Ok(page);
        }
        // A fleet that is gone whole has nobody but its watcher to tell of it. Who can not write still may read.
        if (lapsed || !gone.is_empty()) && link.write(move |tx| tell_gone(tx, &gone)).await.is_ok()
        {
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

fn tell_gone(tx: &mut Tx<'_>, marks: &[String]) -> Result<(), Error> {
    fleet::withdraw_gone(tx, marks)?;
    fleet::expire(tx, fleet::AT_ONCE).map(drop)
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
    let (mut events, mut nothing) = (Vec::new(), true);
    while events.len() < FULL
        && let Some(row) = rows.next().map_err(failed)?
    {
        nothing = false;
        place.number = row.get(0).map_err(failed)?;
        place.at = row.get(1).map_err(failed)?;
        let name: Option<String> = row.get(2).map_err(failed)?;
        let entry = row.get_ref(3).map_err(failed)?;
        let entry = entry.as_blob().map_err(|e| failed(e.into()))?;
        let queue = match name.as_deref().map(QueueName::new) {
            _ if name.as_deref() == Some("") => None,
            Some(Ok(queue)) => Some(queue),
            // Of a queue that has no name here: another program wrote it.
            _ => continue,
        };
        events.extend(stream::expand(number(place.at), queue.as_ref(), entry));
    }
    // Stable: what was told at the same time keeps its order.
    events.sort_by_key(|event| event.at);
    let last = stream::last(view)?;
    if nothing && place.number < last {
        // All of it was dropped: whoever stood before it stands behind it.
        (place.number, place.at) = (last, 0);
    }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::Connection;

    use super::*;
    use crate::broker::sqlite::SqliteBroker;
    use crate::broker::sqlite::open::Location;
    use crate::broker::{Broker, Inspect};
    use crate::event::{Fact, Told, WorkerEventKind};
    use crate::fleet::WorkerCard;
    use crate::message::Message;

    async fn tell(broker: &SqliteBroker, name: &str, n: usize) {
        let name = QueueName::new(name).unwrap();
        let step = move |tx: &mut Tx<'_>| {
            let queue = tx.queue(&name)?;
            let told = [Told::sent(&Message::new("t"))];
            (0..n).try_for_each(|_| stream::tell(tx, queue, None, &told))
        };
        broker.link.write(step).await.unwrap();
    }

    async fn read(broker: &SqliteBroker, after: &EventPosition) -> EventPage {
        broker.events(after, Duration::ZERO).await.unwrap()
    }

    fn in_memory() -> SqliteBroker {
        SqliteBroker::at(&Location::Memory).unwrap()
    }

    #[tokio::test]
    async fn a_reader_that_is_too_slow_hears_once_that_it_missed_some() {
        let broker = in_memory();
        tell(&broker, "q", 1).await;
        let slow = read(&broker, &EventPosition::oldest()).await.next;
        tell(&broker, "quiet", 1).await;
        tell(&broker, "q", 9_000).await;
        assert!(!read(&broker, &slow).await.missed);
        tell(&broker, "q", 2_000).await;
        let page = read(&broker, &slow).await;
        assert!(page.missed);
        // What another queue told before is still there.
        let first = page.events.first().and_then(|e| e.queue.clone());
        assert_eq!(first.unwrap().as_str(), "quiet");
        assert!(!read(&broker, &page.next).await.missed);
        assert!(!read(&broker, &EventPosition::oldest()).await.missed);
    }

    #[tokio::test]
    async fn the_reader_of_another_file_hears_that_it_missed_all() {
        let (old, new) = (in_memory(), in_memory());
        for broker in [&old, &new] {
            tell(broker, "q", 1).await;
        }
        let there = read(&old, &EventPosition::oldest()).await.next;
        let mut foreign = there.clone();
        foreign.read = [("q".to_owned(), format!("{}/1", TaskId::random()))].into();
        for position in [there, foreign] {
            let page = read(&new, &position).await;
            assert!(page.missed);
            assert_eq!(page.events.len(), 1);
            let again = read(&new, &page.next).await;
            assert!(again.events.is_empty() && !again.missed);
        }
    }

    fn copy(from: &Path, to: &Path) {
        let from = Connection::open(from).unwrap();
        from.execute("VACUUM INTO ?1", [to.to_str().unwrap()])
            .unwrap();
    }

    #[tokio::test]
    async fn the_reader_of_an_older_copy_hears_that_it_missed_all() {
        let folder = tempfile::TempDir::new().unwrap();
        let (path, older) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let now = SqliteBroker::open(&path).unwrap();
        tell(&now, "q", 1).await;
        let early = read(&now, &EventPosition::oldest()).await.next;
        copy(&path, &older);
        tell(&now, "q", 1).await;
        let late = read(&now, &EventPosition::oldest()).await.next;

        let back = SqliteBroker::open(&older).unwrap();
        // What was read before the copy was made is of it.
        assert!(!read(&back, &early).await.missed);
        let page = read(&back, &late).await;
        assert_eq!((page.missed, page.events.len()), (true, 1));
        // By now it has told as much, but something else.
        back.advance(Duration::from_secs(1)).await.unwrap();
        tell(&back, "q", 2).await;
        let page = read(&back, &late).await;
        assert_eq!((page.missed, page.events.len()), (true, 3));
        let page = read(&back, &early).await;
        assert_eq!((page.missed, page.events.len()), (false, 2));
    }

    #[tokio::test]
    async fn a_page_of_full_steps_is_bounded() {
        let broker = in_memory();
        let name = QueueName::default();
        let step = move |tx: &mut Tx<'_>| {
            let queue = tx.queue(&name)?;
            let told = vec![Told::sent(&Message::new("t")); 999];
            (0..5).try_for_each(|_| stream::tell(tx, queue, None, &told))
        };
        broker.link.write(step).await.unwrap();
        let mut position = EventPosition::oldest();
        let mut sizes = Vec::new();
        for _ in 0..4 {
            let page = read(&broker, &position).await;
            sizes.push(page.events.len());
            position = page.next;
        }
        assert_eq!(sizes, [1_998, 1_998, 999, 0]);
    }

    #[tokio::test]
    async fn a_fleet_that_is_gone_whole_is_told_offline_to_its_watcher() {
        let broker = in_memory();
        let card = WorkerCard::double("w1@host");
        let ttl = Duration::from_secs(10);
        broker.register(&card, &[], ttl).await.unwrap();
        let online = read(&broker, &EventPosition::oldest()).await;
        broker.advance(ttl * 2).await.unwrap();
        let page = read(&broker, &online.next).await;
        let Fact::Worker(told) = &page.events[0].fact else {
            panic!("it is told of a worker");
        };
        assert_eq!(
            (page.events.len(), told.kind),
            (1, WorkerEventKind::Offline)
        );
        assert!(read(&broker, &page.next).await.events.is_empty());
    }
}
