//! What the mutant tells: events and totals.

use std::time::Duration;

use taskq_core::broker::{Inspect, Totals};
use taskq_core::event::{
    Event, EventPage, EventPosition, Fact, TaskEvent, TaskEventKind, WorkerEvent, WorkerEventKind,
};
use taskq_core::{Error, QueueName};

use super::{Flaw, Mutant};

/// Where a page is cut.
const CUT: usize = 500;

impl Mutant {
    pub(super) async fn bent_events(
        &self,
        after: &EventPosition,
        wait: Duration,
    ) -> Result<EventPage, Error> {
        let newest = after == &EventPosition::newest();
        let later = !newest && after != &EventPosition::oldest();
        let mut page = match self.flaw {
            Flaw::ReadsWithoutWaiting => self.inner.events(after, Duration::ZERO).await?,
            Flaw::BeginsWithTheOldest if newest => {
                self.inner.events(&EventPosition::oldest(), wait).await?
            }
            _ => self.inner.events(after, wait).await?,
        };
        page.events.retain_mut(|event| self.tells(event));
        if self.flaw == Flaw::TellsNoReplay && self.notes().replays > 0 {
            let sent = |fact: &Fact| matches!(fact, Fact::Task(t) if t.kind == TaskEventKind::Sent);
            page.events.retain(|event| !sent(&event.fact));
        }
        let lost = self.notes().lost;
        match self.flaw {
            Flaw::TellsLostVerdicts if lost > 0 => page.events.extend(page.events.last().cloned()),
            Flaw::LosesAnEventBetweenPages if later => {
                let first = page.events.len().min(1);
                page.events.drain(..first);
            }
            Flaw::CutsAPage => page.events.truncate(CUT),
            Flaw::TellsNoPlaceOfTheNew if newest => page.next = EventPosition::newest(),
            Flaw::StandsBeforeWhatIsDropped if !newest && page.events.is_empty() => {
                page.next = after.clone();
            }
            Flaw::TellsNothingMissed => page.missed = false,
            Flaw::FindsNoNewQueue => {
                let there = self.inner.queues().await?;
                let mut notes = self.notes();
                let known = notes.read.get_or_insert(there);
                let new = |queue: &QueueName| !known.contains(queue);
                page.events.retain(|e| !e.queue.as_ref().is_some_and(new));
            }
            _ => {}
        }
        Ok(page)
    }

    /// Whether it tells an event, and how.
    fn tells(&self, event: &mut Event) -> bool {
        match &mut event.fact {
            Fact::Task(task) => self.tells_of_task(task),
            Fact::Worker(worker) => self.tells_of_worker(worker),
        }
    }

    fn tells_of_task(&self, task: &mut TaskEvent) -> bool {
        use TaskEventKind::{Failed, Rejected, Retried, Revoked, Succeeded};
        match (self.flaw, task.kind) {
            (Flaw::TellsNoSuccess, Succeeded) | (Flaw::TellsNoRevocation, Revoked) => return false,
            (Flaw::TellsNoCrash, Rejected) => return !task.crashed,
            (Flaw::TellsFailuresWithoutReason, Failed)
            | (Flaw::TellsSnoozesAsRetries, Retried)
            | (Flaw::TellsRejectionsWithoutReason, Rejected) => task.exception = None,
            (Flaw::TellsRetriesAsFailures, Retried) => task.kind = Failed,
            (Flaw::TellsNoRequeue, Rejected) => task.requeued = false,
            (Flaw::TellsEveryReturnAsACrash, Rejected) => task.crashed = true,
            _ => {}
        }
        true
    }

    fn tells_of_worker(&self, worker: &mut WorkerEvent) -> bool {
        match (self.flaw, worker.kind) {
            (Flaw::TellsHeartbeatsAsOnline, WorkerEventKind::Heartbeat) => {
                worker.kind = WorkerEventKind::Online;
            }
            (Flaw::TellsNoLapse, WorkerEventKind::Offline) => return self.notes().withdrawals > 0,
            _ => {}
        }
        true
    }

    pub(super) async fn bent_totals(&self, queue: &QueueName) -> Result<Totals, Error> {
        let mut totals = self.inner.totals(queue).await?;
        let (lost, snoozed, foreign) = {
            let notes = self.notes();
            (notes.lost as u64, notes.snoozed, notes.foreign)
        };
        match self.flaw {
            Flaw::CountsRevokedAsDead => totals.dead += std::mem::take(&mut totals.revoked),
            Flaw::CountsSnoozesAsRetries => totals.retried += snoozed,
            Flaw::CountsOneCrash => totals.crashed = totals.crashed.min(1),
            Flaw::CountsTheLastCrashAsReturned => {
                totals.returned = totals.returned.max(totals.crashed);
            }
            Flaw::CountsReturnsAsCrashes => totals.crashed = totals.crashed.max(totals.returned),
            Flaw::CountsLostVerdicts => totals.succeeded += lost,
            Flaw::CountsNoReplay => totals.sent -= self.notes().replays as u64,
            Flaw::CountsTheForeignAsSent => totals.sent += foreign,
            Flaw::CountsAllQueuesTogether => {
                for other in self.inner.queues().await? {
                    if &other != queue {
                        totals.sent += self.inner.totals(&other).await?.sent;
                    }
                }
            }
            _ => {}
        }
        Ok(totals)
    }
}
