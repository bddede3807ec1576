//! How the mutant revokes.

use std::sync::Arc;
use std::time::Duration;

use taskq_core::broker::{Control, Delivery, Inspect, Results};
use taskq_core::revocation::{Revocation, Revocations};
use taskq_core::{Error, ErrorKind, Message, QueueName, Record, State, TaskId};

use super::consumer::MutantConsumer;
use super::{Flaw, Mutant};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3_600);

impl Mutant {
    pub(super) async fn bent_revoke(
        &self,
        queue: &QueueName,
        what: &[Revocation],
    ) -> Result<(), Error> {
        self.weigh(what.len());
        match self.flaw {
            Flaw::RevokesNothing => return Ok(()),
            Flaw::RevokesEveryQueue => {
                for other in self.inner.queues().await? {
                    self.inner.revoke(&other, what).await?;
                }
            }
            Flaw::RevokesAnyNumberAtOnce => {
                for some in what.chunks(500) {
                    self.inner.revoke(queue, some).await?;
                }
            }
            _ => {}
        }
        let revoked = self.inner.revoke(queue, what).await;
        let mut notes = self.notes();
        match &revoked {
            Err(e) if e.kind() == ErrorKind::Refused => notes.revoked_too_many = true,
            Err(e)
                if self.flaw == Flaw::RevokesAnyNumberAtOnce && e.kind() == ErrorKind::Invalid =>
            {
                return Ok(());
            }
            _ => {}
        }
        if notes.revoked_too_many && self.flaw == Flaw::TakesAnyNumberOfRevocations {
            return Ok(());
        }
        let now = notes.now;
        let made = what.iter().map(|one| (one.clone(), queue.clone(), now));
        notes.revoked.extend(made);
        revoked
    }

    pub(super) async fn bent_mark(
        &self,
        queue: &QueueName,
        ids: &[TaskId],
    ) -> Result<Vec<TaskId>, Error> {
        if self.flaw == Flaw::MarksNothing {
            return Ok(ids.to_vec());
        }
        if self.flaw == Flaw::MarksWhatIsNotRevoked {
            let all: Vec<_> = ids.iter().copied().map(Revocation::Id).collect();
            self.inner.revoke(queue, &all).await?;
        }
        let marked = self.inner.mark_revoked(queue, ids).await?;
        for &id in ids {
            let stands = self.inner.record(id, Some(queue)).await?;
            let mut notes = self.notes();
            let now = notes.now;
            notes.marked.insert(id, now);
            match (self.flaw, stands) {
                (Flaw::MarksFinals, _) => {
                    let record = Record::new(id, "", queue, State::Revoked);
                    notes.instead.insert(id, record);
                }
                (Flaw::MarksWithoutReason, Some(record)) => {
                    let record = Record {
                        error: None,
                        ..record
                    };
                    notes.instead.insert(id, record);
                }
                _ => {}
            }
        }
        Ok(marked)
    }

    /// How long ago it was marked.
    pub(super) fn marked_for(&self, id: TaskId) -> Duration {
        let notes = self.notes();
        let marked = notes.marked.get(&id).copied();
        marked.map_or(Duration::ZERO, |at| notes.now - at)
    }

    /// Those of `all` that `keeps`; group ones as if they had been made at `at`, if that is said.
    fn rebuilt(
        all: &Revocations,
        at: Option<u64>,
        keeps: impl Fn(&Revocation) -> bool,
    ) -> Arc<Revocations> {
        let mut rebuilt = Revocations::default();
        for one in all.iter().filter(keeps) {
            if let Revocation::Id(id) = &one
                && all.was_told(*id)
            {
                rebuilt.add_told(*id);
            }
            rebuilt.add(one, at.unwrap_or(u64::MAX));
        }
        Arc::new(rebuilt)
    }
}

impl MutantConsumer {
    /// What this delivery says of what is revoked.
    pub(super) fn bent_revoked(&self, delivery: &Delivery) -> Arc<Revocations> {
        let all = delivery.revoked.clone();
        let broker = &self.broker;
        let message = Message::decode(&delivery.body).ok();
        let last = message.as_ref().and_then(|m| {
            let notes = broker.notes();
            notes.written.get(&m.id).map(|(record, _)| record.state)
        });
        match broker.flaw {
            Flaw::RevokesWhatIsReadyAlone if last != Some(State::Queued) => Arc::default(),
            Flaw::ForgetsWhatRanMeanwhile if last == Some(State::Retry) => Arc::default(),
            Flaw::RevokesWhatIsSentLater => Mutant::rebuilt(&all, None, |_| true),
            Flaw::RevokesByTheHeadersName => {
                let Some(message) = message else { return all };
                let named = all.iter().any(|one| match one {
                    Revocation::Header { name, .. } => message.headers.contains_key(&name),
                    _ => false,
                });
                if !named {
                    return all;
                }
                let mut named = Revocations::default();
                named.add(Revocation::Id(message.id), 0);
                Arc::new(named)
            }
            Flaw::ReadsRevocationsOnce => self.own().revoked.get_or_insert(all).clone(),
            Flaw::ForgetsRevocationsOfOthers if self.own().late => Arc::default(),
            Flaw::KeepsRevocationsForEver => {
                let mut all = Revocations::clone(&all);
                for (one, queue, _) in &broker.notes().revoked {
                    if *queue == delivery.queue {
                        all.add(one.clone(), 0);
                    }
                }
                Arc::new(all)
            }
            Flaw::KeepsEveryRevocationForAWeek => {
                let notes = broker.notes();
                let old = |one: &Revocation| {
                    let made = notes.revoked.iter().find(|(other, ..)| other == one);
                    made.is_some_and(|(.., at)| notes.now - *at > WEEK)
                };
                Mutant::rebuilt(&all, Some(0), |one| !old(one))
            }
            Flaw::ForgetsRevocationsWhenFull if broker.notes().revoked_too_many => Arc::default(),
            Flaw::ForgetsWhatWasTold => {
                let mut untold = Revocations::default();
                for one in all.iter() {
                    untold.add(one, 0);
                }
                Arc::new(untold)
            }
            _ => all,
        }
    }
}
