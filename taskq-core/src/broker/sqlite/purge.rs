//! Purging a queue: what waits, is held back or is delayed there is over.

use std::ops::ControlFlow;

use rusqlite::{Row, params};

use super::link::Link;
use super::moves::marked;
use super::place::{Lane, QueueId, waiting};
use super::tx::{Tx, column};
use super::{records, stream};
use crate::broker::RevokeCause;
use crate::broker::marked::Marked;
use crate::error::Error;
use crate::event::Told;
use crate::id::{QueueName, TaskId};
use crate::message::{MAX_BYTES, Message};
use crate::record::Record;
use crate::state::State;

/// One call takes this many at most, and 1 MiB beyond the first.
const MOST: usize = 999;

/// Ends up to `most` messages as REVOKED; how many.
pub(super) async fn purge(link: &Link, queue: &QueueName, most: usize) -> Result<usize, Error> {
    let name = queue.clone();
    let step = move |tx: &mut Tx<'_>| {
        let Some(queue) = tx.known(&name)? else {
            return Ok(0);
        };
        let taken = take(tx, queue, most.min(MOST))?;
        let mut told = Vec::with_capacity(taken.len());
        for message in &taken {
            told.extend(end(tx, queue, &name, message)?);
        }
        tx.counts(queue).total_revoked += taken.len();
        stream::tell(tx, queue, None, &told)?;
        Ok(taken.len())
    };
    link.write(step).await
}

/// Takes out what comes next: held back, waiting, delayed.
fn take(tx: &mut Tx<'_>, queue: QueueId, most: usize) -> Result<Vec<Marked>, Error> {
    let mut taken = Taken {
        most,
        room: MAX_BYTES,
        messages: Vec::new(),
    };
    let (suspects, waiting) = (Lane::suspects(queue).keys(), waiting(queue));
    let ready = "SELECT place, priority, crashes, body FROM ready WHERE place BETWEEN ?1 AND ?2 ORDER BY place LIMIT ?3";
    let drop_ready = "DELETE FROM ready WHERE place = ?1";
    let first = [*suspects.start(), *suspects.end(), taken.left()];
    let n = taken.from(tx, ready, &first, drop_ready)?;
    tx.counts(queue).suspects -= n;
    let next = [*waiting.start(), *waiting.end(), taken.left()];
    let n = taken.from(tx, ready, &next, drop_ready)?;
    tx.counts(queue).waiting -= n;
    let delayed = "SELECT arrival, priority, crashes, body FROM delayed WHERE queue = ?1 ORDER BY due, arrival LIMIT ?2";
    let last = [queue.0, taken.left()];
    let n = taken.from(tx, delayed, &last, "DELETE FROM delayed WHERE arrival = ?1")?;
    tx.counts(queue).delayed -= n;
    Ok(taken.messages)
}

/// What was taken so far, and how much more may be.
struct Taken {
    most: usize,
    room: usize,
    messages: Vec<Marked>,
}

impl Taken {
    /// How many more are taken at most.
    fn left(&self) -> i64 {
        column(self.most.saturating_sub(self.messages.len()) as u64)
    }

    /// Takes what `look` answers, in its order, while there is room; how many.
    fn from(
        &mut self,
        tx: &Tx<'_>,
        look: &str,
        params: &[i64],
        drop: &str,
    ) -> Result<usize, Error> {
        let mut keys = Vec::new();
        let full = tx.each(look, rusqlite::params_from_iter(params), |row| {
            let fits = self.fits(row)?;
            if fits.is_continue() {
                keys.push(row.get::<_, i64>(0)?);
            }
            Ok(fits)
        })?;
        for key in &keys {
            tx.run(drop, params![key])?;
        }
        if full.is_some() {
            self.most = 0;
        }
        Ok(keys.len())
    }

    fn fits(&mut self, row: &Row<'_>) -> rusqlite::Result<ControlFlow<()>> {
        let message = marked(row, 1)?;
        if !self.messages.is_empty() {
            let Some(room) = self.room.checked_sub(message.body.len()) else {
                return Ok(ControlFlow::Break(()));
            };
            self.room = room;
        }
        self.messages.push(message);
        Ok(ControlFlow::Continue(()))
    }
}

/// Writes that it is over, where that is not known; what is told of it.
fn end(
    tx: &mut Tx<'_>,
    queue: QueueId,
    name: &QueueName,
    gone: &Marked,
) -> Result<Option<Told>, Error> {
    let (id, task, message) = match Message::decode(&gone.body) {
        Ok(message) => (message.id, message.task.clone(), Some(message)),
        Err(error) => match error.id.filter(|id| *id != TaskId::NIL) {
            Some(id) => (id, error.task.unwrap_or_default(), None),
            None => return Ok(None),
        },
    };
    let stands = records::written(tx, queue, id)?;
    if stands.as_ref().is_some_and(|(r, _)| r.state.is_final()) {
        return Ok(None);
    }
    let retries = message.as_ref().map_or(0, |m| m.retries);
    if message.is_none_or(|m| !m.ignore_result) {
        let due = stands.as_ref().map_or(0, |(_, until)| records::due(*until));
        let record = Record {
            state: State::Revoked,
            error: RevokeCause::Purged.failure(),
            attempts: retries,
            crashes: gone.crashes.into(),
            finished: Some(tx.now()),
            due: None,
            ..stands.map_or_else(
                || Record::new(id, &task, name, State::Revoked),
                |(record, _)| record,
            )
        };
        records::write(tx, queue, &record, due)?;
    }
    Ok(Some(Told::revoked(id, &task, retries)))
}
