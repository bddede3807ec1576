//! Sessions of processes that are gone, by the kernel's word: they are over now, whatever is left of their leases.
//!
//! Who has just come may judge, too: a session past its lease may be of one who lives and could not beat, a lock that the
//! kernel has dropped is of nobody.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;

use super::give::{Given, Over};
use super::lifeline::Lifelines;
use super::link::Link;
use super::seat::Seat;
use super::sweep;
use super::tx::{Tx, View, column};
use crate::broker::Swept;
use crate::error::Error;
use crate::id::QueueName;

/// A claim asks this often. One that waits ends within a second, so what a process held that is gone is taken by an idle
/// one within a second and a half.
pub(super) const EVERY: Duration = Duration::from_millis(500);

/// Of so many sessions at a queue it is asked, those that have not beaten for the longest time.
const MOST: u64 = 1_000;

/// Gives back what they held at the queues of these seats.
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
    let look = link.read(move |view| over(view, &queues, &lifelines));
    let over: Arc<[String]> = look.await?.into();
    let mut came_to = Ok(());
    if !over.is_empty() {
        for seat in seats {
            came_to = came_to.and(give_back_at(link, seat, &over, all).await);
        }
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
            "a worker's process is gone: {returned} messages given back, {dead} are DEAD"
        );
    }
}

/// Takes away what they left beside the file, once no session is theirs.
pub(super) async fn clear(link: &Link) -> Result<(), Error> {
    let lifelines = link.lifelines().clone();
    if !lifelines.tell() {
        return Ok(());
    }
    // Two looks: a session that is there in the second may not have been in the first.
    let loose = link.read(move |_| Ok(lifelines.loose())).await?;
    if loose.is_empty() {
        return Ok(());
    }
    let look = link.read(move |view| {
        for line in loose {
            let sql = "SELECT 1 FROM session WHERE lifeline = ?1 LIMIT 1";
            if view.maybe(sql, [&line.mark], |_| Ok(()))?.is_none() {
                line.clear();
            }
        }
        Ok(())
    });
    look.await
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
    marks.sort_unstable();
    marks.dedup();
    marks.retain(|mark| lifelines.is_over(mark));
    Ok(marks)
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
            return sweep::end(tx, seat, queue, next).map(Some);
        }
    }
    Ok(None)
}
