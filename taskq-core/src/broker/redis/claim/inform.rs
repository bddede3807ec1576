//! What is revoked is read before what it covers is handed out.

use std::sync::Arc;

use super::Claimer;
use crate::broker::Delivery;
use crate::broker::redis::endpoint::Endpoint;
use crate::broker::redis::revoked;
use crate::broker::redis::session::{At, Seat};
use crate::error::Error;

impl Claimer {
    /// Deliveries with what is revoked at their queues, which is read where it has changed. Those of a queue where it can
    /// not be read wait for a later call.
    pub(super) async fn informed(
        &mut self,
        endpoint: &Endpoint,
        seats: &[Arc<Seat>],
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<Delivery>, Error> {
        let stale: Vec<&Arc<Seat>> = seats
            .iter()
            .filter(|seat| seat.revoked.all().is_none())
            .filter(|seat| deliveries.iter().any(|d| d.queue == seat.queue))
            .collect();
        if stale.is_empty() {
            return Ok(deliveries);
        }
        // Our caller may drop us here: what is claimed is kept for its next call.
        let n = deliveries.len();
        let later = std::mem::replace(&mut self.left, deliveries.into());
        self.left.extend(later);
        let asked = stale.iter().map(|seat| (&seat.keys, &seat.revoked));
        let answers = revoked::read(endpoint, &mut self.link, asked).await?;
        for (seat, answer) in stale.iter().zip(answers) {
            if let Err(error) = answer {
                seat.troubled(At::Claim, &error);
            }
        }
        let mut informed = Vec::with_capacity(n);
        for mut delivery in self.left.drain(..n).collect::<Vec<_>>() {
            let seat = stale.iter().find(|seat| seat.queue == delivery.queue);
            match seat.map(|seat| seat.revoked.all()) {
                None => informed.push(delivery),
                Some(Some(all)) => {
                    delivery.revoked = all;
                    informed.push(delivery);
                }
                Some(None) => self.left.push_back(delivery),
            }
        }
        Ok(informed)
    }
}
