//! Verdicts in: numbered batches, one at a time for each queue, repeated unchanged until they are settled.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::batch::{Barred, Batch};
use super::endpoint::Endpoint;
use super::link::Link;
use super::records::Placed;
use super::session::{At, Seat};
use super::value::{array, number, text};
use crate::broker::{End, Finished, Verdict};
use crate::error::{Error, ErrorKind};
use crate::message::MAX_BYTES;

/// A batch has at most this many verdicts, and at most 1 MiB beyond the first.
const MAX_BATCH: usize = 999;

/// So many answers that make no sense are enough.
const MAX_REFUSALS: u32 = 5;

/// Finishes for one seat.
#[derive(Debug)]
pub(super) struct Finisher {
    seat: Arc<Seat>,
    link: Link,
    /// A batch whose answer is unknown: its caller went away before it was settled.
    unsettled: Option<Batch>,
}

/// How a batch was settled.
enum Settled {
    Applied,
    Lost,
}

impl Finisher {
    pub(super) fn new(seat: Arc<Seat>, link: Link) -> Self {
        Self {
            seat,
            link,
            unsettled: None,
        }
    }

    pub(super) async fn finish(
        &mut self,
        endpoint: &Endpoint,
        verdicts: Vec<Verdict>,
    ) -> Result<Finished, Error> {
        if self.unsettled.is_some() {
            self.settle(endpoint).await?;
        }
        let mut finished = Finished::default();
        let mut rest = verdicts.into_iter().peekable();
        while rest.peek().is_some() {
            let (generation, batch, lost) = self.next_batch(&mut rest);
            finished.lost += lost;
            if batch.is_empty() {
                continue;
            }
            let n = batch.len();
            let Some(batch) =
                Batch::build(endpoint, &self.seat, generation, batch, Barred::default())?
            else {
                finished.lost += n;
                continue;
            };
            self.unsettled = Some(batch);
            match self.settle(endpoint).await? {
                Settled::Applied => finished.applied += n,
                Settled::Lost => finished.lost += n,
            }
        }
        Ok(finished)
    }

    /// The next verdicts that still count, within the bounds of a batch, and how many do not.
    fn next_batch(
        &self,
        rest: &mut std::iter::Peekable<impl Iterator<Item = Verdict>>,
    ) -> (u64, Vec<Verdict>, usize) {
        let state = self.seat.state();
        let session = state.session.as_ref();
        let (mut batch, mut lost, mut room) = (Vec::new(), 0, MAX_BYTES);
        let mut tags = std::collections::HashSet::new();
        while let Some(verdict) = rest.peek() {
            let size = size(verdict);
            if batch.len() == MAX_BATCH || (!batch.is_empty() && size > room) {
                break;
            }
            let Some(verdict) = rest.next() else { break };
            let counts = session.is_some_and(|s| {
                s.generation == verdict.receipt.session && s.out.contains_key(&verdict.receipt.tag)
            });
            if counts && tags.insert(verdict.receipt.tag) {
                room = room.saturating_sub(size);
                batch.push(verdict);
            } else {
                lost += 1;
            }
        }
        (session.map_or(0, |s| s.generation), batch, lost)
    }

    /// Repeats the unsettled batch until the server has answered it or the session is lost.
    async fn settle(&mut self, endpoint: &Endpoint) -> Result<Settled, Error> {
        let (mut wait, mut refusals) = (Duration::from_millis(20), 0);
        loop {
            let Some(batch) = self.unsettled.as_mut() else {
                return Ok(Settled::Applied);
            };
            if !self.seat.holds(batch.generation) {
                self.unsettled = None;
                self.seat.works(At::Finish);
                return Ok(Settled::Lost);
            }
            // Set before the call: if our caller drops us, the copy sent counts as unanswered.
            let repeated = std::mem::replace(&mut batch.unanswered, true);
            let words = match self.link.call(&batch.call).await {
                Ok(value) => array(value).unwrap_or_default(),
                Err(error) => {
                    if error.kind() != ErrorKind::Unreachable {
                        // The server has answered: this copy was refused, not applied.
                        batch.unanswered = repeated;
                        self.refused(error, &mut refusals)?;
                    }
                    self.pause(&mut wait).await;
                    continue;
                }
            };
            batch.unanswered = repeated;
            let number = words.get(1).and_then(number);
            match words.first().and_then(text) {
                Some("OK") => return Ok(self.applied(number)),
                Some("APPLIED") => return Ok(self.applied(None)),
                Some("LOST") => {
                    return Ok(self.lost("the server does not know its claims any more"));
                }
                Some("BADRECORD") if repeated => {
                    return Ok(self.lost(
                        "a record's key has the wrong type, and a copy of the batch is unanswered",
                    ));
                }
                Some("BADRECORD") => {
                    if !self.bury(endpoint, number.unwrap_or(0))? {
                        self.seat.works(At::Finish);
                        return Ok(Settled::Lost);
                    }
                }
                _ => {
                    let error = self.link.odd(words);
                    self.refused(error, &mut refusals)?;
                    self.pause(&mut wait).await;
                }
            }
        }
    }

    /// Trouble that the server has told. What it does not understand again and again no repeat mends: the session is
    /// given up, so that its messages go back, and the error is the answer.
    fn refused(&mut self, error: Error, refusals: &mut u32) -> Result<(), Error> {
        self.seat.troubled(At::Finish, &error);
        if error.kind() == ErrorKind::Protocol {
            *refusals += 1;
        }
        if *refusals < MAX_REFUSALS {
            return Ok(());
        }
        self.lost("its verdicts are refused");
        Err(error)
    }

    async fn pause(&self, wait: &mut Duration) {
        sleep(*wait).await;
        *wait = (*wait * 2).min(Duration::from_secs(1));
    }

    fn applied(&mut self, dropped: Option<u64>) -> Settled {
        self.seat.works(At::Finish);
        let Some(batch) = self.unsettled.take() else {
            return Settled::Applied;
        };
        let broken = {
            let mut state = self.seat.state();
            if let Some(session) = state
                .session
                .as_mut()
                .filter(|s| s.generation == batch.generation)
            {
                session.next_finish += 1;
                for verdict in &batch.verdicts {
                    session.out.remove(&verdict.receipt.tag);
                }
            }
            dropped.is_some_and(|n| n != batch.verdicts.len() as u64)
        };
        if broken {
            tracing::error!(queue = %self.seat.queue, ?dropped, verdicts = batch.verdicts.len(), "a finish dropped other deliveries than its own: please report this");
            self.seat.lose(
                batch.generation,
                "a finish dropped other deliveries than its own",
            );
        }
        Settled::Applied
    }

    fn lost(&mut self, why: &str) -> Settled {
        self.seat.works(At::Finish);
        if let Some(batch) = self.unsettled.take() {
            self.seat.lose(batch.generation, why);
        }
        Settled::Lost
    }

    /// The record of some verdicts can not be written: their key has the wrong type. Nothing of the batch was applied.
    /// These messages go to the dead set, their record under a key of its own. False: the session has ended.
    fn bury(&mut self, endpoint: &Endpoint, key: u64) -> Result<bool, Error> {
        if let Some(batch) = self.unsettled.take() {
            self.unsettled = batch.without_record_at(endpoint, &self.seat, key)?;
        }
        Ok(self.unsettled.is_some())
    }
}

/// The bytes a verdict adds to its batch.
fn size(verdict: &Verdict) -> usize {
    let end = match &verdict.end {
        End::Retry { body, .. } => body.len(),
        End::Dead { reason, .. } => reason.len(),
        End::Done | End::Snooze(_) | End::Return | End::Revoked(_) => 0,
    };
    end + Placed::size(verdict.record.as_ref())
}
