//! The fetcher: free slots → claim → one spawned run per delivery. Nothing is claimed without a free slot.
//!
//! It runs where tasks run: the thread that reads a claim's answer begins the first of them.

use std::sync::Arc;
use std::time::Duration;

use taskq_core::broker::{Consumer, Delivery};
use taskq_core::{Error, ErrorKind};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::error::RunError;
use crate::executor::Executor;
use crate::ledger::Ledger;
use crate::serving::Serving;
use crate::trouble::Trouble;

/// The most that one claim may ask for.
const MOST_PER_CLAIM: usize = 999;
/// From here up one half of the slots runs while the other is fetched.
const HALVED_FROM: usize = 64;
/// How long a claim waits for messages.
const WAIT: Duration = Duration::from_secs(1);
/// How much longer than that it may take before it counts as hung.
const HUNG: Duration = Duration::from_secs(10);
/// How long the stop waits for the claim under way. What it brings after that goes back when the sessions close.
const LAST_CLAIM: Duration = Duration::from_secs(3);

/// Fetches for one worker.
#[derive(Debug)]
pub(crate) struct Fetcher {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) executor: Arc<Executor>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) serving: Arc<Serving>,
    pub(crate) stopping: CancellationToken,
}

impl Fetcher {
    /// Fetches until the worker stops. The claim under way then is waited for, and given back by the executor.
    pub(crate) async fn run(self) -> Result<(), RunError> {
        let mut trouble = Trouble::new("claiming");
        while let Some((slots, room)) = self.permits().await {
            let max = slots.num_permits();
            let _under_way = self.ledger.claims();
            let claim = tokio::time::timeout(WAIT + HUNG, self.consumer.claim(max, WAIT));
            tokio::pin!(claim);
            let claimed = tokio::select! {
                biased;
                // It asked for more than there are slots now; what it took nevertheless the next one answers. Looked at
                // first: what is sent after the answer to a shrink must not be taken by the claim from before.
                () = self.serving.slots().fewer() => continue,
                claimed = &mut claim => claimed,
                () = self.stopping.cancelled() => {
                    match tokio::time::timeout(LAST_CLAIM, claim).await {
                        Ok(claimed) => claimed,
                        Err(_) => return Ok(()),
                    }
                }
            };
            match claimed.unwrap_or_else(|_| Err(hung())) {
                Ok(deliveries) => {
                    trouble.over();
                    self.start(deliveries, slots, room)?;
                }
                Err(error) => {
                    let pause = trouble.failed(&error);
                    tokio::select! {
                        () = self.stopping.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for a free slot and room in the ledger; takes as many of both as one claim may use. `None`: stopping.
    async fn permits(&self) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let (free, free_room) = (self.serving.slots(), self.ledger.room());
        let both = async {
            let slot = free.one().await?;
            let room = free_room.one().await?;
            Some((slot, room))
        };
        let (mut slots, mut room) = tokio::select! {
            biased;
            () = self.stopping.cancelled() => return None,
            both = both => both?,
        };
        let all = free.total();
        let cap = if all < HALVED_FROM { all } else { all / 2 };
        let more = free
            .free()
            .min(free_room.free())
            .min(cap.clamp(1, MOST_PER_CLAIM) - 1);
        // Nobody else takes permits while the fetcher runs: what was free a moment ago still is, unless there are fewer now.
        if more > 0
            && let Some(more_slots) = free.some(more)
            && let Some(more_room) = free_room.some(more)
        {
            slots.merge(more_slots);
            room.merge(more_room);
        }
        Some((slots, room))
    }

    fn start(
        &self,
        deliveries: Vec<Delivery>,
        mut slots: OwnedSemaphorePermit,
        mut room: OwnedSemaphorePermit,
    ) -> Result<(), RunError> {
        let (asked, got) = (slots.num_permits(), deliveries.len());
        for delivery in deliveries {
            let (Some(slot), Some(room)) = (slots.split(1), room.split(1)) else {
                return Err(RunError::Broker(Error::new(
                    ErrorKind::Protocol,
                    format!("a claim of {asked} messages brought {got}"),
                )));
            };
            let held = self.ledger.enter(&delivery, room, slot);
            let run = Arc::clone(&self.executor).run(delivery, held);
            drop(tokio::spawn(run));
        }
        Ok(())
    }
}

fn hung() -> Error {
    Error::new(
        ErrorKind::Unreachable,
        format!(
            "the broker did not answer a claim within {} s",
            (WAIT + HUNG).as_secs()
        ),
    )
}
