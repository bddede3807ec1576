//! Verdicts as a worker would give them, each with its record where the message can be read.

use std::time::Duration;

use bytes::Bytes;

use crate::broker::{Delivery, End, RevokeCause, Verdict};
use crate::message::Message;
use crate::outcome::Failure;
use crate::record::Record;
use crate::state::State;

/// It is over: SUCCESS, with the result `"done"`.
#[must_use]
pub fn done(delivery: &Delivery) -> Verdict {
    let mut verdict = with_record(delivery, End::Done, State::Success);
    if let Some(record) = &mut verdict.record {
        record.result = serde_json::value::to_raw_value("done").ok();
    }
    verdict
}

/// It failed and runs again after `after` as `body`: RETRY.
#[must_use]
pub fn retry(delivery: &Delivery, after: Duration, body: Bytes) -> Verdict {
    with_record(delivery, End::Retry { after, body }, State::Retry)
}

/// It runs again after `after`, unchanged: SCHEDULED.
#[must_use]
pub fn snooze(delivery: &Delivery, after: Duration) -> Verdict {
    with_record(delivery, End::Snooze(after), State::Scheduled)
}

/// Another shall run it; no record.
#[must_use]
pub fn return_(delivery: &Delivery) -> Verdict {
    untracked(with_record(delivery, End::Return, State::Queued))
}

/// It can not be run: DEAD.
#[must_use]
pub fn dead(delivery: &Delivery, reason: &str) -> Verdict {
    over(delivery, State::Dead, reason)
}

/// It failed for good: FAILURE.
#[must_use]
pub fn failed(delivery: &Delivery, reason: &str) -> Verdict {
    over(delivery, State::Failure, reason)
}

/// It was revoked before it ran: REVOKED.
#[must_use]
pub fn revoked(delivery: &Delivery) -> Verdict {
    let cause = RevokeCause::Requested;
    let mut verdict = with_record(delivery, End::Revoked(cause), State::Revoked);
    if let Some(record) = &mut verdict.record {
        record.error = cause.failure();
    }
    verdict
}

/// The same verdict without its record.
#[must_use]
pub fn untracked(verdict: Verdict) -> Verdict {
    Verdict {
        record: None,
        ..verdict
    }
}

fn over(delivery: &Delivery, state: State, reason: &str) -> Verdict {
    let end = End::Dead {
        state,
        reason: reason.to_owned(),
    };
    let mut verdict = with_record(delivery, end, state);
    if let Some(record) = &mut verdict.record {
        record.error = Some(Failure::new("Conformance", reason));
    }
    verdict
}

fn with_record(delivery: &Delivery, end: End, state: State) -> Verdict {
    let message = Message::decode(&delivery.body).ok();
    let record = message.map(|m| {
        let mut record = Record::new(m.id, &m.task, &delivery.queue, state);
        record.attempts = m.attempt();
        record.crashes = delivery.crashes.into();
        record.finished = state.is_final().then_some(delivery.claimed_at);
        record
    });
    Verdict {
        receipt: delivery.receipt,
        end,
        record,
        event: None,
    }
}
