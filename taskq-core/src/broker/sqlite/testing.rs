//! What only tests do to a broker.

use std::time::Duration;

use bytes::Bytes;

use super::bell::Topic;
use super::tx::column;
use super::{SqliteBroker, moves};
use crate::broker::marked::Marked;
use crate::clock::ceil_ms;
use crate::error::Error;
use crate::id::QueueName;

impl SqliteBroker {
    /// Moves the clock of the file forward, for all that have it open, and has those who wait look again.
    ///
    /// # Errors
    /// The trouble of the file.
    pub async fn advance(&self, by: Duration) -> Result<(), Error> {
        let step = self.link.write(move |tx| {
            let sql = "UPDATE store SET offset_ms = offset_ms + ?1 WHERE one = 1";
            tx.run(sql, [column(ceil_ms(by))])?;
            for topic in [Topic::Work, Topic::News, Topic::Talk] {
                tx.ring(topic);
            }
            Ok(())
        });
        step.await
    }

    /// Puts bytes at the back of a list of `queue` as they are: no record, nothing told, not counted as sent.
    ///
    /// # Errors
    /// The trouble of the file.
    pub async fn push_raw(
        &self,
        queue: &QueueName,
        priority: u8,
        body: impl Into<Bytes>,
    ) -> Result<(), Error> {
        let queue = queue.clone();
        let message = Marked {
            body: body.into(),
            priority: priority.min(9),
            crashes: 0,
        };
        let step = self.link.write(move |tx| {
            let (queue, now) = (tx.queue(&queue)?, tx.now());
            moves::push(tx, queue, &message, now)
        });
        step.await
    }
}
