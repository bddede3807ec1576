//! What a consumer says of its deliveries: that runs began, and how they ended.

use std::sync::Arc;

use super::clock::ceil_ms;
use super::records::Records;
use super::store::Store;
use super::stream::Tale;
use crate::broker::marked::Marked;
use crate::broker::{DeadHandle, DeadMessage, End, Finished, RevokeCause, Start, Totals, Verdict};
use crate::event::Told;
use crate::id::QueueName;
use crate::state::State;

impl Store {
    /// Tells that runs have begun, those that are still held.
    pub(super) fn started(
        &mut self,
        consumer: u64,
        node: &Arc<str>,
        name: &QueueName,
        runs: Vec<Start>,
        now: u64,
    ) {
        let Some(mut at) = self.at(name) else {
            return;
        };
        for run in runs {
            let session = at.queue.sessions.get(&consumer);
            if !session.is_some_and(|s| s.held.contains_key(&run.receipt.tag)) {
                continue;
            }
            if let Some(record) = run.record {
                at.write(name, record, now, now);
            }
            if let Some(told) = Told::begins(&run.event) {
                let tale = Tale::Task(Box::new(told), Some(node.clone()));
                at.queue.stream.tell(tale, now);
            }
        }
    }

    pub(super) fn finish(
        &mut self,
        consumer: u64,
        node: &Arc<str>,
        name: &QueueName,
        mut verdicts: Vec<Verdict>,
        now: u64,
    ) -> Finished {
        let mut finished = Finished::default();
        let Some(mut at) = self.at(name) else {
            finished.lost = verdicts.len();
            return finished;
        };
        // In the order of the claims, whatever order the runs ended in.
        verdicts.sort_by_key(|v| v.receipt.tag);
        let mut returned = Vec::new();
        for verdict in verdicts {
            // No tag is given twice, so what another holds, or held before a loss, is not found here.
            let session = at.queue.sessions.get_mut(&consumer);
            let Some(message) = session.and_then(|s| s.release(verdict.receipt.tag)) else {
                finished.lost += 1;
                continue;
            };
            finished.applied += 1;
            at.owed.remove(message.body.len());
            count(&mut at.queue.totals, &verdict.end);
            if let Some(attempt) = &verdict.event
                && !was_told(&at.queue.records, &verdict)
            {
                let told = Told::ended(attempt, &verdict.end);
                let tale = Tale::Task(Box::new(told), Some(node.clone()));
                at.queue.stream.tell(tale, now);
            }
            let mut due = now;
            match verdict.end {
                End::Done | End::Revoked(_) => {}
                End::Retry { after, body } => {
                    due = now.saturating_add(ceil_ms(after));
                    at.owed.add(body.len());
                    at.queue.push(Marked { body, ..message }, due, now);
                }
                End::Snooze(after) => {
                    due = now.saturating_add(ceil_ms(after));
                    at.owed.add(message.body.len());
                    at.queue.push(message, due, now);
                }
                End::Return => {
                    at.owed.add(message.body.len());
                    returned.push(message);
                }
                End::Dead { state, reason } => at.queue.dead.push(DeadMessage {
                    handle: DeadHandle::default(),
                    body: message.body,
                    state,
                    reason,
                    at: now,
                }),
            }
            if let Some(record) = verdict.record {
                at.write(name, record, now, due);
            }
        }
        returned
            .into_iter()
            .rev()
            .for_each(|message| at.queue.put_back(message));
        finished
    }
}

/// Whoever revoked it has written that it is over, and told it: a moment after it was claimed.
fn was_told(records: &Records, verdict: &Verdict) -> bool {
    let revoked = matches!(verdict.end, End::Revoked(RevokeCause::Requested));
    let id = verdict.record.as_ref().map(|r| r.id);
    revoked
        && id
            .and_then(|id| records.written(id))
            .is_some_and(|r| r.state.is_final())
}

fn count(totals: &mut Totals, end: &End) {
    let total = match end {
        End::Done => &mut totals.succeeded,
        End::Retry { .. } => &mut totals.retried,
        // Neither an attempt nor an end.
        End::Snooze(_) => return,
        End::Return => &mut totals.returned,
        End::Dead {
            state: State::Failure,
            ..
        } => &mut totals.failed,
        End::Dead { .. } => &mut totals.dead,
        End::Revoked(_) => &mut totals.revoked,
    };
    *total += 1;
}
