//! How many sessions were lost: seen by their deliveries, which all learn of it together.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::IntCounter;
use taskq_core::QueueName;
use taskq_core::broker::Delivery;
use tokio_util::sync::CancellationToken;

/// The sessions that have brought something: one at each queue.
#[derive(Debug)]
pub(super) struct Sessions {
    lost: IntCounter,
    held: Mutex<HashMap<QueueName, CancellationToken>>,
}

impl Sessions {
    pub(super) fn new(lost: IntCounter) -> Self {
        Self {
            lost,
            held: Mutex::default(),
        }
    }

    /// A claim has brought these.
    pub(super) fn brought(&self, deliveries: &[Delivery]) {
        let mut held = self.held();
        for delivery in deliveries {
            match held.get_mut(&delivery.queue) {
                Some(token) if !token.is_cancelled() => {}
                Some(token) => {
                    self.lost.inc();
                    *token = delivery.lost.clone();
                }
                None => {
                    held.insert(delivery.queue.clone(), delivery.lost.clone());
                }
            }
        }
    }

    /// Counts those that were lost by now.
    pub(super) fn look(&self) {
        self.held().retain(|_, token| {
            let lost = token.is_cancelled();
            self.lost.inc_by(lost.into());
            !lost
        });
    }

    fn held(&self) -> MutexGuard<'_, HashMap<QueueName, CancellationToken>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
