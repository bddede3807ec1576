//! Pauses: a field of the queue's meta hash, which every claim looks at.

use redis::{Value, cmd};

use super::RedisBroker;
use super::scripts;
use super::value::{bytes, number};
use crate::broker::Paused;
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;

/// Who and why, bytes each: they are read at every look at the queue.
const MAX_TEXT: usize = 1024;

pub(super) async fn pause(
    broker: &RedisBroker,
    queue: &QueueName,
    by: &str,
    reason: &str,
) -> Result<(), Error> {
    for (what, text) in [("name of who pauses", by), ("reason", reason)] {
        if text.len() > MAX_TEXT {
            return Err(Error::invalid(format!(
                "the {what} has {} bytes; shorten it to {MAX_TEXT}",
                text.len()
            )));
        }
    }
    // A pause of a queue that nobody uses yet is found by who lists queues.
    let known = broker.endpoint.known([queue]);
    broker.short.call(&known).await?;
    let keys = broker.endpoint.namespace.queue(queue);
    let mut pause = scripts::PAUSE.call([&keys.meta, &keys.resumed]);
    pause
        .arg(broker.endpoint.offset_ms())
        .arg(serde_json::json!({ "by": by, "reason": reason }).to_string());
    broker.short.call(&pause).await.map(drop)
}

pub(super) async fn resume(broker: &RedisBroker, queue: &QueueName) -> Result<bool, Error> {
    let keys = broker.endpoint.namespace.queue(queue);
    let resume = scripts::RESUME.call([&keys.meta, &keys.resumed, &keys.bell, &keys.leases]);
    match number(&broker.short.call(&resume).await?) {
        Some(was) => Ok(was == 1),
        None => Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "the broker at {} does not say whether {queue} was paused",
                broker.endpoint.address
            ),
        )),
    }
}

/// Whether and why a queue is paused. What somebody wrote by hand counts as well, and is shown as the reason.
pub(super) async fn paused(
    broker: &RedisBroker,
    queue: &QueueName,
) -> Result<Option<Paused>, Error> {
    let mut ask = cmd("HGET");
    ask.arg(broker.endpoint.namespace.queue(queue).meta)
        .arg("paused");
    let stored = match broker.short.call(&ask).await? {
        Value::Nil => return Ok(None),
        stored => bytes(stored).unwrap_or_default(),
    };
    Ok(Some(serde_json::from_slice(&stored).unwrap_or_else(|_| {
        Paused {
            by: String::new(),
            reason: String::from_utf8_lossy(&stored).into_owned(),
            since: 0,
        }
    })))
}
