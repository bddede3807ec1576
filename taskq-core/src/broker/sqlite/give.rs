//! Giving back what a session held when it is over: to the front, to the suspects, or to the dead.

use std::ops::RangeInclusive;
use std::sync::Arc;

use rusqlite::params;

use super::link::Link;
use super::place::{QueueId, held_by};
use super::seat::Seat;
use super::tx::{Tx, column};
use super::{dead, moves, records, session, stream};
use crate::broker::Swept;
use crate::broker::marked::Marked;
use crate::broker::outgoing::BATCH_LIMIT;
use crate::error::Error;
use crate::event::Told;
use crate::id::QueueName;
use crate::message::{MAX_BYTES, Message};
use crate::outcome::Failure;
use crate::record::Record;
use crate::state::State;

/// A session that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    pub(super) id: i64,
    /// Its process died: that is charged to what it held.
    pub(super) crashed: bool,
}

/// What one step gave back.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) swept: Swept,
    /// There is more: the next step goes on.
    pub(super) more: bool,
    /// Which ran no more, each with the reason.
    pub(super) ended: Vec<String>,
}

impl Given {
    /// Counts it with what else was given back.
    pub(super) fn add_to(&self, all: &mut Swept) {
        all.returned += self.swept.returned;
        all.dead += self.swept.dead;
    }

    /// Says which task is DEAD: nobody else does.
    pub(super) fn report(&self, queue: &QueueName) {
        for ended in &self.ended {
            tracing::error!(%queue, "{ended}");
        }
    }
}

/// Ends the session of a seat by its own will: no crash is charged.
pub(super) async fn close(link: &Link, seat: &Arc<Seat>) -> Result<(), Error> {
    let Some(ours) = seat.session() else {
        return Ok(());
    };
    loop {
        let (seat_, key) = (seat.clone(), ours.key);
        let step = link.write(move |tx| {
            let Some(queue) = session::queue(tx, key)? else {
                return Ok(Given::default());
            };
            let over = Over {
                id: key.id,
                crashed: false,
            };
            let given = give(tx, queue, &seat_.queue, over, &seat_.node)?;
            if given.more {
                session::retire(tx, key)?;
            } else {
                session::end(tx, key.id)?;
            }
            Ok(given)
        });
        let given = step.await?;
        given.report(&seat.queue);
        if !given.more {
            break;
        }
    }
    seat.closed(ours.generation);
    Ok(())
}

/// Gives back the newest of what a session holds, told by `node`: within the bounds of a step.
pub(super) fn give(
    tx: &mut Tx<'_>,
    queue: QueueId,
    name: &QueueName,
    over: Over,
    node: &str,
) -> Result<Given, Error> {
    let (newest, more) = take_newest(tx, &held_by(over.id))?;
    let mut given = Given {
        more,
        ..Given::default()
    };
    let mut told = Vec::with_capacity(newest.len());
    tx.counts(queue).held -= newest.len();
    for mut held in newest {
        held.crashes = held.crashes.saturating_add(u8::from(over.crashed)).min(9);
        tx.counts(queue).total_crashed += usize::from(over.crashed);
        let message = Message::decode(&held.body).ok();
        let reason = held.ends_here(message.as_ref());
        if let Some(message) = &message {
            told.push(Told::given_back(message, over.crashed, reason.as_deref()));
        }
        if let Some(reason) = reason {
            given.swept.dead += 1;
            given.ended.push(sentence(message.as_ref(), &reason));
            tx.counts(queue).total_dead += 1;
            let failure = Failure::new("WorkerCrashed", &reason);
            bury(tx, queue, name, &held, message.as_ref(), failure)?;
        } else {
            given.swept.returned += 1;
            tx.counts(queue).total_returned += 1;
            moves::put_back(tx, queue, &held)?;
        }
    }
    stream::tell(tx, queue, Some(node), &told)?;
    Ok(given)
}

/// Takes the newest deliveries out, as many as one step may move, newest first. True: there are more.
fn take_newest(tx: &Tx<'_>, all: &RangeInclusive<i64>) -> Result<(Vec<Marked>, bool), Error> {
    let sql = "SELECT priority, crashes, body, tag FROM held WHERE tag BETWEEN ?1 AND ?2 \
               ORDER BY tag DESC LIMIT ?3";
    let (mut newest, mut oldest, mut room) = (Vec::new(), None, MAX_BYTES);
    let mut select = tx.prepared(sql)?;
    let bounds = params![all.start(), all.end(), column(BATCH_LIMIT as u64)];
    let mut rows = select.query(bounds).map_err(|e| tx.trouble(e))?;
    let mut more = false;
    while let Some(row) = rows.next().map_err(|e| tx.trouble(e))? {
        let message = moves::marked(row, 0).map_err(|e| tx.trouble(e))?;
        if !newest.is_empty() {
            if message.body.len() > room {
                more = true;
                break;
            }
            room -= message.body.len();
        }
        oldest = Some(row.get::<_, i64>(3).map_err(|e| tx.trouble(e))?);
        newest.push(message);
    }
    drop(rows);
    if let Some(oldest) = oldest {
        let sql = "DELETE FROM held WHERE tag BETWEEN ?1 AND ?2";
        tx.run(sql, [oldest, *all.end()])?;
    }
    let more = more || newest.len() == BATCH_LIMIT;
    Ok((newest, more))
}

/// Puts a message among the dead, and writes that it is DEAD; a final record stands.
pub(super) fn bury(
    tx: &mut Tx<'_>,
    queue: QueueId,
    name: &QueueName,
    held: &Marked,
    message: Option<&Message>,
    failure: Failure,
) -> Result<(), Error> {
    dead::push(tx, queue, held, State::Dead, &failure.message)?;
    if let Some(m) = message.filter(|m| !m.ignore_result) {
        let now = tx.now();
        let stands = records::written(tx, queue, m.id)?.map(|(record, _)| record);
        let mut record = stands.unwrap_or_else(|| Record::new(m.id, &m.task, name, State::Dead));
        record.state = State::Dead;
        record.error = Some(failure);
        record.attempts = m.retries;
        record.crashes = held.crashes.into();
        record.finished = Some(now);
        record.due = None;
        records::write(tx, queue, &record, now)?;
    }
    Ok(())
}

fn sentence(message: Option<&Message>, reason: &str) -> String {
    match message {
        Some(message) => format!("{} ({}) is DEAD: {reason}", message.task, message.id),
        None => format!("a message that can not be read is DEAD: {reason}"),
    }
}
