//! Signature → message on its way, pure: what its caller chose, else what its task says.

use std::time::Duration;

use super::Sent;
use crate::broker::{Due, Outgoing};
use crate::clock::whole_ms;
use crate::error::Error;
use crate::event::Told;
use crate::message::Message;
use crate::record::Record;
use crate::signature::{Expiry, Signature, TaskDefaults};
use crate::state::State;

/// A message ready to go, and what its sender will be told.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) sent: Sent,
    pub(super) outgoing: Outgoing,
}

pub(super) fn prepare<R>(
    signature: Signature<R>,
    task: TaskDefaults,
    now_ms: u64,
) -> Result<Prepared, Error> {
    if let Some(fault) = signature.fault {
        return Err(fault);
    }
    let (mut message, chosen, due) = (signature.message, signature.chosen, signature.due);
    if message.task.is_empty() {
        return Err(Error::invalid(
            "a call needs the name of a task; this one is empty",
        ));
    }
    let ignored = chosen.ignore_result.unwrap_or(task.ignore_result);
    if ignored && chosen.track_started == Some(true) {
        return Err(Error::invalid(format!(
            "{}: `track_started` writes into the record, and `ignore_result` keeps none: choose one",
            message.task
        )));
    }
    let track_started = chosen.track_started.unwrap_or(task.track_started);
    message.ignore_result = ignored;
    message.track_started = track_started && !ignored;
    message.max_crashes = chosen.max_crashes.or(task.max_crashes);
    message.on_crash = chosen.on_crash.unwrap_or(task.on_crash);
    message.priority = chosen.priority.unwrap_or(task.priority);
    message.time_limit = limit_ms(&message.task, "time_limit", chosen.time_limit)?;
    message.soft_time_limit = limit_ms(&message.task, "soft_time_limit", chosen.soft_time_limit)?;
    is_told_in_time(&message, task.time_limit)?;
    message.expires = expires_ms(&message.task, chosen.expires, task.expires, due, now_ms)?;
    message.enqueued_at = Some(now_ms);
    let queue = chosen.queue.unwrap_or(task.queue);
    let due_at = due_ms(due, now_ms).filter(|at| *at > now_ms);
    let record = (!ignored).then(|| {
        let state = due_at.map_or(State::Queued, |_| State::Scheduled);
        Record {
            created: Some(now_ms),
            due: due_at,
            expires: message.expires,
            ..Record::new(message.id, &message.task, &queue, state)
        }
    });
    let body = message.encode()?.into();
    Ok(Prepared {
        outgoing: Outgoing {
            id: message.id,
            body,
            priority: message.priority,
            due,
            record,
            once: chosen.once,
            // The broker is told when it is due, not the message: only the event shows it as Celery does.
            event: Some(Told {
                eta: due_at.or(message.eta),
                ..Told::sent(&message)
            }),
        },
        sent: Sent {
            id: message.id,
            queue,
            tracked: !ignored,
        },
    })
}

fn limit_ms(task: &str, name: &str, limit: Option<Duration>) -> Result<Option<u64>, Error> {
    match limit.map(whole_ms) {
        Some(0) => Err(Error::invalid(format!(
            "{task}: its `{name}` is {:?}, it is at least 1 ms",
            limit.unwrap_or_default()
        ))),
        ms => Ok(ms),
    }
}

/// A soft limit that is not under the hard one would never be told.
fn is_told_in_time(message: &Message, tasks_own: Option<Duration>) -> Result<(), Error> {
    let Some(soft) = message.soft_time_limit else {
        return Ok(());
    };
    let (hard, whose) = match message.time_limit {
        Some(hard) => (hard, "`time_limit`"),
        None => match tasks_own {
            Some(hard) => (whole_ms(hard), "the task's own `time_limit`"),
            None => return Ok(()),
        },
    };
    if soft < hard {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{}: its `soft_time_limit` is {soft} ms, it must be under {whose}, {hard} ms: it would never be told",
        message.task
    )))
}

/// When it expires, if ever; refused if that is not after it is due.
fn expires_ms(
    task: &str,
    chosen: Option<Expiry>,
    tasks_own: Option<Duration>,
    due: Due,
    now_ms: u64,
) -> Result<Option<u64>, Error> {
    let Some(expiry) = chosen.or(tasks_own.map(Expiry::In)) else {
        return Ok(None);
    };
    let at = match expiry {
        Expiry::In(after) => now_ms.saturating_add(whole_ms(after)),
        Expiry::At(at) => at,
    };
    let due = due_ms(due, now_ms);
    if at > due.unwrap_or(now_ms) {
        return Ok(Some(at));
    }
    let whose = match chosen {
        Some(_) => "the call",
        None => "by its task's own `expires` the call",
    };
    let rule = match due {
        Some(due) => format!("is not due before {due}: give it an expiry after that"),
        None => format!("is sent at {now_ms}: it would never run"),
    };
    Err(Error::invalid(format!(
        "{task}: {whose} expires at {at} (ms since the epoch) and {rule}"
    )))
}

/// When it is due, unless at once. By this machine's clock, for people; the broker's decides when it runs.
fn due_ms(due: Due, now_ms: u64) -> Option<u64> {
    match due {
        Due::Now => None,
        Due::In(delay) => Some(now_ms.saturating_add(whole_ms(delay))),
        Due::At(at) => Some(at),
    }
}
