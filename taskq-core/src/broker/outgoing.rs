//! The bounds of a batch on its way in, for brokers that keep messages themselves.

use super::Outgoing;
use crate::error::{Error, ErrorKind};
use crate::message::MAX_BYTES;

/// At most so many messages go in, or out, by one call.
pub(super) const BATCH_LIMIT: usize = 999;

/// Refuses a batch that is too large, and messages that nobody could read or serve.
pub(super) fn check(batch: &[Outgoing]) -> Result<(), Error> {
    let beyond: usize = batch.iter().skip(1).map(|m| m.body.len()).sum();
    if batch.len() > BATCH_LIMIT || beyond > MAX_BYTES {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "a batch of {} messages with {beyond} bytes beyond the first is too large: send at most {BATCH_LIMIT} messages and {MAX_BYTES} such bytes at once",
                batch.len()
            ),
        ));
    }
    for out in batch {
        if out.priority > 9 {
            return Err(Error::invalid(format!(
                "the priority of message {} is {}, it goes from 0 to 9",
                out.id, out.priority
            )));
        }
        // What is sent is no larger than what can be read.
        if out.body.len() > MAX_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "message {} has {} bytes, the limit is {MAX_BYTES}",
                    out.id,
                    out.body.len()
                ),
            ));
        }
    }
    Ok(())
}
