//! The sweeper: gives back what dead workers held.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskq_core::broker::Consumer;

use crate::deadline::within;
use crate::pace::share_of_lease;
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
        let mut trouble = Trouble::new("sweeping");
        loop {
            let share = 0.375 + rand::random::<f64>() / 4.0;
            share_of_lease(&*self.consumer, share, Instant::now()).await;
            match within(HUNG, "sweep", self.consumer.sweep()).await {
                Ok(swept) => {
                    trouble.over();
                    if swept.returned + swept.dead > 0 {
                        tracing::warn!(
                            returned = swept.returned,
                            dead = swept.dead,
                            "a worker is gone; messages given back: {}, DEAD: {}",
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
