//! Whether a claim would find anything: asked by reading, so that who has nothing to do locks nobody out.

use std::time::Duration;

use super::super::place::{Lane, QueueId, waiting};
use super::super::session::{self, Key};
use super::super::tx::{View, number};
use crate::error::Error;
use crate::id::QueueName;

/// What a look came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// There may be something.
    pub(super) something: bool,
    /// Otherwise, how long until the first of what is delayed is due.
    pub(super) due_in: Option<Duration>,
}

/// Looks at `queues` for a consumer that has these sessions.
pub(super) fn look(view: &View<'_>, queues: &[QueueName], sessions: &[Key]) -> Result<Seen, Error> {
    let mut permit = None;
    let mut first_due = None;
    for name in queues {
        let sql = "SELECT id FROM queue WHERE name = ?1 AND paused_since IS NULL";
        let open = view.maybe(sql, [name.as_str()], |row| row.get(0).map(QueueId))?;
        let Some(queue) = open else {
            continue;
        };
        let mut something = lies(view, &waiting(queue))?;
        if !something && lies(view, &Lane::suspects(queue).keys())? {
            something = match permit {
                Some(permit) => permit,
                None => *permit.insert(has_permit(view, sessions)?),
            };
        }
        let due = next_due(view, queue)?;
        if something || due.is_some_and(|due| due <= view.now()) {
            return Ok(Seen {
                something: true,
                due_in: None,
            });
        }
        first_due = first_due.into_iter().chain(due).min();
    }
    Ok(Seen {
        something: false,
        due_in: first_due.map(|due| Duration::from_millis(due.saturating_sub(view.now()))),
    })
}

/// Whether none of these sessions holds a suspect.
pub(super) fn has_permit(view: &View<'_>, sessions: &[Key]) -> Result<bool, Error> {
    for key in sessions {
        if session::holds_suspect(view, key.id)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether any message lies at these places.
pub(super) fn lies(view: &View<'_>, places: &std::ops::RangeInclusive<i64>) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM ready WHERE place BETWEEN ?1 AND ?2 LIMIT 1";
    let any = view.maybe(sql, [places.start(), places.end()], |_| Ok(()))?;
    Ok(any.is_some())
}

fn next_due(view: &View<'_>, queue: QueueId) -> Result<Option<u64>, Error> {
    let sql = "SELECT due FROM delayed WHERE queue = ?1 ORDER BY due LIMIT 1";
    view.maybe(sql, [queue.0], |row| row.get(0).map(number))
}

#[cfg(test)]
mod tests {
    use super::super::super::fences::bench;
    use super::*;
    use crate::broker::Due;
    use crate::broker::conformance::Bench;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_look_tells_when_the_first_of_what_is_delayed_is_due() -> Result<(), Error> {
        let (broker, bench) = bench().await;
        for hours in [2, 1, 3] {
            let due = Due::In(HOUR * hours);
            bench.send_due(&Bench::message(0)?, due).await?;
        }
        let queues = [bench.queue.clone()];
        let seen = broker.link.read(move |view| look(view, &queues, &[]));
        let seen = seen.await?;
        let due_in = seen.due_in.unwrap_or_default();
        assert!(!seen.something && due_in > HOUR / 2 && due_in <= HOUR);
        Ok(())
    }
}
