//! Messages in: a batch is one step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::link::Link;
use super::tx::Tx;
use super::{moves, once, records, stream};
use crate::broker::marked::Marked;
use crate::broker::{Accepted, Due, Outgoing, outgoing};
use crate::clock::ceil_ms;
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;

/// The first wait before a batch that was undone is tried again; each further one is twice as long.
const PATIENCE: Duration = Duration::from_millis(20);

/// A batch is not tried for longer than this.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// A batch that is given no time is tried once, for this long.
const ONE_TRY: Duration = Duration::from_secs(1);

/// Puts a batch in; while the file is in trouble it is tried again until `deadline` has passed.
pub(super) async fn enqueue(
    link: &Link,
    queue: &QueueName,
    batch: &[Outgoing],
    deadline: Duration,
) -> Result<Accepted, Error> {
    outgoing::check(batch)?;
    once::check(batch)?;
    if batch.is_empty() {
        return Ok(Accepted::default());
    }
    let batch: Arc<[Outgoing]> = batch.into();
    let deadline = match deadline {
        Duration::ZERO => ONE_TRY,
        deadline => deadline.min(LONGEST),
    };
    let until = Instant::now() + deadline;
    let mut wait = PATIENCE;
    let mut last = None;
    loop {
        let (name, again) = (queue.clone(), Arc::clone(&batch));
        let begun = link.begin(move |tx| {
            // Its sender has given up: it shall not find later that it was accepted after all.
            if Instant::now() > until {
                return Err(Error::new(
                    ErrorKind::Unreachable,
                    "its sender has given up",
                ));
            }
            put(tx, &name, &again)
        });
        let Ok(begun) = timeout_at(until, begun).await else {
            return Err(late(link.path(), deadline, last));
        };
        let accepted = match begun {
            // While it is under way it is not begun again: it would be put in twice.
            Ok(mut answer) => match timeout_at(until, link.answered(&mut answer)).await {
                Ok(accepted) => accepted,
                Err(_) => return Err(late(link.path(), deadline, last)),
            },
            Err(error) => Err(error),
        };
        match accepted {
            Err(error) if error.is_transient() && Instant::now() + wait < until => {
                last = Some(error);
                sleep_until(Instant::now() + wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
            answer => return answer,
        }
    }
}

fn put(tx: &mut Tx<'_>, name: &QueueName, batch: &[Outgoing]) -> Result<Accepted, Error> {
    let queue = tx.queue(name)?;
    let now = tx.now();
    let mut accepted = Accepted::default();
    let mut told = Vec::new();
    for (place, out) in batch.iter().enumerate() {
        if let Some(once) = &out.once
            && let Some(holder) = once::take(tx, queue, once, out.id)?
        {
            accepted.duplicates.push((place, holder));
            continue;
        }
        let due = match out.due {
            Due::Now => now,
            Due::In(wait) => now.saturating_add(ceil_ms(wait)),
            Due::At(at) => at,
        };
        if let Some(record) = &out.record {
            let mut record = record.clone();
            record.id = out.id;
            records::begin(tx, queue, &record, due)?;
        }
        let message = Marked {
            body: out.body.clone(),
            priority: out.priority,
            crashes: 0,
        };
        moves::push(tx, queue, &message, due)?;
        tx.counts(queue).total_sent += 1;
        told.extend(out.event.clone());
    }
    stream::tell(tx, queue, None, &told)?;
    Ok(accepted)
}

/// Not taken in time: for what the tries met last, or for what none of them came back from.
fn late(path: &Path, deadline: Duration, last: Option<Error>) -> Error {
    let within = format!("within {:.1} s", deadline.as_secs_f64());
    match last {
        Some(last) => {
            let text = format!("nothing could be sent {within}: {last}");
            Error::new(ErrorKind::Unreachable, text).because(last)
        }
        None => Error::new(
            ErrorKind::Unreachable,
            format!(
                "{} took nothing {within}: is it locked by another program? Then close what holds it open for writing (a copy \
                 under way, a shell with an open transaction). Or does its disk hang?",
                path.display()
            ),
        ),
    }
}
