//! The watchdog: keeps the time limits, on an OS thread of its own that neither a task nor the broker can block.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::RunError;
use crate::instant;
use crate::ledger::Ledger;
use crate::thread;

/// Watches the runs of one worker.
#[derive(Debug)]
pub(crate) struct Watchdog {
    pub(crate) ledger: Arc<Ledger>,
    /// How long a run that was cut off may go on before the worker ends.
    pub(crate) grace: Duration,
}

impl Watchdog {
    /// Starts the thread; it ends when `end` fires, or with [`RunError::Stuck`].
    pub(crate) fn start(
        self,
        end: CancellationToken,
    ) -> impl Future<Output = Result<(), RunError>> + Send + Unpin {
        thread::run("taskq-watchdog", move || async move {
            tokio::select! {
                biased;
                () = end.cancelled() => Ok(()),
                stuck = self.watch() => Err(stuck),
            }
        })
    }

    /// Watches until a run that was cut off has gone on for too long.
    pub(crate) async fn watch(&self) -> RunError {
        loop {
            let now = instant::now();
            self.ledger.step(now);
            if let Some(stray) = self.ledger.stuck(now, self.grace) {
                return RunError::Stuck {
                    task: stray.message.task.clone(),
                    id: stray.message.id,
                    why: stray.why.to_string(),
                    after: self.grace,
                };
            }
            match self.ledger.next_step(self.grace) {
                None => self.ledger.watchdog_rung().await,
                Some(at) => tokio::select! {
                    biased;
                    () = self.ledger.watchdog_rung() => {}
                    () = tokio::time::sleep_until(at.into()) => {}
                },
            }
        }
    }
}
