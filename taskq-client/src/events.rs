//! Watching what happens.

use std::time::Duration;

use taskq_core::Error;
use taskq_core::event::{EventPage, EventPosition};

use crate::client::Client;

impl Client {
    /// The events behind `after`, of all queues and workers, some thousand at most. With none there, waits for some for up
    /// to `wait`, and at most 5 s: who watches calls again and again, each time with the position of the last answer.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use std::time::Duration;
    /// use taskq_client::{Client, SendOptions};
    /// use taskq_client::event::EventPosition;
    /// let client = Client::connect("memory://").await?;
    /// client.send_by_name("math.add", (2, 3), (), SendOptions::default()).await?;
    ///
    /// let page = client.events(&EventPosition::oldest(), Duration::ZERO).await?;
    /// assert_eq!(page.events[0].kind(), "task-sent");
    /// let page = client.events(&page.next, Duration::ZERO).await?;
    /// assert!(page.events.is_empty() && !page.missed);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the broker can not be read. The position stays good: the same call may be made again later.
    pub async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        self.backend.events(after, wait).await
    }
}
