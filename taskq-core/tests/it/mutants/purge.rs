//! How the mutant purges.

use taskq_core::broker::{Control, Inspect, Results};
use taskq_core::{Error, QueueName, Record, State};

use super::{Flaw, Mutant};

impl Mutant {
    pub(super) async fn bent_purge(&self, queue: &QueueName, most: usize) -> Result<usize, Error> {
        let depth = self.inner.depth(queue).await?;
        let foreign = self.notes().foreign;
        let leaves = match self.flaw {
            Flaw::PurgesNothing => true,
            Flaw::PurgesNoDelayed => depth.waiting + depth.suspects == 0,
            Flaw::PurgesNoSuspects => depth.suspects > 0,
            Flaw::PurgesItsOwnAlone => foreign > 0,
            Flaw::PurgesNoPausedQueue => depth.paused.is_some(),
            _ => false,
        };
        if leaves {
            return Ok(0);
        }
        let before = self.known_records().await?;
        match self.flaw {
            Flaw::PurgesWhatIsHeld => {
                let holders = self.notes().consumers.clone();
                for holder in holders {
                    holder.close().await?;
                }
            }
            Flaw::PurgesEveryQueue => {
                for other in self.inner.queues().await? {
                    if other != *queue {
                        self.inner.purge(&other, most).await?;
                    }
                }
            }
            _ => {}
        }
        let most = match self.flaw {
            Flaw::PurgesAll => 999,
            _ => most,
        };
        let mut purged = self.inner.purge(queue, most).await?;
        while self.flaw == Flaw::PurgesAnyNumberOfBytes && purged < most {
            match self.inner.purge(queue, most - purged).await? {
                0 => break,
                more => purged += more,
            }
        }
        let mut notes = self.notes();
        notes.purged = true;
        for record in before {
            match self.flaw {
                Flaw::PurgesWithoutRecord => drop(notes.instead.insert(record.id, record)),
                Flaw::PurgeOverwritesFinals => {
                    let state = State::Revoked;
                    notes.instead.insert(record.id, Record { state, ..record });
                }
                _ => {}
            }
        }
        Ok(purged)
    }

    /// The records of all that calls wrote, as they stand.
    async fn known_records(&self) -> Result<Vec<Record>, Error> {
        let ids: Vec<_> = self.notes().written.keys().copied().collect();
        let mut records = Vec::new();
        for id in ids {
            records.extend(self.inner.record(id, None).await?);
        }
        Ok(records)
    }
}
