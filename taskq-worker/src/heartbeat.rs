//! The heartbeat: keeps the leases, on an OS thread of its own that no task can block.

use std::sync::Arc;
use std::time::Instant;

use taskq_core::broker::Consumer;
use tokio_util::sync::CancellationToken;

use crate::deadline::within;
use crate::error::RunError;
use crate::ledger::Ledger;
use crate::pace::share_of_lease;
use crate::registration::Registration;
use crate::supervisor;
use crate::thread;
use crate::trouble::Trouble;

/// Beats for one worker, and renews its registration beside that.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) registration: Registration,
    pub(crate) ledger: Arc<Ledger>,
}

impl Heartbeat {
    /// Starts the thread; it ends when `end` fires. Both calls of the broker are made from its runtime.
    pub(crate) fn start(
        self,
        end: CancellationToken,
    ) -> impl Future<Output = Result<(), RunError>> + Send + Unpin {
        thread::run("taskq-beat", move || async move {
            let renewals = supervisor::restarted("registration", || {
                let registration = self.registration.clone();
                registration.run(Arc::clone(&self.consumer), Arc::clone(&self.ledger))
            });
            tokio::select! {
                () = end.cancelled() => {}
                () = self.beats() => {}
                () = renewals => {}
            }
            Ok(())
        })
    }

    async fn beats(&self) {
        let mut trouble = Trouble::new("keeping the lease");
        loop {
            let began = Instant::now();
            // Two tries fit into one lease even when the first hangs.
            let limit = self.consumer.lease() * 2 / 5;
            match within(limit, "beat", self.consumer.beat()).await {
                Ok(()) => trouble.over(),
                Err(e) => {
                    trouble.failed(&e);
                }
            }
            share_of_lease(&*self.consumer, 0.2, began).await;
        }
    }
}
