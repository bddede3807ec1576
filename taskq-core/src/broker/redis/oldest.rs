//! How long the oldest waiting message has existed.

use redis::{Cmd, cmd};

use super::RedisBroker;
use super::value::{array, bytes, number};
use crate::error::Error;
use crate::message::Message;

impl RedisBroker {
    /// For how long the oldest of the messages at the head of `lists` has existed, in ms.
    ///
    /// Of each list the one that is served next is read, so at most one message of 1 MiB each: it is the oldest of its
    /// list, unless one behind it came back from a retry or a snooze.
    pub(super) async fn oldest_ms<'a>(
        &self,
        lists: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<u64>, Error> {
        let mut asks: Vec<Cmd> = lists
            .into_iter()
            .map(|list| {
                let mut head = cmd("LINDEX");
                head.arg(list).arg(-1);
                head
            })
            .collect();
        if asks.is_empty() {
            return Ok(None);
        }
        asks.push(cmd("TIME"));
        let mut answers = self.short.all(&asks).await?;
        let now = array(answers.pop().unwrap_or(redis::Value::Nil)).unwrap_or_default();
        let [seconds, micros] = now.as_slice() else {
            return Ok(None);
        };
        let server = number(seconds).unwrap_or(0) * 1_000 + number(micros).unwrap_or(0) / 1_000;
        let now = server.saturating_add_signed(self.endpoint.offset_ms());
        let born = answers
            .into_iter()
            .filter_map(bytes)
            .filter_map(|m| born_ms(&m));
        Ok(born.min().map(|born| now.saturating_sub(born)))
    }
}

/// When a message was sent, or its id was made; `None` of one that tells neither.
fn born_ms(marked: &[u8]) -> Option<u64> {
    // In the ready lists bare and marked ones lie side by side.
    let body = match marked {
        [a, b, body @ ..] if a.is_ascii_digit() && b.is_ascii_digit() => body,
        bare => bare,
    };
    let message = Message::decode(body).ok()?;
    message.enqueued_at.or_else(|| message.id.created_ms())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskId;

    #[test]
    fn the_birth_of_a_message_is_read_with_and_without_its_mark() {
        let mut message = Message::new("t");
        let made = message.id.created_ms();
        assert!(made.is_some());
        let wire = message.encode().expect("it is small");
        let marked = [b"30", wire.as_slice()].concat();
        assert_eq!((born_ms(&wire), born_ms(&marked)), (made, made));
        message.enqueued_at = Some(7);
        assert_eq!(born_ms(&message.encode().expect("small")), Some(7));
        message.enqueued_at = None;
        message.id = TaskId::NIL;
        assert_eq!(born_ms(&message.encode().expect("small")), None);
        assert_eq!(born_ms(b"7"), None);
        assert_eq!(born_ms(b""), None);
    }
}
