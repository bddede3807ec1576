//! Queues that come in addition, and what is owed to those that were left.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Claimer, Round};
use crate::broker::redis::bell;
use crate::broker::redis::endpoint::Endpoint;
use crate::broker::redis::session::{At, Seat};
use crate::error::{Error, ErrorKind};

impl Claimer {
    /// What is owed to queues that were left: the answer of a claim that was broken off, and the end of a session that holds
    /// nothing.
    pub(in crate::broker::redis) async fn part(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
    ) -> Result<(), Error> {
        self.know(seats);
        for (i, seat) in seats.iter().enumerate() {
            if seat.takes() {
                continue;
            }
            match self.part_from(endpoint, seats, i).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Unreachable => return Err(error),
                Err(error) => seat.troubled(At::Claim, &error),
            }
        }
        Ok(())
    }

    async fn part_from(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        i: usize,
    ) -> Result<(), Error> {
        let seat = &seats[i];
        seat.resign_lost(endpoint, &mut self.link).await?;
        // A claim of nothing: what the last one took is answered again, and no late copy of it takes anything any more.
        if seat.owes_an_answer()
            && let Some(planned) = self.claim_of(endpoint, seats, i, 0, false)
        {
            // Refused, it has not answered: what the last one took is still not known.
            let answer = Ok(self.link.call(&planned.call).await?);
            let mut round = Round::default();
            self.read_one(seat, &planned, answer, &mut round);
            self.left.extend(round.deliveries);
        }
        if std::mem::take(&mut self.moods[i]).next_due.is_some() {
            self.link.call(&bell::unwatch(seat)).await?;
        }
        if let Some(close) = seat.close_left(endpoint) {
            self.link.call(&close).await?;
            seat.closed();
        }
        Ok(())
    }

    /// Opens a session for a queue that comes in addition.
    pub(in crate::broker::redis) async fn join(
        &mut self,
        endpoint: &Endpoint,
        seat: &Seat,
        retired: &AtomicBool,
    ) -> Result<(), Error> {
        seat.prepare(endpoint, retired, &mut self.link).await
    }

    /// Leaves the bell of a queue to others: the claim that was broken off may have used a ring up.
    pub(in crate::broker::redis) async fn leave(&mut self, seat: &Seat) -> Result<(), Error> {
        self.link.call(&bell::ring(seat)).await.map(drop)
    }
}
