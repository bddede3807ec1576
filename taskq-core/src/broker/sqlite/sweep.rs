//! Sessions whose worker is gone: what they held is given back, a part at a time; and what is past its time leaves.

use std::sync::Arc;

use rusqlite::params;

use super::give::{self, Given, Over};
use super::link::Link;
use super::place::QueueId;
use super::seat::Seat;
use super::session::{self, Key};
use super::tx::Tx;
use super::{gone, janitor};
use crate::broker::Swept;
use crate::error::Error;
use crate::id::QueueName;

/// Sweeps the queues of a consumer, where it may, and what processes that are gone left anywhere. The trouble of one queue
/// holds up neither the others nor the janitor.
pub(super) async fn sweep(link: &Link, seats: &[Arc<Seat>], node: &str) -> Result<Swept, Error> {
    let mut all = Swept::default();
    let mut came_to = gone::give_back(link, seats, &mut all).await;
    for seat in seats {
        let swept = sweep_queue(link, seat, &mut all).await;
        came_to = came_to.and(swept);
    }
    let tidied = janitor::round(link).await;
    let cleared = gone::clear(link, node, &mut all).await;
    came_to.and(tidied).and(cleared).map(|()| all)
}

async fn sweep_queue(link: &Link, seat: &Arc<Seat>, all: &mut Swept) -> Result<(), Error> {
    let Some(ours) = seat.session() else {
        return Ok(());
    };
    loop {
        let (seat_, key) = (seat.clone(), ours.key);
        let step = link.write(move |tx| give_next(tx, &seat_, key));
        let Some(given) = step.await? else {
            return Ok(());
        };
        given.report(&seat.queue);
        given.add_to(all);
    }
}

/// Gives back a part of what the next session past its lease held. `None`: there is none, or we may not judge.
pub(super) fn give_next(tx: &mut Tx<'_>, seat: &Seat, ours: Key) -> Result<Option<Given>, Error> {
    let Some(queue) = session::may_sweep(tx, ours)? else {
        return Ok(None);
    };
    session::shorten(tx, queue)?;
    let Some(over) = past(tx, queue, ours)? else {
        return Ok(None);
    };
    end(tx, queue, &seat.queue, over, &seat.node).map(Some)
}

/// Gives back a part of what a session held that is over, and ends it if that was all: told by `node`.
pub(super) fn end(
    tx: &mut Tx<'_>,
    queue: QueueId,
    name: &QueueName,
    over: Over,
    node: &str,
) -> Result<Given, Error> {
    let given = give::give(tx, queue, name, over, node)?;
    if given.more {
        // Its worker may come back before the rest is given back.
        session::disown(tx, over.id)?;
    } else {
        session::end(tx, over.id)?;
    }
    Ok(given)
}

/// The session that is past its lease for the longest time.
fn past(tx: &Tx<'_>, queue: QueueId, ours: Key) -> Result<Option<Over>, Error> {
    let sql = "SELECT id, retired FROM session WHERE queue = ?1 AND deadline < ?2 AND id <> ?3 \
               ORDER BY deadline LIMIT 1";
    let row = params![queue.0, tx.now_column(), ours.id];
    tx.maybe(sql, row, |row| {
        Ok(Over {
            id: row.get(0)?,
            crashed: !row.get::<_, bool>(1)?,
        })
    })
}
