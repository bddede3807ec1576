//! The broker as the test's client and worker see it: the memory broker, with an ear at the way in.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use taskq_core::broker::memory::MemoryBroker;
use taskq_core::broker::{Accepted, Backend, Broker, Outgoing, Wraps};
use taskq_core::{Error, ErrorKind, QueueName};

use super::broker::Core;
use super::sent::Sent;

/// What was sent is remembered up to so many; then the oldest are forgotten.
const REMEMBERED: usize = 100_000;

#[derive(Debug)]
pub(super) struct Tap {
    memory: MemoryBroker,
    sent: Mutex<VecDeque<Sent>>,
    /// So many sends more lose their answer.
    deaf: Mutex<usize>,
    /// Who runs what is sent at once.
    inline: Weak<Core>,
}

impl Tap {
    pub(super) fn new(memory: MemoryBroker, inline: Weak<Core>) -> Self {
        Self {
            memory,
            sent: Mutex::default(),
            deaf: Mutex::default(),
            inline,
        }
    }

    pub(super) fn lose_an_answer(&self) {
        *lock(&self.deaf) += 1;
    }

    /// All that was accepted, oldest first.
    pub(super) fn sent(&self) -> Vec<Sent> {
        lock(&self.sent).iter().cloned().collect()
    }

    fn remember(&self, queue: &QueueName, batch: &[Outgoing], accepted: &Accepted) {
        let mut sent = lock(&self.sent);
        for (place, outgoing) in batch.iter().enumerate() {
            if accepted.duplicates.iter().any(|(held, _)| *held == place) {
                continue;
            }
            if let Some(one) = Sent::of(queue, outgoing) {
                sent.push_back(one);
            }
        }
        let beyond = sent.len().saturating_sub(REMEMBERED);
        sent.drain(..beyond);
    }

    fn loses_this_answer(&self) -> bool {
        let mut deaf = lock(&self.deaf);
        let loses = *deaf > 0;
        *deaf = deaf.saturating_sub(1);
        loses
    }
}

#[async_trait]
impl Wraps for Tap {
    fn inner(&self) -> &dyn Backend {
        &self.memory
    }

    async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        deadline: Duration,
    ) -> Result<Accepted, Error> {
        let accepted = self.memory.enqueue(queue, batch, deadline).await?;
        self.remember(queue, batch, &accepted);
        if let Some(core) = self.inline.upgrade()
            && core.inline
        {
            core.run_what_is_due().await;
        }
        if self.loses_this_answer() {
            return Err(Error::new(
                ErrorKind::Unreachable,
                "the test lost the broker's answer: the messages were accepted all the same",
            ));
        }
        Ok(accepted)
    }
}

/// No code that can panic runs under the locks of the kit.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
