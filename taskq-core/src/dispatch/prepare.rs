//! Signature → message on its way, pure: what it says itself, what is published, else the defaults.

use super::Sent;
use super::catalog::Published;
use crate::broker::{Due, Outgoing};
use crate::error::Error;
use crate::event::Told;
use crate::record::Record;
use crate::signature::Signature;
use crate::state::State;

/// A message ready to go, and what its sender will be told.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) sent: Sent,
    pub(super) outgoing: Outgoing,
}

pub(super) fn prepare<R>(
    signature: Signature<R>,
    published: Option<Published>,
    now_ms: u64,
) -> Result<Prepared, Error> {
    if let Some(fault) = signature.fault {
        return Err(fault);
    }
    let mut message = signature.message;
    if message.task.is_empty() {
        return Err(Error::invalid(
            "a call needs the name of a task; this one is empty",
        ));
    }
    let (published_queue, published_ignore) = published.map(|p| (p.queue, p.ignore_result)).unzip();
    let queue = signature.queue.or(published_queue).unwrap_or_default();
    let ignored = signature
        .ignore_result
        .or(published_ignore)
        .unwrap_or(false);
    message.ignore_result = ignored;
    message.enqueued_at = Some(now_ms);
    let record = (!ignored).then(|| {
        let due = due_ms(signature.due, now_ms);
        let state = due.map_or(State::Queued, |_| State::Scheduled);
        Record {
            created: Some(now_ms),
            due,
            ..Record::new(message.id, &message.task, &queue, state)
        }
    });
    let body = message.encode()?.into();
    Ok(Prepared {
        outgoing: Outgoing {
            id: message.id,
            body,
            priority: message.priority,
            due: signature.due,
            record,
            once: None,
            event: Some(Told::sent(&message)),
        },
        sent: Sent {
            id: message.id,
            queue,
            tracked: !ignored,
        },
    })
}

/// When it is due, if that lies ahead. By this machine's clock, for people; the broker's decides when it runs.
fn due_ms(due: Due, now_ms: u64) -> Option<u64> {
    let at = match due {
        Due::Now => return None,
        Due::In(delay) => {
            now_ms.saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
        }
        Due::At(at) => at,
    };
    (at > now_ms).then_some(at)
}
