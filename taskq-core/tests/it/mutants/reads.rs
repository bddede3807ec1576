//! What the mutant answers to those who only read.

use std::sync::Arc;
use std::time::Duration;
use taskq_core::revocation::Revocations;

use async_trait::async_trait;
use taskq_core::broker::{
    DeadMessage, DelayedMessage, Depth, Found, Inspect, Results, ServerInfo, Totals, Wanted, Watch,
};
use taskq_core::event::{EventPage, EventPosition};
use taskq_core::fleet::{PublishedTask, WorkerCard};
use taskq_core::{Error, Message, QueueName, Record, State, TaskId};

use super::watch::MutantWatch;
use super::{Flaw, Mutant};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Mutant {
    /// The DEAD record of a message in the dead set.
    async fn dead_record(&self, id: TaskId, queue: &QueueName) -> Result<Option<Record>, Error> {
        let dead = self.inner.dead(queue, 0, 1_000).await?;
        let crashed = dead.iter().filter(|d| d.state == State::Dead);
        let mut ids = crashed.filter_map(|d| Message::decode(&d.body).ok());
        let known = ids.any(|m| m.id == id);
        Ok(known.then(|| Record::new(id, "", queue, State::Dead)))
    }

    /// How long ago a call wrote this record.
    fn age(&self, record: &Record) -> Duration {
        let notes = self.notes();
        let written = notes.written.get(&record.id);
        written.map_or(Duration::ZERO, |(_, at)| notes.now - *at)
    }
}

fn in_state(record: Record, state: State) -> Record {
    Record { state, ..record }
}

#[async_trait]
impl Results for Mutant {
    async fn record(&self, id: TaskId, queue: Option<&QueueName>) -> Result<Option<Record>, Error> {
        self.called("record");
        let queue = queue.map(|q| self.spelled(q));
        if let Some(record) = self.notes().instead.get(&id) {
            return Ok(Some(record.clone()));
        }
        let asked = match self.flaw {
            Flaw::AsksEveryQueue => None,
            Flaw::AsksTheFirstQueueAlone if queue.is_none() => {
                self.inner.queues().await?.into_iter().next()
            }
            _ => queue.clone(),
        };
        let record = self.inner.record(id, asked.as_ref()).await?;
        let anywhere = queue.is_none();
        let queue = queue.unwrap_or_default();
        Ok(match (self.flaw, record) {
            (Flaw::CallsTheUnknownQueued, None) => Some(Record::new(id, "", &queue, State::Queued)),
            (Flaw::KeepsRecordsForEver, None) => {
                let notes = self.notes();
                let kept = notes.written.get(&id).map(|(record, _)| record.clone());
                kept.filter(|r| anywhere || r.queue == queue)
            }
            (Flaw::KeepsResultsForAnHour, Some(r)) if r.state == State::Success => {
                Some(r).filter(|r| self.age(r) <= HOUR)
            }
            (Flaw::ExpiresAtOnce, Some(r)) if r.expires.is_some() => {
                Some(in_state(r, State::Revoked))
            }
            (Flaw::ExpiresNothing, Some(r)) if r.state == State::Revoked => {
                Some(in_state(r, State::Queued))
            }
            (Flaw::ExpiresFinals, Some(r)) if r.expires.is_some_and(|at| at < self.clock_ms()) => {
                Some(in_state(r, State::Revoked))
            }
            (Flaw::ForgetsMarksAfterADay, Some(r)) if self.marked_for(id) > DAY => {
                Some(in_state(r, State::Scheduled))
            }
            (Flaw::KeepsEveryRecordForADay, Some(r)) => Some(r).filter(|r| self.age(r) <= DAY),
            (Flaw::CrashOverwritesFinals, record) => self.dead_record(id, &queue).await?.or(record),
            (_, record) => record,
        })
    }

    async fn watch(&self, wanted: Vec<Wanted>, within: Duration) -> Result<Box<dyn Watch>, Error> {
        self.called("watch");
        Ok(Box::new(MutantWatch::begin(self, wanted, within).await?))
    }
}

#[async_trait]
impl Inspect for Mutant {
    async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        self.called("workers");
        let mut cards = self.inner.workers().await?;
        if self.flaw == Flaw::ListsTheFleetBackwards {
            cards.reverse();
        }
        Ok(cards)
    }

    async fn tasks(&self) -> Result<Vec<PublishedTask>, Error> {
        self.called("tasks");
        let mut tasks = self.inner.tasks().await?;
        match self.flaw {
            Flaw::ListsTheFleetBackwards => tasks.reverse(),
            Flaw::KnowsLiveTasksAlone => tasks.retain(|t| t.live),
            Flaw::CallsEveryTaskLive => tasks.iter_mut().for_each(|t| t.live = true),
            _ => {}
        }
        Ok(tasks)
    }

    async fn task(&self, name: &str) -> Result<Option<PublishedTask>, Error> {
        let tasks = self.tasks().await?;
        Ok(tasks.into_iter().find(|t| t.name == name))
    }

    async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        self.called("queues");
        let mut queues = self.inner.queues().await?;
        match self.flaw {
            Flaw::KnowsSendersAlone => queues.retain(|q| self.notes().sent_to.contains(q)),
            Flaw::KnowsListenersAlone => queues.retain(|q| self.notes().heard_at.contains(q)),
            Flaw::ListsQueuesBackwards => queues.reverse(),
            _ => {}
        }
        Ok(queues)
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, Error> {
        self.called("depth");
        let mut depth = self.inner.depth(&self.spelled(queue)).await?;
        match self.flaw {
            Flaw::CountsSuspectsAsWaiting => depth.waiting += std::mem::take(&mut depth.suspects),
            Flaw::ForgetsTheDelayed => depth.delayed = 0,
            Flaw::ForgetsWhatIsInFlight => depth.in_flight = 0,
            Flaw::TellsNoAge => depth.oldest_ms = None,
            Flaw::CallsTheAgelessNew => depth.oldest_ms = depth.oldest_ms.or(Some(0)),
            Flaw::TellsNoPause => depth.paused = None,
            Flaw::ForgetsWhoPaused => {
                if let Some(paused) = &mut depth.paused {
                    paused.by.clear();
                }
            }
            Flaw::PromotesWhilePaused if depth.paused.is_some() => {
                depth.waiting += std::mem::take(&mut depth.delayed);
            }
            _ => {}
        }
        Ok(depth)
    }

    async fn delayed(&self, queue: &QueueName, limit: usize) -> Result<Vec<DelayedMessage>, Error> {
        self.called("delayed");
        self.bent_delayed(&self.spelled(queue), limit).await
    }

    async fn find(&self, queue: &QueueName, id: TaskId) -> Result<Found, Error> {
        self.called("find");
        self.bent_find(&self.spelled(queue), id).await
    }

    async fn revoked(&self, queue: &QueueName) -> Result<Arc<Revocations>, Error> {
        self.called("revoked");
        match self.flaw {
            Flaw::ListsNoRevocations => Ok(Arc::default()),
            _ => self.inner.revoked(&self.spelled(queue)).await,
        }
    }

    async fn dead(
        &self,
        queue: &QueueName,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<DeadMessage>, Error> {
        self.called("dead");
        let mut all = self.inner.dead(&self.spelled(queue), skip, 1_000).await?;
        match self.flaw {
            Flaw::ListsTheOldestDead => all.reverse(),
            Flaw::KeepsTheDeadForADay => {
                let now = self.clock_ms();
                all.retain(|d| d.at + 24 * 3_600_000 > now);
            }
            Flaw::KeepsNoUndecodableDead => all.retain(|d| Message::decode(&d.body).is_ok()),
            _ => {}
        }
        if self.flaw != Flaw::ListsAllTheDead {
            all.truncate(limit);
        }
        for entry in &mut all {
            entry.body = self.undisguised(&entry.body);
            match self.flaw {
                Flaw::ForgetsTheReason => entry.reason.clear(),
                Flaw::CallsEveryEndDead => entry.state = State::Dead,
                _ => {}
            }
        }
        Ok(all)
    }

    async fn totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        self.called("totals");
        self.bent_totals(&self.spelled(queue)).await
    }

    async fn events(&self, after: &EventPosition, wait: Duration) -> Result<EventPage, Error> {
        self.called("events");
        self.bent_events(after, wait).await
    }

    async fn server(&self) -> Result<ServerInfo, Error> {
        self.called("server");
        let mut info = self.inner.server().await?;
        if self.flaw == Flaw::HasNoName {
            info.name.clear();
        }
        Ok(info)
    }
}
