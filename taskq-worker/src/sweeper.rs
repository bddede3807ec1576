//! The sweeper: gives back what dead workers held.

use std::sync::Arc;
use std::time::Duration;

use taskq_core::broker::Consumer;

use crate::deadline::within;
use crate::trouble::Trouble;

/// A sweep that takes longer is given up; the next goes on where it ended.
const HUNG: Duration = Duration::from_secs(30);

/// Sweeps for one worker.
#[derive(Debug, Clone)]
pub(crate) struct Sweeper {
    pub(crate) consumer: Arc<dyn Consumer>,
}

impl Sweeper {
    /// Sweeps twice per lease, with jitter so that a fleet does not sweep in step.
    pub(crate) async fn run(self) {
        let half = self.consumer.lease() / 2;
        let mut trouble = Trouble::new("sweeping");
        loop {
            tokio::time::sleep(half.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
            match within(HUNG, "sweep", self.consumer.sweep()).await {
                Ok(swept) => {
                    trouble.over();
                    if swept.returned + swept.dead > 0 {
                        tracing::warn!(
                            returned = swept.returned,
                            dead = swept.dead,
                            "a worker's lease lapsed: {} messages given back, {} at their crash limit are DEAD",
                            swept.returned,
                            swept.dead
                        );
                    }
                }
                Err(e) => {
                    trouble.failed(&e);
                }
            }
        }
    }
}
