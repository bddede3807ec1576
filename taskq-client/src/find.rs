//! Where one message lies, and how fast its queue moves.

use std::sync::Arc;

use taskq_core::broker::{Found, Totals};
use taskq_core::revocation::Revocations;
use taskq_core::{Error, QueueName, TaskId};

use crate::client::Client;

impl Client {
    /// Looks for the message of `id` in `queue`, tracked or not; bounded as
    /// [`Inspect::find`](taskq_core::broker::Inspect::find) says.
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn find(&self, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
        self.backend.find(queue, id).await
    }

    /// What is revoked at `queue`.
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn revoked(&self, queue: &QueueName) -> Result<Arc<Revocations>, Error> {
        self.backend.revoked(queue).await
    }

    /// What happened at `queue` since it exists.
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        self.backend.totals(queue).await
    }
}
