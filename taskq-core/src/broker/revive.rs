//! A dead message made ready to run anew: what a replay puts back, in every broker alike.

use bytes::Bytes;

use super::DeadHandle;
use crate::error::{Error, ErrorKind};
use crate::event::Told;
use crate::id::{QueueName, TaskId};
use crate::message::Message;
use crate::record::Record;
use crate::state::State;

/// So many dead messages are replayed or dropped by one call at most.
pub(super) const MOST_AT_ONCE: usize = 999;

/// What goes back into the queue.
#[derive(Debug)]
pub(super) struct Revived {
    pub(super) id: TaskId,
    pub(super) priority: u8,
    pub(super) body: Bytes,
    /// QUEUED; `None` when it is not tracked.
    pub(super) record: Option<Record>,
    pub(super) told: Told,
}

/// The dead message as it is put back at `now` (ms): with all its retries, due at once, without an expiry, sent now.
///
/// # Errors
/// [`ErrorKind::Invalid`], naming it, for what no worker could decode.
pub(super) fn revive(body: &[u8], queue: &QueueName, now: u64) -> Result<Revived, Error> {
    let mut message = Message::decode(body).map_err(|unread| {
        let name = unread.id.map_or_else(
            || format!("a dead message of {} bytes without an id that reads", body.len()),
            |id| format!("the dead message {id}"),
        );
        Error::invalid(format!(
            "{name} in the queue {queue} can not be put back: {unread}; no worker could read it, so drop it, and send \
             the call anew in a form that reads"
        ))
    })?;
    let created = message.enqueued_at.or_else(|| message.id.created_ms());
    message.retries = 0;
    message.eta = None;
    message.expires = None;
    // So that it counts as sent behind what was revoked before, and as no older than its replay.
    message.enqueued_at = Some(now);
    let record = (!message.ignore_result).then(|| Record {
        created,
        ..Record::new(message.id, &message.task, queue, State::Queued)
    });
    let body = message.encode().map_err(|e| {
        let name = message.id;
        Error::new(
            e.kind(),
            format!("the dead message {name} can not be put back: {e}"),
        )
    })?;
    Ok(Revived {
        id: message.id,
        priority: message.priority,
        body: body.into(),
        record,
        told: Told::sent(&message),
    })
}

/// Refuses more than one call takes.
pub(super) fn check_number(dead: &[DeadHandle]) -> Result<(), Error> {
    if dead.len() <= MOST_AT_ONCE {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TooLarge,
        format!(
            "{} dead messages are too many for one call: give at most {MOST_AT_ONCE} at once",
            dead.len()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_is_whole_again_and_the_rest_as_it_was() {
        let body = br#"{"id":"0198c0de-0000-7000-8000-000000000000","task":"t","args":[9007199254740993],"retries":3,"max_retries":3,"eta":7,"expires":8,"priority":4,"tenant":1e400}"#;
        let revived = revive(body, &QueueName::default(), 1_000).unwrap();
        assert_eq!(
            revived.body,
            r#"{"id":"0198c0de-0000-7000-8000-000000000000","task":"t","v":1,"args":[9007199254740993],"max_retries":3,"priority":4,"enqueued_at":1000,"tenant":1e400}"#
        );
        assert_eq!(revived.priority, 4);
        let record = revived.record.unwrap();
        assert_eq!((record.state, record.attempts), (State::Queued, 0));
        assert_eq!(record.created, revived.id.created_ms());
    }

    #[test]
    fn what_does_not_read_is_named() {
        let queue = QueueName::default();
        let known = br#"{"id":"0198c0de-0000-7000-8000-000000000000","task":"t","args":7}"#;
        let error = revive(known, &queue, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.contains("0198c0de-0000-7000-8000-000000000000") && text.contains("`args`"));
        let text = revive(b"no message", &queue, 0).unwrap_err().to_string();
        assert!(
            text.contains("10 bytes") && text.contains("celery"),
            "{text}"
        );
    }
}
