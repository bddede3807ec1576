//! The dispatcher: signature → message → coalesced enqueue. `Client` and `Context::send` are its two faces.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Backend;
use crate::error::Error;
use crate::id::TaskId;
use crate::signature::Signature;

/// Sends signatures. Cheap to clone; clones share their batches.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    _backend: Arc<dyn Backend>,
    _deadline: Duration,
}

impl Dispatcher {
    /// A dispatcher that gives up on a send after `deadline`.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, deadline: Duration) -> Self {
        Self {
            _backend: backend,
            _deadline: deadline,
        }
    }

    /// Sends one signature.
    ///
    /// # Errors
    /// None yet.
    pub async fn send<R>(&self, signature: Signature<R>) -> Result<TaskId, Error> {
        Ok(signature.task_id())
    }
}
