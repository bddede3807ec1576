//! What a claim was answered, as deliveries.

use bytes::Bytes;
use redis::Value;

use super::session::{Out, Seat};
use super::value::{bytes, number};
use crate::broker::{Delivery, Receipt};
use crate::message::Message;

/// Takes note of a claim that was applied, and makes deliveries of its answer.
pub(super) fn deliveries(
    seat: &Seat,
    generation: u64,
    now: u64,
    mut words: impl Iterator<Item = Value>,
) -> Vec<Delivery> {
    let mut state = seat.state();
    let Some(session) = state
        .session
        .as_mut()
        .filter(|s| s.generation == generation)
    else {
        // Lost meanwhile: the server gives them back with the session.
        return Vec::new();
    };
    session.claimed += 1;
    // What is not known yet is read before they are handed out.
    let revoked = seat.revoked.all().unwrap_or_default();
    let mut deliveries = Vec::new();
    while let (Some(tag), Some(marked)) = (words.next(), words.next()) {
        let (Some(tag), Some(marked)) = (number(&tag), bytes(marked)) else {
            continue;
        };
        let marked = Bytes::from(marked);
        let (priority, crashes) = mark(&marked);
        let body = marked.slice(2.min(marked.len())..);
        let suspect = crashes > 0 && is_on_last_life(&body, crashes);
        let out = Out {
            priority,
            crashes,
            suspect,
        };
        session.out.insert(tag, out);
        deliveries.push(Delivery {
            queue: seat.queue.clone(),
            body,
            priority,
            crashes,
            suspect,
            claimed_at: now,
            lost: session.lost.clone(),
            revoked: revoked.clone(),
            receipt: Receipt {
                session: generation,
                tag,
            },
        });
    }
    deliveries
}

/// Priority and crash count: the two digits before a message.
pub(super) fn mark(marked: &[u8]) -> (u8, u8) {
    let digit = |i: usize| marked.get(i).map_or(0, |b| b.saturating_sub(b'0').min(9));
    (digit(0), digit(1))
}

fn is_on_last_life(body: &[u8], crashes: u8) -> bool {
    let limit =
        Message::decode(body).map_or(crate::message::DEFAULT_MAX_CRASHES, |m| m.crash_limit());
    crashes + 1 >= limit
}
