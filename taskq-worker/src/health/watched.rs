//! A consumer whose calls are noted: when each loop turned, and how long the broker took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use taskq_core::broker::{Consumer, Delivery, Finished, Served, Start, Swept, Verdict};
use taskq_core::{Error, QueueName};

use super::metrics::{CallMetrics, Calls};
use super::turns::Turns;

/// See the module.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Arc<dyn Consumer>,
    turns: Arc<Turns>,
    calls: Calls,
}

impl Watched {
    pub(super) fn new(inner: Arc<dyn Consumer>, turns: Arc<Turns>, calls: Calls) -> Self {
        Self {
            inner,
            turns,
            calls,
        }
    }
}

/// The answer of a call that is timed.
async fn timed<T>(
    metrics: &CallMetrics,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let began = Instant::now();
    let end = call.await;
    metrics.ended(began.elapsed(), end.is_ok());
    end
}

#[async_trait]
impl Consumer for Watched {
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let end = self.inner.claim(max, wait).await;
        // How long it takes is how long nothing comes.
        match &end {
            Ok(deliveries) => self.calls.sessions.brought(deliveries),
            Err(_) => self.calls.claim.failed(),
        }
        end
    }

    async fn finish(&self, queue: &QueueName, verdicts: Vec<Verdict>) -> Result<Finished, Error> {
        timed(&self.calls.finish, self.inner.finish(queue, verdicts)).await
    }

    async fn started(&self, queue: &QueueName, runs: Vec<Start>) -> Result<(), Error> {
        let _under_way = self.turns.tell.begins();
        timed(&self.calls.started, self.inner.started(queue, runs)).await
    }

    async fn beat(&self) -> Result<(), Error> {
        self.turns.beat.note();
        let end = timed(&self.calls.beat, self.inner.beat()).await;
        if end.is_ok() {
            self.turns.contact.note();
        }
        end
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        self.turns.sweep.note();
        timed(&self.calls.sweep, self.inner.sweep()).await
    }

    async fn retire(&self) -> Result<(), Error> {
        self.inner.retire().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.inner.close().await
    }

    fn lease(&self) -> Duration {
        self.inner.lease()
    }

    async fn attach(&self, served: Served) -> Result<(), Error> {
        self.inner.attach(served).await
    }

    async fn detach(&self, queue: &QueueName) -> Result<bool, Error> {
        self.inner.detach(queue).await
    }
}
