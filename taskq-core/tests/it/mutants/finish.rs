//! How the mutant ends deliveries.

use std::sync::Arc;
use std::time::Duration;

use taskq_core::broker::{Broker, Due, End, Finished, Outgoing, Receipt, Verdict};
use taskq_core::clock::now_ms;
use taskq_core::event::Attempt;
use taskq_core::{Error, Message, QueueName, Record, State, TaskId};

use super::consumer::MutantConsumer;
use super::{Flaw, Mutant};

impl MutantConsumer {
    pub(super) async fn end(
        &self,
        queue: &QueueName,
        mut verdicts: Vec<Verdict>,
    ) -> Result<Finished, Error> {
        let broker = &self.broker;
        let asked = verdicts.len();
        let mut again = Vec::new();
        for verdict in &mut verdicts {
            broker.bend(queue, verdict);
            again.extend(broker.sent_anew(verdict));
        }
        match broker.flaw {
            Flaw::FinishesInPart => verdicts.truncate(5),
            Flaw::KeepsHoldOfWhatIsDone => verdicts.retain(|v| !matches!(v.end, End::Done)),
            _ => {}
        }
        let mut finished = self.apply(queue, &verdicts).await?;
        broker.notes().lost += finished.lost;
        if finished.applied > 0 {
            broker.note_finished(&verdicts);
            broker.inner.enqueue(queue, &again, Duration::ZERO).await?;
        }
        match broker.flaw {
            Flaw::CountsTheLost | Flaw::FinishesInPart | Flaw::KeepsHoldOfWhatIsDone => {
                finished = Finished {
                    applied: asked,
                    lost: 0,
                };
            }
            Flaw::RecordsTheLost if finished.applied == 0 => broker.write_instead(&verdicts),
            Flaw::OverwritesFinals if finished.applied > 0 => broker.write_instead(&verdicts),
            _ => {}
        }
        Ok(finished)
    }

    /// Has the broker end them; each counts where it is held.
    async fn apply(&self, queue: &QueueName, verdicts: &[Verdict]) -> Result<Finished, Error> {
        let mut holders = self.inner();
        if self.broker.flaw == Flaw::FinishesForOthers {
            holders.clone_from(&self.broker.notes().consumers);
        }
        let at_once = match self.broker.flaw {
            Flaw::ReturnsInTheOrderOfTheVerdicts => 1,
            _ => verdicts.len().max(1),
        };
        let mut applied = 0;
        for part in verdicts.chunks(at_once) {
            for holder in &holders {
                match holder.finish(queue, part.to_vec()).await {
                    Ok(finished) => applied += finished.applied,
                    Err(error) if holders.len() == 1 => return Err(error),
                    // It does not listen at this queue.
                    Err(_) => {}
                }
            }
        }
        Ok(Finished {
            applied,
            lost: verdicts.len() - applied,
        })
    }
}

impl Mutant {
    /// The verdict as the broker gets it.
    fn bend(&self, queue: &QueueName, verdict: &mut Verdict) {
        let untracked = verdict.record.is_none();
        if let End::Retry { body, .. } = &mut verdict.end {
            *body = self.disguised(body);
        }
        let begun = self.notes().begun.contains(&verdict.receipt);
        match (self.flaw, &mut verdict.event) {
            (Flaw::TellsTheStartAgain, Some(run)) if begun => run.started = Some(now_ms()),
            (Flaw::TellsTheEndAlone, Some(run)) => (run.received, run.started) = (None, None),
            (Flaw::TellsUntoldVerdicts, run) => {
                let message = self.held_message(verdict.receipt).map(Arc::new);
                *run = run.take().or(message.map(told_of));
            }
            _ => {}
        }
        if self.flaw == Flaw::TellsMarksAgain && matches!(verdict.end, End::Revoked(_)) {
            // Without its record nobody knows that it was told.
            verdict.record = None;
        }
        match (self.flaw, &mut verdict.end) {
            (Flaw::PutsBackWhatIsDone, End::Done) => verdict.end = End::Return,
            (Flaw::KeepsHoldOfWhatIsDone, End::Done) => {
                self.write_instead(std::slice::from_ref(verdict));
            }
            (Flaw::ForgetsResults, End::Done) => {
                if let Some(record) = &mut verdict.record {
                    record.result = None;
                }
            }
            (Flaw::ForgetsTheLastProgress, End::Retry { .. }) => {
                if let Some(record) = &mut verdict.record {
                    record.progress = None;
                }
            }
            (Flaw::RetriesAtOnce, End::Retry { after, .. }) => *after = Duration::ZERO,
            (Flaw::RetriesTheOldForm, End::Retry { after, .. }) => {
                verdict.end = End::Snooze(*after);
            }
            (Flaw::SnoozesNothing, End::Snooze(after)) => *after = Duration::ZERO,
            (Flaw::ReturnsToTheBack, End::Return) => verdict.end = End::Snooze(Duration::ZERO),
            (Flaw::RecordsUntrackedVerdicts, End::Done) if untracked => {
                let id = self.held_message(verdict.receipt).map(|m| m.id);
                verdict.record = id.map(|id| Record::new(id, "", queue, State::Success));
            }
            _ => {}
        }
    }

    /// What is sent as a new message instead of what the verdict says; the old one is done.
    fn sent_anew(&self, verdict: &mut Verdict) -> Option<Outgoing> {
        let held = self.notes().held.get(&verdict.receipt).cloned()?;
        let (priority, due, body) = match (self.flaw, &verdict.end) {
            (Flaw::RetryForgetsCrashes, End::Retry { after, body }) => {
                (held.priority, Due::In(*after), body.clone())
            }
            (Flaw::ReturnsWithoutPriority, End::Return) => (0, Due::Now, held.body),
            (Flaw::ReturnsSuspectsToTheQueue, End::Return) if held.suspect => {
                (held.priority, Due::Now, held.body)
            }
            _ => return None,
        };
        verdict.end = End::Done;
        Some(Outgoing {
            id: Message::decode(&body).map_or(TaskId::NIL, |m| m.id),
            body,
            priority,
            due,
            record: None,
            once: None,
            event: None,
        })
    }

    fn held_message(&self, receipt: Receipt) -> Option<Message> {
        let held = self.notes().held.get(&receipt).cloned()?;
        Message::decode(&held.body).ok()
    }

    fn write_instead(&self, verdicts: &[Verdict]) {
        let mut notes = self.notes();
        for record in verdicts.iter().filter_map(|v| v.record.clone()) {
            notes.instead.insert(record.id, record);
        }
    }

    fn note_finished(&self, verdicts: &[Verdict]) {
        let mut notes = self.notes();
        let now = notes.now;
        for verdict in verdicts {
            notes.held.remove(&verdict.receipt);
            notes.snoozed += u64::from(matches!(verdict.end, End::Snooze(_)));
            notes.returns += usize::from(matches!(verdict.end, End::Return));
            if let Some(record) = verdict.record.clone() {
                notes.written.insert(record.id, (record, now));
            }
        }
    }
}

fn told_of(message: Arc<Message>) -> Attempt {
    Attempt {
        message,
        received: None,
        started: None,
        runtime: None,
        said: None,
        traceback: None,
    }
}
