//! Messages in, consumers, and the fleet's cards.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskq_core::broker::{
    Accepted, Broker, Consumer, ConsumerOptions, Control, Due, Inspect, Order, Outgoing, Results,
};
use taskq_core::clock::now_ms;
use taskq_core::fleet::{PublishedTask, WorkerCard};
use taskq_core::{Error, QueueName, Record, State};

use super::consumer::MutantConsumer;
use super::{Flaw, Mutant};

pub(super) const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

impl Mutant {
    /// The batch as the broker gets it.
    async fn bent(&self, queue: &QueueName, batch: &[Outgoing]) -> Result<Vec<Outgoing>, Error> {
        let mut batch = batch.to_vec();
        for out in &mut batch {
            out.body = self.disguised(&out.body);
            match (self.flaw, out.due) {
                (Flaw::WritesNoFirstRecord, _) => out.record = None,
                (Flaw::RecordsTheUntracked, _) if out.record.is_none() => {
                    out.record = Some(Record::new(out.id, "", queue, State::Queued));
                }
                (Flaw::ForgetsWhenSentAgain, _) => {
                    let known = self.inner.record(out.id, Some(queue)).await?;
                    if let (Some(_), Some(first)) = (known, &out.record) {
                        self.notes().instead.insert(out.id, first.clone());
                    }
                }
                (Flaw::IgnoresCountdowns, Due::In(_)) => out.due = Due::Now,
                (Flaw::GoesByTheWallClock, Due::At(at)) => {
                    let wait = at.saturating_sub(now_ms());
                    out.due = Due::In(Duration::from_millis(wait));
                }
                (Flaw::RefusesThePast, Due::At(at)) if at < now_ms() => {
                    return Err(Error::invalid("the eta is past"));
                }
                (Flaw::TellsNoSend, _) => out.event = None,
                (Flaw::ReversesPriorities, _) => out.priority = 9 - out.priority,
                (Flaw::IgnoresPriorities, _) => out.priority = 0,
                _ => {}
            }
        }
        match self.flaw {
            Flaw::LosesTheLastOfABatch => drop(batch.pop()),
            Flaw::LosesOneOfAHundred => batch.retain(|_| {
                let accepted = &mut self.notes().accepted;
                *accepted += 1;
                !accepted.is_multiple_of(100)
            }),
            Flaw::ReversesABatch => batch.reverse(),
            _ => {}
        }
        Ok(batch)
    }

    fn note_sent(&self, queue: &QueueName, batch: &[Outgoing]) {
        let mut notes = self.notes();
        notes.sent_to.insert(queue.clone());
        if self.flaw == Flaw::TakesAMentionForIt {
            notes.sent.extend(batch.iter().map(|out| out.body.clone()));
        }
        let now = notes.now;
        for record in batch.iter().filter_map(|out| out.record.clone()) {
            notes.written.entry(record.id).or_insert((record, now));
        }
    }
}

#[async_trait]
impl Broker for Mutant {
    async fn enqueue(
        &self,
        queue: &QueueName,
        batch: &[Outgoing],
        deadline: Duration,
    ) -> Result<Accepted, Error> {
        self.called("enqueue");
        self.carried(batch);
        let queue = &self.spelled(queue);
        let mut batch = self.bent(queue, batch).await?;
        for out in &mut batch {
            self.bend_key(queue, out).await?;
        }
        match self.flaw {
            Flaw::AcceptsInPart if batch.len() > 999 => {
                self.inner.enqueue(queue, &batch[..999], deadline).await?;
            }
            Flaw::IgnoresTheBytesOfABatch if batch.len() <= 999 => {
                for one in batch.chunks(1) {
                    self.inner.enqueue(queue, one, deadline).await?;
                }
                return Ok(Accepted::default());
            }
            _ => {}
        }
        if let Some(holder) = self.holder(queue, &batch) {
            let duplicates = vec![(0, holder)];
            return Ok(Accepted { duplicates });
        }
        let mut accepted = self.inner.enqueue(queue, &batch, deadline).await?;
        self.note_keys(queue, &batch, &mut accepted);
        self.note_sent(queue, &batch);
        Ok(accepted)
    }

    async fn consume(&self, mut options: ConsumerOptions) -> Result<Arc<dyn Consumer>, Error> {
        self.called("consume");
        for served in &mut options.queues {
            served.queue = self.spelled(&served.queue);
        }
        let asked = options.lease;
        match self.flaw {
            Flaw::ListensAtTheFirstQueueAlone => options.queues.truncate(1),
            Flaw::HalvesTheLease => options.lease /= 2,
            Flaw::IgnoresWeights => options.queues.iter_mut().for_each(|s| s.weight = 1),
            Flaw::IgnoresTheOrder => options.order = Order::Weighted,
            Flaw::OrdersByName => options.queues.sort_by(|a, b| a.queue.cmp(&b.queue)),
            _ => {}
        }
        if self.flaw == Flaw::BeginsWithAResume {
            for served in &options.queues {
                self.inner.resume(&served.queue).await?;
            }
        }
        let heard = options.queues.iter().map(|served| served.queue.clone());
        self.notes().heard_at.extend(heard);
        self.guard(&options).await?;
        let consumer = MutantConsumer::open(self.clone(), options, asked).await?;
        Ok(Arc::new(consumer))
    }

    async fn register(
        &self,
        card: &WorkerCard,
        tasks: &[PublishedTask],
        ttl: Duration,
    ) -> Result<(), Error> {
        self.called("register");
        let (mut card, mut tasks, mut ttl) = (card.clone(), tasks.to_vec(), ttl);
        let known = !self.notes().workers.insert(card.id.clone());
        match self.flaw {
            Flaw::LosesACardsQueues => card.queues.clear(),
            Flaw::RegistersForEver => ttl = YEAR,
            Flaw::RegistersOnce if known => return Ok(()),
            Flaw::KeepsTheFirstPublication => {
                for task in &mut tasks {
                    let mut notes = self.notes();
                    let first = notes.docs.entry(task.name.clone());
                    task.doc.clone_from(first.or_insert(task.doc.clone()));
                }
            }
            _ => {}
        }
        self.inner.register(&card, &tasks, ttl).await
    }

    async fn withdraw(&self, worker: &str) -> Result<(), Error> {
        self.called("withdraw");
        self.notes().withdrawals += 1;
        match self.flaw {
            Flaw::WithdrawsNobody => return Ok(()),
            Flaw::WithdrawsTheNode => {
                let all = self.inner.workers().await?;
                let node = all.iter().find(|c| c.id == worker).map(|c| &c.node);
                for card in all.iter().filter(|c| Some(&c.node) == node) {
                    self.inner.withdraw(&card.id).await?;
                }
            }
            _ => {}
        }
        self.inner.withdraw(worker).await
    }
}
