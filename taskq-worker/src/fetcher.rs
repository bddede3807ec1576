//! The fetcher: free slots → claim → one spawned run per delivery. Nothing is claimed without a free slot.
//!
//! It runs where tasks run: the thread that reads a claim's answer begins the first of them.

use std::sync::Arc;
use std::time::Duration;

use taskq_core::broker::{Consumer, Delivery};
use taskq_core::{Error, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::error::RunError;
use crate::executor::Executor;
use crate::ledger::Ledger;
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
    pub(crate) slots: usize,
    pub(crate) stopping: CancellationToken,
}

impl Fetcher {
    /// Fetches until the worker stops. The claim under way then is waited for, and given back by the executor.
    pub(crate) async fn run(self) -> Result<(), RunError> {
        let free = Arc::new(Semaphore::new(self.slots));
        let mut trouble = Trouble::new("claiming");
        while let Some((slots, room)) = self.permits(&free).await {
            let max = slots.num_permits();
            let _under_way = self.ledger.claims();
            let claim = tokio::time::timeout(WAIT + HUNG, self.consumer.claim(max, WAIT));
            tokio::pin!(claim);
            let claimed = tokio::select! {
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
                    let some = !deliveries.is_empty();
                    self.start(deliveries, slots, room)?;
                    if some {
                        // The runs go first, on this very thread: the next claim wakes the server, and that has the
                        // processor then.
                        tokio::task::yield_now().await;
                    }
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
    async fn permits(
        &self,
        free: &Arc<Semaphore>,
    ) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let both = async {
            let slot = Arc::clone(free).acquire_owned().await.ok()?;
            let room = Arc::clone(self.ledger.room()).acquire_owned().await.ok()?;
            Some((slot, room))
        };
        let (mut slots, mut room) = tokio::select! {
            biased;
            () = self.stopping.cancelled() => return None,
            both = both => both?,
        };
        let cap = if self.slots < HALVED_FROM {
            self.slots
        } else {
            self.slots / 2
        };
        let more = free
            .available_permits()
            .min(self.ledger.room().available_permits())
            .min(cap.min(MOST_PER_CLAIM) - 1);
        let more = u32::try_from(more).unwrap_or(0);
        // Nobody else takes permits while the fetcher runs: what was free a moment ago still is.
        if more > 0
            && let Ok(more_slots) = Arc::clone(free).try_acquire_many_owned(more)
            && let Ok(more_room) = Arc::clone(self.ledger.room()).try_acquire_many_owned(more)
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
