//! What the worker says about its tasks: a span for each, and one line at its end.

use std::time::Duration;

use crate::cutoff::{Cutoff, Stray};
use taskq_core::broker::Delivery;
use taskq_core::message::Undecodable;
use taskq_core::{Failure, Message, QueueName, State};
use tracing::{Span, info, info_span, warn};

/// What a task came to.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) state: State,
    pub(crate) error: Option<Failure>,
    pub(crate) again: Option<Duration>,
    /// How long the function ran, if it did.
    pub(crate) runtime: Option<Duration>,
}

/// The span of one run. It costs nothing while its level is off.
pub(crate) fn span(message: &Message, delivery: &Delivery) -> Span {
    info_span!(
        "task",
        id = %message.id,
        task = message.task,
        queue = %delivery.queue,
        traceparent = message.headers.get("traceparent"),
    )
}

/// The line at a task's end.
pub(crate) fn ended(message: &Message, queue: &QueueName, told: &Told) {
    let Message { id, task, .. } = message;
    // What never ran is told with the attempts before, as in its record.
    let attempt = message
        .retries
        .saturating_add(told.runtime.is_some().into());
    let state = told.state;
    // Whole microseconds: more digits are noise.
    let runtime_ms = told.runtime.unwrap_or_default().as_micros() as f64 / 1e3;
    let error = told
        .error
        .as_ref()
        .map(|e| format!("{}: {}", e.kind, e.message));
    match (&error, told.again) {
        (Some(error), _) if state == State::Revoked => {
            info!(%id, task, %queue, runtime_ms, attempt, %state, error, "{task} {state}: {error}");
        }
        (None, None) if state == State::Revoked => {
            info!(%id, task, %queue, attempt, %state, "{task} {state}, it was not run: its time was over");
        }
        (None, None) => {
            info!(%id, task, %queue, runtime_ms, attempt, %state, "{task} {state} in {runtime_ms:.1} ms");
        }
        (None, Some(wait)) => {
            info!(%id, task, %queue, runtime_ms, attempt, %state, "{task} {state}: it runs in {wait:.1?}");
        }
        (Some(error), Some(wait)) => {
            warn!(%id, task, %queue, runtime_ms, attempt, %state, error, "{task} {state}: attempt {attempt} failed ({error}), the next is in {wait:.1?}");
        }
        (Some(error), None) if told.runtime.is_none() => {
            warn!(%id, task, %queue, runtime_ms, attempt, %state, error, "{task} {state}, it was not run: {error}");
        }
        (Some(error), None) => {
            warn!(%id, task, %queue, runtime_ms, attempt, %state, error, "{task} {state} after attempt {attempt}: {error}");
        }
    }
}

/// The line of a run that is told to end.
pub(crate) fn soft_limit(message: &Message, queue: &QueueName, limit: Duration) {
    let Message { id, task, .. } = message;
    warn!(%id, task, %queue, limit_s = limit.as_secs_f64(), "{task}: its soft time limit, {limit:?}, is over");
}

/// The line of a run that was cut off and goes on.
pub(crate) fn stray(message: &Message, queue: &QueueName, why: Cutoff) {
    let Message { id, task, .. } = message;
    warn!(%id, task, %queue, "{task} goes on although {why}: its slot is free again, and its answer will not count; a worker ends when that lasts longer than its grace");
}

/// The line of one that has ended at last.
pub(crate) fn stray_ended(stray: &Stray) {
    let Message { id, task, .. } = &*stray.message;
    let late = crate::instant::now().saturating_duration_since(stray.since);
    info!(%id, task, queue = %stray.queue, "{task} has ended {late:.1?} after it was cut off");
}

/// The line of a message that can not be read.
pub(crate) fn unreadable(error: &Undecodable, delivery: &Delivery) {
    let id = error.id.map(tracing::field::display);
    warn!(id, task = error.task, queue = %delivery.queue, state = "DEAD", "a message can not be read: {}", error.reason);
}

/// The line of a run that does not count any more.
pub(crate) fn uncounted(message: &Message, delivery: &Delivery) {
    let Message { id, task, .. } = message;
    warn!(%id, task, queue = %delivery.queue, "{task}: this run does not count: another worker has the message or gets it, unless the broker has lost it");
}
