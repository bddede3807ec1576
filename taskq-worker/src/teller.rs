//! The teller: tells the broker of runs that are still under way: those of longer tasks, those whose record is to say
//! STARTED, and how far those have got that tell it.
//!
//! A short run costs it nothing but a place in a list: its verdict tells everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use taskq_core::Error;
use taskq_core::broker::Consumer;

use crate::book::Next;
use crate::deadline::within;
use crate::instant;
use crate::ledger::Ledger;
use crate::round::Round;
use crate::trouble::Trouble;

/// A run that lasts so long is told of while it is under way.
const LONG: Duration = Duration::from_millis(100);
/// Rounds for the long ones, and for those that got further, are at least so far apart.
const APART: Duration = Duration::from_millis(50);
/// The most that one round tells of.
const MOST: usize = 999;
/// What ends meanwhile waits so long at most for its verdict.
const LIMIT: Duration = Duration::from_secs(1);

/// Tells for one worker.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) ledger: Arc<Ledger>,
}

impl Teller {
    /// Tells until dropped. What came while a call was under way goes together with the next.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::new("telling what runs");
        let mut last = instant::now();
        loop {
            self.something_to_tell(last + APART).await;
            last = instant::now();
            let since = last.checked_sub(LONG).unwrap_or(last);
            let rounds = self.ledger.untold(since, MOST);
            let told = join_all(rounds.into_iter().map(|round| self.tell(round))).await;
            match told.into_iter().find_map(Result::err) {
                None => trouble.over(),
                Some(error) => tokio::time::sleep(trouble.failed(&error)).await,
            }
        }
    }

    /// Returns when a run is to be told of; if not at once, then not before `paced`.
    async fn something_to_tell(&self, paced: Instant) {
        loop {
            let due = match self.ledger.look() {
                Next::AtOnce => return,
                Next::Later { long, paced: more } => {
                    let long = long.map(|since| since + LONG);
                    // What begins now does not ring, and is a longer one then at the earliest.
                    let look = instant::now() + LONG;
                    let due = [long, more].into_iter().flatten().map(|at| at.max(paced));
                    due.fold(look, Instant::min)
                }
                Next::Nothing => {
                    self.ledger.begun().await;
                    if !self.ledger.any_at_once() {
                        // What began now is a longer one then at the earliest: until then, short runs do not ring.
                        tokio::select! {
                            () = self.ledger.begun() => {}
                            () = tokio::time::sleep(LONG) => {}
                        }
                    }
                    continue;
                }
            };
            if due <= instant::now() {
                return;
            }
            tokio::select! {
                () = self.ledger.begun() => {}
                () = tokio::time::sleep_until(due.into()) => {}
            }
        }
    }

    async fn tell(&self, round: Round) -> Result<(), Error> {
        let call = self.consumer.started(round.queue(), round.starts());
        match within(LIMIT, "started", call).await {
            Ok(()) => {
                round.succeeded();
                Ok(())
            }
            Err(error) => {
                round.failed(error.is_transient());
                Err(error)
            }
        }
    }
}
