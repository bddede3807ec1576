//! Sessions and registrations of processes that are gone, by the kernel's word: they are over now, whatever is left of
//! their leases.
//!
//! Who has just come may judge, too: a session past its lease may be of one who lives and could not beat, a lock that the
//! kernel has dropped is of nobody.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;

use super::give::{Given, Over};
use super::lifeline::Lifelines;
use super::link::Link;
use super::place::QueueId;
use super::seat::Seat;
use super::tx::{Tx, View, column};
use super::{fleet, sweep};
use crate::broker::Swept;
use crate::error::Error;
use crate::id::QueueName;

/// A claim asks this often. One that waits ends within a second, so what a process held that is gone is taken by an idle
/// one within a second and a half.
pub(super) const EVERY: Duration = Duration::from_millis(500);

/// Of so many sessions at a queue it is asked, those that have not beaten for the longest time; of so many registrations,
/// those that have not been renewed for the longest time.
const MOST: u64 = 1_000;

/// A sweep gives back what they held at queues that it does not serve in so many steps at most: the next one goes on.
const STEPS_ELSEWHERE: usize = 100;

/// Who is gone, as sessions and registrations say.
struct Gone {
    sessions: Arc<[String]>,
    registered: Vec<String>,
}

/// Gives back what they held at the queues of these seats, and withdraws them.
pub(super) async fn give_back(
    link: &Link,
    seats: &[Arc<Seat>],
    all: &mut Swept,
) -> Result<(), Error> {
    let lifelines = link.lifelines().clone();
    if !lifelines.tell() {
        return Ok(());
    }
    let queues: Vec<QueueName> = seats.iter().map(|seat| seat.queue.clone()).collect();
    let look = link.read(move |view| {
        Ok(Gone {
            sessions: over(view, &queues, &lifelines)?.into(),
            registered: registered(view, &lifelines)?,
        })
    });
    let gone = look.await?;
    let mut came_to = Ok(());
    if !gone.sessions.is_empty() {
        for seat in seats {
            came_to = came_to.and(give_back_at(link, seat, &gone.sessions, all).await);
        }
    }
    if !gone.registered.is_empty() {
        let withdraw = link.write(move |tx| fleet::withdraw_gone(tx, &gone.registered));
        came_to = came_to.and(withdraw.await);
    }
    came_to
}

/// The same for who is about to claim: its trouble keeps nobody from that, and comes again with the next sweep.
pub(super) async fn give_back_to_claim(link: &Link, seats: &[Arc<Seat>]) {
    let mut all = Swept::default();
    if let Err(error) = give_back(link, seats, &mut all).await {
        tracing::debug!(%error, "what processes held that are gone is given back later");
    }
    if all != Swept::default() {
        let Swept { returned, dead } = all;
        tracing::warn!(
            returned,
            dead,
            "a worker's process is gone; messages given back: {returned}, DEAD: {dead}"
        );
    }
}

/// Takes away what they left: what they held at queues that nobody serves is given back, told by `node`, and lifelines
/// that nothing names any more go.
pub(super) async fn clear(link: &Link, node: &str, all: &mut Swept) -> Result<(), Error> {
    let lifelines = link.lifelines().clone();
    if !lifelines.tell() {
        return Ok(());
    }
    let loose = link.read(move |_| Ok(lifelines.loose())).await?;
    if loose.is_empty() {
        return Ok(());
    }
    let marks: Vec<String> = loose.iter().map(|line| line.mark.clone()).collect();
    let came_to = give_back_elsewhere(link, node, marks, all).await;
    // A second look: a session that is there now may not have been at the first.
    let look = link.read(move |view| {
        for line in loose {
            if !is_named(view, &line.mark)? {
                line.clear();
            }
        }
        Ok(())
    });
    came_to.and(look.await)
}

fn is_named(view: &View<'_>, mark: &str) -> Result<bool, Error> {
    for sql in [
        "SELECT 1 FROM session WHERE lifeline = ?1 LIMIT 1",
        "SELECT 1 FROM worker WHERE lifeline = ?1 LIMIT 1",
    ] {
        if view.maybe(sql, [mark], |_| Ok(()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Gives back what is held at whatever queue under these, where their processes are gone. The trouble of one session holds
/// up no other.
async fn give_back_elsewhere(
    link: &Link,
    node: &str,
    marks: Vec<String>,
    all: &mut Swept,
) -> Result<(), Error> {
    let lifelines = link.lifelines().clone();
    let look = link.read(move |view| {
        let mut left = Vec::new();
        for mark in marks {
            let sessions = sessions_of(view, &mark)?;
            if !sessions.is_empty() && lifelines.is_over(&mark) {
                left.extend(sessions);
            }
        }
        Ok(left)
    });
    let (mut came_to, mut steps) = (Ok(()), 0);
    let node: Arc<str> = node.into();
    for left in look.await? {
        let left = Arc::new(left);
        let mut more = true;
        while more && steps < STEPS_ELSEWHERE {
            steps += 1;
            let (node, of) = (node.clone(), left.clone());
            let given = match link.write(move |tx| of.give_next(tx, &node)).await {
                Ok(given) => given,
                Err(error) => {
                    came_to = came_to.and(Err(error));
                    break;
                }
            };
            given.report(&left.name);
            given.add_to(all);
            more = given.more;
        }
    }
    came_to
}

/// A session of a process that is gone, at whatever queue.
struct Left {
    mark: String,
    id: i64,
    queue: QueueId,
    name: QueueName,
}

/// The sessions that say this, at queues whose names read.
fn sessions_of(view: &View<'_>, mark: &str) -> Result<Vec<Left>, Error> {
    let sql = "SELECT session.id, session.queue, name FROM session JOIN queue ON queue.id = session.queue \
               WHERE lifeline = ?1 LIMIT ?2";
    let rows = view.all(sql, params![mark, column(MOST)], |row| {
        let name = QueueName::new(&row.get::<_, String>(2)?);
        Ok((row.get(0)?, QueueId(row.get(1)?), name.ok()))
    })?;
    let sessions = rows.into_iter().filter_map(|(id, queue, name)| {
        Some(Left {
            mark: mark.to_owned(),
            id,
            queue,
            name: name?,
        })
    });
    Ok(sessions.collect())
}

impl Left {
    /// Gives back a part of what it held; nothing if somebody else has given back all of it.
    fn give_next(&self, tx: &mut Tx<'_>, node: &str) -> Result<Given, Error> {
        let sql = "SELECT retired FROM session WHERE id = ?1 AND lifeline = ?2";
        let retired = tx.maybe(sql, params![self.id, self.mark], |row| {
            row.get::<_, bool>(0)
        })?;
        let Some(retired) = retired else {
            return Ok(Given::default());
        };
        let over = Over {
            id: self.id,
            crashed: !retired,
        };
        sweep::end(tx, self.queue, &self.name, over, node)
    }
}

/// What the sessions say whose processes are gone.
fn over(
    view: &View<'_>,
    queues: &[QueueName],
    lifelines: &Lifelines,
) -> Result<Vec<String>, Error> {
    let mut marks: Vec<String> = Vec::new();
    for name in queues {
        if let Some(queue) = view.known(name)? {
            let sql = "SELECT lifeline FROM session WHERE queue = ?1 AND lifeline IS NOT NULL \
                       ORDER BY deadline LIMIT ?2";
            marks.extend(view.all(sql, params![queue.0, column(MOST)], |row| {
                row.get::<_, String>(0)
            })?);
        }
    }
    Ok(those_over(marks, lifelines))
}

/// What the registrations say whose processes are gone.
pub(super) fn registered(view: &View<'_>, lifelines: &Lifelines) -> Result<Vec<String>, Error> {
    if !lifelines.tell() {
        return Ok(Vec::new());
    }
    let sql = "SELECT lifeline FROM worker WHERE until > 0 AND lifeline IS NOT NULL ORDER BY until LIMIT ?1";
    let marks = view.all(sql, [column(MOST)], |row| row.get(0))?;
    Ok(those_over(marks, lifelines))
}

fn those_over(mut marks: Vec<String>, lifelines: &Lifelines) -> Vec<String> {
    marks.sort_unstable();
    marks.dedup();
    marks.retain(|mark| lifelines.is_over(mark));
    marks
}

async fn give_back_at(
    link: &Link,
    seat: &Arc<Seat>,
    over: &Arc<[String]>,
    all: &mut Swept,
) -> Result<(), Error> {
    loop {
        let (seat_, over) = (seat.clone(), over.clone());
        let step = link.write(move |tx| give_next(tx, &seat_, &over));
        let Some(given) = step.await? else {
            return Ok(());
        };
        given.report(&seat.queue);
        given.add_to(all);
    }
}

/// Gives back a part of what the next of their sessions held. `None`: there is none.
fn give_next(tx: &mut Tx<'_>, seat: &Seat, over: &[String]) -> Result<Option<Given>, Error> {
    let Some(queue) = tx.known(&seat.queue)? else {
        return Ok(None);
    };
    for mark in over {
        let sql = "SELECT id, retired FROM session WHERE lifeline = ?1 AND queue = ?2 LIMIT 1";
        let next = tx.maybe(sql, params![mark, queue.0], |row| {
            Ok(Over {
                id: row.get(0)?,
                crashed: !row.get::<_, bool>(1)?,
            })
        })?;
        if let Some(next) = next {
            return sweep::end(tx, queue, &seat.queue, next, &seat.node).map(Some);
        }
    }
    Ok(None)
}
