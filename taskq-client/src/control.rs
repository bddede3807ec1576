//! Changing what workers do.

use taskq_core::{Error, QueueName};

use crate::client::Client;

impl Client {
    /// Stops all claims from `queue` until it is resumed, restarts of workers included. What is claimed runs on; sending
    /// goes on. `by` and `reason` are told to those who ask why nothing runs, cut at 1,024 characters.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use taskq_client::{Client, QueueName};
    /// let client = Client::connect("memory://").await?;
    /// let queue: QueueName = "payments".parse()?;
    /// client.pause(&queue, "ana@desk", "the bank is away").await?;
    /// assert_eq!(client.depth(&queue).await?.paused.map(|p| p.reason).as_deref(), Some("the bank is away"));
    /// assert!(client.resume(&queue).await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the broker can not be reached, or refuses it.
    pub async fn pause(&self, queue: &QueueName, by: &str, reason: &str) -> Result<(), Error> {
        self.backend.pause(queue, by, reason).await
    }

    /// Ends a pause; whether there was one.
    ///
    /// # Errors
    /// When the broker can not be reached.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.backend.resume(queue).await
    }
}
