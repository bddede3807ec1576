//! Purging a queue.

use taskq_core::{Error, QueueName};

use crate::client::Client;

/// So many at once.
const AT_ONCE: u64 = 999;

impl Client {
    /// Ends all that waits in `queue`, is held back or delayed there when this begins; how many that were.
    ///
    /// They read REVOKED, with the reason that they were purged, and who waits for them is woken. What a worker holds
    /// runs on; the dead set stays. As many go as were there at the beginning: who sends meanwhile can not keep it going
    /// for ever. After an error some are gone; called again, it goes on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use taskq_client::{Client, SendOptions, State};
    /// let client = Client::connect("memory://").await?;
    /// let options = SendOptions::default().queue("reports");
    /// let handle = client.send_by_name("reports.daily", (), (), options).await?;
    ///
    /// assert_eq!(client.purge(handle.queue().unwrap()).await?, 1);
    /// assert_eq!(handle.state().await?, Some(State::Revoked));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the broker can not be reached, or refuses.
    pub async fn purge(&self, queue: &QueueName) -> Result<u64, Error> {
        let depth = self.backend.depth(queue).await?;
        let there = depth.waiting + depth.suspects + depth.delayed;
        let mut purged = 0;
        while purged < there {
            let most = usize::try_from((there - purged).min(AT_ONCE)).unwrap_or(usize::MAX);
            match self.backend.purge(queue, most).await? {
                0 => break,
                gone => purged += gone as u64,
            }
        }
        Ok(purged)
    }
}
