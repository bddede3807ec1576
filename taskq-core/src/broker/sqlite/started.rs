//! Runs that have begun and are still under way.

use std::sync::Arc;

use super::link::Link;
use super::place::{MAX_TAG, held};
use super::seat::Seat;
use super::{records, session, stream};
use crate::broker::Start;
use crate::broker::outgoing::BATCH_LIMIT;
use crate::error::Error;
use crate::event::Told;

/// Tells that runs have begun, those that are still held.
pub(super) async fn tell(link: &Link, seat: &Arc<Seat>, runs: Vec<Start>) -> Result<(), Error> {
    if runs.len() > BATCH_LIMIT {
        return Err(Error::invalid(format!(
            "{} runs are too many for one call: tell of at most {BATCH_LIMIT} at once",
            runs.len()
        )));
    }
    let Some(ours) = seat.session() else {
        return Ok(());
    };
    let node = seat.node.clone();
    let step = link.write(move |tx| {
        let Some(queue) = session::queue(tx, ours.key)? else {
            return Ok(());
        };
        let now = tx.now();
        let mut told = Vec::new();
        for run in &runs {
            let Some(tag) = tag(run.receipt, ours.generation) else {
                continue;
            };
            let sql = "SELECT 1 FROM held WHERE tag = ?1";
            let there = tx.maybe(sql, [held(ours.key.id, tag)], |_| Ok(()))?;
            if there.is_none() {
                continue;
            }
            if let Some(record) = &run.record {
                records::write(tx, queue, record, now)?;
            }
            told.extend(Told::begins(&run.event));
        }
        stream::tell(tx, queue, Some(&node), &told)
    });
    step.await
}

/// The tag of a delivery that the session of `generation` was given.
pub(super) fn tag(receipt: crate::broker::Receipt, generation: u64) -> Option<i64> {
    let tag = i64::try_from(receipt.tag).ok()?;
    (receipt.session == generation && (1..=MAX_TAG).contains(&tag)).then_some(tag)
}
