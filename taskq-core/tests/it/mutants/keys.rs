//! Idempotency keys through the mutant.

use std::time::Duration;

use taskq_core::broker::{Accepted, Once, Outgoing, Results};
use taskq_core::{Error, QueueName, TaskId};

use super::broker::YEAR;
use super::{Flaw, Mutant};

impl Mutant {
    /// The key of a message as the broker gets it.
    pub(super) async fn bend_key(
        &self,
        queue: &QueueName,
        out: &mut Outgoing,
    ) -> Result<(), Error> {
        let Some(once) = &mut out.once else {
            return Ok(());
        };
        self.called("key");
        match self.flaw {
            Flaw::IgnoresKeys => out.once = None,
            Flaw::HoldsKeysForEver => once.held_for = YEAR,
            Flaw::TakesAnyKey => {
                once.key.truncate(256);
                once.key
                    .insert_str(0, if once.key.is_empty() { "-" } else { "" });
            }
            Flaw::FreesTheKeyWithItsTask => {
                let holder = self.notes().keys.get(&once.key).map(|held| held.0);
                if let Some(holder) = holder {
                    let record = self.inner.record(holder, Some(queue)).await?;
                    if record.is_some_and(|r| r.state.is_final()) {
                        out.once = None;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Who holds the key of a single message, by the mutant's own rule.
    pub(super) fn holder(&self, queue: &QueueName, batch: &[Outgoing]) -> Option<TaskId> {
        let [
            Outgoing {
                once: Some(once), ..
            },
        ] = batch
        else {
            return None;
        };
        let mut notes = self.notes();
        let now = notes.now;
        let (id, at, until) = notes.keys.get_mut(&once.key).filter(|held| held.2 > now)?;
        match self.flaw {
            Flaw::DuplicatesRenewTheKey => *until = now + once.held_for,
            Flaw::SharesKeysBetweenQueues if &*at != queue => {}
            _ => return None,
        }
        Some(*id)
    }

    pub(super) fn note_keys(&self, queue: &QueueName, batch: &[Outgoing], accepted: &mut Accepted) {
        let mut notes = self.notes();
        let now = notes.now;
        for (place, out) in batch.iter().enumerate() {
            let duplicate = accepted.duplicates.iter().any(|(at, _)| *at == place);
            if let (Some(record), true, Flaw::RecordsDuplicates) =
                (&out.record, duplicate, self.flaw)
            {
                notes.instead.insert(out.id, record.clone());
            }
            if let (Some(Once { key, held_for }), false) = (&out.once, duplicate) {
                let held: (TaskId, QueueName, Duration) = (out.id, queue.clone(), now + *held_for);
                notes.keys.insert(key.clone(), held);
            }
        }
        if self.flaw == Flaw::MiscountsDuplicates {
            for (before, (place, _)) in accepted.duplicates.iter_mut().enumerate() {
                *place -= before;
            }
        }
    }
}
