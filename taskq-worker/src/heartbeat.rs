//! The heartbeat: keeps the leases, on an OS thread of its own that no task can block.

use std::sync::Arc;
use std::time::Duration;

use taskq_core::broker::Consumer;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::deadline::within;
use crate::error::RunError;
use crate::registration::Registration;
use crate::supervisor;
use crate::thread;
use crate::trouble::Trouble;

/// Beats for one worker, and renews its registration beside that.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) registration: Registration,
}

impl Heartbeat {
    /// Starts the thread; it ends when `end` fires. Both calls of the broker are made from its runtime.
    pub(crate) fn start(
        self,
        end: CancellationToken,
    ) -> impl Future<Output = Result<(), RunError>> + Send + Unpin {
        thread::run("taskq-beat", move || async move {
            let renewals =
                supervisor::restarted("registration", || self.registration.clone().run());
            tokio::select! {
                () = end.cancelled() => {}
                () = self.beats() => {}
                () = renewals => {}
            }
            Ok(())
        })
    }

    async fn beats(&self) {
        let lease = self.consumer.lease();
        let mut ticks = tokio::time::interval((lease / 5).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = Trouble::new("keeping the lease");
        loop {
            ticks.tick().await;
            // Two tries fit into one lease even when the first hangs.
            match within(lease * 2 / 5, "beat", self.consumer.beat()).await {
                Ok(()) => trouble.over(),
                Err(e) => {
                    trouble.failed(&e);
                }
            }
        }
    }
}
