//! How the mutant takes the start of a run.

use taskq_core::broker::{End, Results, Start};
use taskq_core::clock::now_ms;
use taskq_core::{Error, QueueName, Record, State};

use super::Flaw;
use super::consumer::MutantConsumer;

impl MutantConsumer {
    pub(super) async fn begin(&self, queue: &QueueName, mut runs: Vec<Start>) -> Result<(), Error> {
        for run in &mut runs {
            self.bend_start(queue, run).await?;
        }
        let mut holders = self.inner();
        if self.broker.flaw == Flaw::StartsForOthers {
            holders.clone_from(&self.broker.notes().consumers);
        }
        for holder in holders {
            holder.started(queue, runs.clone()).await?;
        }
        if self.broker.flaw == Flaw::EndsAtTheStart {
            let held = self.broker.notes().held.clone();
            let begun = runs.iter().filter_map(|run| held.get(&run.receipt));
            self.each_end(begun.cloned().collect(), &End::Done).await?;
        }
        Ok(())
    }

    /// The start as the broker gets it.
    async fn bend_start(&self, queue: &QueueName, run: &mut Start) -> Result<(), Error> {
        let first = self.broker.notes().begun.insert(run.receipt);
        let message = run.event.message.clone();
        let write = match self.broker.flaw {
            Flaw::WritesNoStart => {
                run.record = None;
                false
            }
            Flaw::RecordsEveryStart => {
                let record = Record::new(message.id, &message.task, queue, State::Started);
                run.record.get_or_insert(record);
                false
            }
            Flaw::RecordsLostStarts => {
                let notes = self.broker.notes();
                let held = notes.held.get(&run.receipt);
                held.is_some_and(|d| d.lost.is_cancelled())
            }
            Flaw::ForgetsProgress => {
                run.record = run.record.take().map(|r| Record {
                    progress: None,
                    ..r
                });
                false
            }
            Flaw::KeepsTheFirstProgress => {
                run.record = run.record.take().filter(|_| first);
                false
            }
            Flaw::TellsOfProgress => {
                run.event.started = Some(now_ms());
                false
            }
            Flaw::RecordsLostProgress => {
                let notes = self.broker.notes();
                let held = notes.held.get(&run.receipt);
                let progress = run.record.as_ref().is_some_and(|r| r.progress.is_some());
                progress && held.is_some_and(|d| d.lost.is_cancelled())
            }
            Flaw::RecordsLateProgress => !self.broker.notes().held.contains_key(&run.receipt),
            Flaw::StartsOverwriteFinals => {
                let stands = self.broker.inner.record(message.id, Some(queue)).await?;
                stands.is_some_and(|r| r.state.is_final())
            }
            _ => false,
        };
        if let (true, Some(record)) = (write, run.record.clone()) {
            self.broker.notes().instead.insert(message.id, record);
        }
        Ok(())
    }
}
