//! A watch of the mutant.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use taskq_core::broker::{Inspect, Results, Wanted, Watch};
use taskq_core::{Error, Record, State};
use tokio::time::Instant;

use super::broker::YEAR;
use super::{Flaw, Mutant};

const MOST: usize = 10_000;

/// Watches that end sooner than this end ten times as soon: the cases would else be slow for nothing.
const SHORT: Duration = Duration::from_secs(1);

pub(super) struct MutantWatch {
    broker: Mutant,
    inner: Box<dyn Watch>,
    number: usize,
    /// What is not answered yet, as often as it is wanted.
    wanted: Vec<Wanted>,
    until: Instant,
    /// What is answered once more.
    again: VecDeque<Record>,
    /// A `next` is under way, or was when it was dropped.
    asking: bool,
}

impl MutantWatch {
    pub(super) async fn begin(
        broker: &Mutant,
        mut wanted: Vec<Wanted>,
        mut within: Duration,
    ) -> Result<Self, Error> {
        broker.weigh(wanted.len());
        if within < SHORT {
            within /= 10;
        }
        match broker.flaw {
            Flaw::WatchesForEver => within = YEAR,
            Flaw::WatchesAnyNumber => wanted.truncate(MOST),
            Flaw::WatchesTheFirstQueueAlone => {
                let first = broker.inner.queues().await?.into_iter().next();
                for one in &mut wanted {
                    one.queue = one.queue.take().or(first.clone());
                }
            }
            Flaw::WatchesWhatComesAlone => {
                let mut open = Vec::new();
                for one in wanted {
                    let record = broker.inner.record(one.id, one.queue.as_ref()).await?;
                    if !record.is_some_and(|r| r.state.is_final()) {
                        open.push(one);
                    }
                }
                wanted = open;
            }
            _ => {}
        }
        let inner = broker.inner.watch(wanted.clone(), within).await?;
        let mut notes = broker.notes();
        notes.watches += 1;
        let number = notes.watches;
        notes.watched.extend(wanted.iter().map(|w| (w.id, number)));
        Ok(Self {
            broker: broker.clone(),
            inner,
            number,
            wanted,
            until: Instant::now() + within,
            again: VecDeque::new(),
            asking: false,
        })
    }

    /// The broker's next answer; what the moved clock made final included.
    async fn answer(&mut self) -> Result<Option<Record>, Error> {
        loop {
            tokio::select! {
                biased;
                found = self.inner.next() => {
                    let found = found?;
                    if let Some(record) = &found {
                        self.note(record);
                    }
                    return Ok(found);
                }
                () = self.broker.moved.notified() => {}
            }
            let left = self.until.saturating_duration_since(Instant::now());
            self.inner = self.broker.inner.watch(self.wanted.clone(), left).await?;
        }
    }

    fn note(&mut self, record: &Record) {
        let wanted = self.wanted.iter().filter(|w| w.id == record.id).count();
        self.wanted.retain(|w| w.id != record.id);
        let more = match self.broker.flaw {
            Flaw::AnswersTwice => 1,
            Flaw::AnswersEachWanted => wanted.saturating_sub(1),
            _ => 0,
        };
        self.again.extend(std::iter::repeat_n(record.clone(), more));
    }

    fn misses(&self, record: &Record) -> bool {
        match self.broker.flaw {
            Flaw::WatchesSuccessAlone => record.state != State::Success,
            Flaw::WatchesVerdictsAlone => {
                let crashed = |kind: &str| kind == "WorkerCrashed";
                record.error.as_ref().is_some_and(|e| crashed(&e.kind))
            }
            Flaw::WatchesNoExpiry => record.state == State::Revoked,
            Flaw::MarksInSilence => self.broker.notes().marked.contains_key(&record.id),
            Flaw::PurgesInSilence => self.broker.notes().purged,
            Flaw::AnswersTheLastWatch => {
                self.broker.notes().watched.get(&record.id) != Some(&self.number)
            }
            _ => false,
        }
    }

    /// A record in RETRY of what is wanted.
    async fn retried(&mut self) -> Result<Option<Record>, Error> {
        for one in &self.wanted {
            let record = self.broker.inner.record(one.id, one.queue.as_ref()).await?;
            if let Some(record) = record.filter(|r| r.state == State::Retry) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl Watch for MutantWatch {
    async fn next(&mut self) -> Result<Option<Record>, Error> {
        self.broker.called("next");
        if let Some(record) = self.again.pop_front() {
            return Ok(Some(record));
        }
        if self.broker.flaw == Flaw::AnswersRetries
            && let Some(record) = self.retried().await?
        {
            return Ok(Some(record));
        }
        if self.asking && self.broker.flaw == Flaw::LosesADroppedNext {
            drop(self.answer().await?);
        }
        self.asking = true;
        let mut found = self.answer().await?;
        while found.as_ref().is_some_and(|r| self.misses(r)) {
            found = self.answer().await?;
        }
        self.asking = false;
        Ok(found)
    }
}
