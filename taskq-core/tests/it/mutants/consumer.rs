//! A consumer of the mutant: claims, leases, sweeps, the end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use taskq_core::broker::{
    Broker, Consumer, ConsumerOptions, Control, Delivery, End, Finished, Inspect, Served, Start,
    Swept, Verdict,
};
use taskq_core::revocation::Revocations;
use taskq_core::{Error, Message, QueueName};
use tokio_util::sync::CancellationToken;

use super::{Flaw, Mutant};

/// A claim waits by turns of the executor: each stands for so many milliseconds.
const TURN_MS: u128 = 10;

/// One call carries so many messages.
const BATCH_LIMIT: usize = 999;

#[derive(Debug)]
pub(super) struct MutantConsumer {
    pub(super) broker: Mutant,
    options: ConsumerOptions,
    /// The lease that was asked for.
    asked: Duration,
    number: usize,
    opened: Duration,
    turn: AtomicUsize,
    own: Mutex<Own>,
}

/// What one consumer remembers.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Something had been revoked when it was opened.
    pub(super) late: bool,
    /// What was revoked when it claimed first.
    pub(super) revoked: Option<Arc<Revocations>>,
    /// Its consumers at the broker: one, or one per queue or suspect where the flaw needs it.
    inner: Vec<Arc<dyn Consumer>>,
    /// All it was ever given.
    mine: Vec<Delivery>,
    /// When it was opened, or beat last.
    beat: Duration,
    retired: bool,
    /// The stop has begun.
    stopping: bool,
    /// A queue was left.
    detached: bool,
    attached: BTreeSet<QueueName>,
    left: BTreeSet<QueueName>,
}

/// What had happened when a claim began.
struct Since {
    now: Duration,
    returns: usize,
    resumes: usize,
    replays: usize,
}

impl Since {
    fn now(broker: &Mutant) -> Self {
        let notes = broker.notes();
        Self {
            now: notes.now,
            returns: notes.returns,
            resumes: notes.resumes,
            replays: notes.replays,
        }
    }
}

impl MutantConsumer {
    pub(super) async fn open(
        broker: Mutant,
        options: ConsumerOptions,
        asked: Duration,
    ) -> Result<Self, Error> {
        let opened = broker.now();
        let number = broker.notes().consumers.len();
        let mut own = Own {
            beat: opened,
            late: !broker.notes().revoked.is_empty(),
            ..Own::default()
        };
        let apart = matches!(
            broker.flaw,
            Flaw::AsksOneQueuePerClaim
                | Flaw::AsksInAFixedOrder
                | Flaw::AllowsASuspectPerQueue
                | Flaw::IgnoresWeightsOfSmallClaims
                | Flaw::MakesUpForTheEmpty
                | Flaw::LeavesTheLaterNothing
        );
        if apart {
            for queue in options.queues.chunks(1) {
                own.inner.push(open_at(&broker, queue, &options).await?);
            }
        } else {
            let inner = open_at(&broker, &options.queues, &options).await?;
            own.inner.push(inner);
        }
        Ok(Self {
            broker,
            options,
            asked,
            number,
            opened,
            turn: AtomicUsize::new(0),
            own: Mutex::new(own),
        })
    }

    pub(super) fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn inner(&self) -> Vec<Arc<dyn Consumer>> {
        self.own().inner.clone()
    }

    /// The consumers that this claim asks, in order.
    fn asked_now(&self) -> Vec<Arc<dyn Consumer>> {
        let mut inner = self.inner();
        if self.broker.flaw == Flaw::MakesUpForTheEmpty {
            let mine = self.own().mine.clone();
            let place = |inner: &Arc<dyn Consumer>| inner_place(&self.inner(), inner);
            let queue = |at: usize| &self.options.queues[at].queue;
            let given = |at: usize| mine.iter().filter(|d| d.queue == *queue(at)).count();
            inner.sort_by_key(|inner| place(inner).map(given));
        } else if !matches!(
            self.broker.flaw,
            Flaw::AsksInAFixedOrder | Flaw::LeavesTheLaterNothing
        ) {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % inner.len();
            inner.rotate_left(turn);
        }
        if self.broker.flaw == Flaw::AsksOneQueuePerClaim {
            inner.truncate(1);
        }
        inner
    }

    /// Looks once, without waiting.
    async fn look(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let max = match self.broker.flaw {
            Flaw::ClaimsOneMore if max > 0 => max + 1,
            _ => max,
        };
        let mut got = Vec::new();
        for inner in self.asked_now() {
            let room = match self.broker.flaw {
                Flaw::LeavesTheLaterNothing if !got.is_empty() => 0,
                Flaw::KeepsTheSharesOfTheEmpty => max.div_ceil(self.options.queues.len()),
                _ => max - got.len(),
            };
            got.extend(inner.claim(room, Duration::ZERO).await?);
            while self.broker.flaw == Flaw::IgnoresTheBytesOfAClaim && got.len() < max {
                let more = inner.claim(max - got.len(), Duration::ZERO).await?;
                if more.is_empty() {
                    break;
                }
                got.extend(more);
            }
        }
        if self.broker.flaw == Flaw::ForgetsSuspectsInAPause && got.is_empty() && max > 0 {
            let queue = &self.options.queues[0].queue;
            let depth = self.broker.inner.depth(queue).await?;
            if let (Some(paused), true) = (depth.paused, depth.suspects > 0) {
                self.broker.inner.resume(queue).await?;
                got = self.inner()[0].claim(1, Duration::ZERO).await?;
                let (by, reason) = (&paused.by, &paused.reason);
                self.broker.inner.pause(queue, by, reason).await?;
            }
        }
        let beside = match self.broker.flaw {
            Flaw::RunsSuspectsSideBySide => 1,
            Flaw::RunsManySuspectsSideBySide => 5,
            _ => u64::MAX,
        };
        while got.len() < max {
            let queue = &self.options.queues[0].queue;
            if self.broker.inner.depth(queue).await?.suspects < beside {
                break;
            }
            let another = open_at(&self.broker, &self.options.queues, &self.options).await?;
            let more = another.claim(max - got.len(), Duration::ZERO).await?;
            self.own().inner.push(another);
            got.extend(more);
        }
        self.bend(got, max).await
    }

    /// The deliveries as the case gets them.
    async fn bend(&self, mut got: Vec<Delivery>, max: usize) -> Result<Vec<Delivery>, Error> {
        let flaw = self.broker.flaw;
        for delivery in &mut got {
            delivery.body = self.broker.undisguised(&delivery.body);
            delivery.revoked = self.bent_revoked(delivery);
            match flaw {
                Flaw::KeepsALossSecret => delivery.lost = CancellationToken::new(),
                Flaw::ForgetsCrashes => delivery.crashes = 0,
                Flaw::CrashLosesPriority if delivery.crashes > 0 => delivery.priority = 0,
                Flaw::ReversesPriorities => delivery.priority = 9 - delivery.priority,
                Flaw::ReplayKeepsCrashes if self.broker.notes().replays > 0 => delivery.crashes = 1,
                Flaw::NamesNoSuspect => delivery.suspect = false,
                Flaw::RewritesMessages => {
                    if let Ok(message) = Message::decode(&delivery.body) {
                        delivery.body = message.encode()?.into();
                    }
                }
                _ => {}
            }
        }
        match flaw {
            Flaw::ReversesAClaim => got.reverse(),
            Flaw::HidesTheUndecodable => got.retain(|d| Message::decode(&d.body).is_ok()),
            Flaw::HandsOneToTwo => {
                let mut notes = self.broker.notes();
                match notes.again.take() {
                    Some((again, other)) if got.len() < max && other != self.number => {
                        got.push(again);
                    }
                    _ => notes.again = got.last().map(|d| (d.clone(), self.number)),
                }
            }
            Flaw::LosesADroppedClaim => turns(3).await,
            Flaw::DropsTheExpired => {
                let now = self.broker.clock_ms();
                let expires = |d: &Delivery| Message::decode(&d.body).ok()?.expires;
                got.retain(|d| expires(d).is_none_or(|at| at > now));
            }
            Flaw::KeepsTheSuspectsPlace
            | Flaw::KeepsTheLostSuspectsPlace
            | Flaw::AsksInAFixedOrder => {
                let mine = self.own().mine.clone();
                let taken = mine.iter().filter(|d| d.suspect).any(|d| match flaw {
                    Flaw::KeepsTheLostSuspectsPlace => d.lost.is_cancelled(),
                    // One consumer for each queue stands for one that runs one suspect over all.
                    Flaw::AsksInAFixedOrder => self.broker.notes().held.contains_key(&d.receipt),
                    _ => true,
                });
                let (back, rest) = got.into_iter().partition(|d| d.suspect && taken);
                got = rest;
                self.each_end(back, &End::Return).await?;
            }
            _ => {}
        }
        let all = got.iter().map(|d| (d.receipt, d.clone()));
        self.broker.notes().held.extend(all);
        self.own().mine.extend(got.iter().cloned());
        Ok(got)
    }

    /// Ends deliveries at the broker behind the case's back.
    pub(super) async fn each_end(&self, deliveries: Vec<Delivery>, end: &End) -> Result<(), Error> {
        for Served { queue, .. } in &self.options.queues {
            let here = deliveries.iter().filter(|d| &d.queue == queue);
            let verdicts = here.map(|d| verdict(d, end)).collect();
            for inner in self.inner() {
                inner.finish(queue, Vec::clone(&verdicts)).await?;
            }
        }
        Ok(())
    }

    /// Whether a claim that began at `then` misses what happened since.
    fn sleeps_through(&self, then: &Since) -> bool {
        let notes = self.broker.notes();
        match self.broker.flaw {
            Flaw::SleepsThroughWhatBecomesDue => notes.now != then.now,
            Flaw::SleepsThroughReturns => notes.returns != then.returns,
            Flaw::SleepsThroughAResume => notes.resumes != then.resumes,
            Flaw::SleepsThroughAReplay => notes.replays != then.replays,
            _ => false,
        }
    }

    /// Has consumers that may always judge the others do so.
    async fn sweep_by_wardens(&self) -> Result<Swept, Error> {
        let wardens: Vec<_> = self.broker.notes().wardens.values().cloned().collect();
        let mut all = Swept::default();
        for warden in wardens {
            let swept = warden.sweep().await?;
            all.returned += swept.returned;
            all.dead += swept.dead;
        }
        Ok(all)
    }

    /// Ends `n` of what lies in front.
    async fn end_the_first(&self, n: usize, end: &End) -> Result<(), Error> {
        for queue in self.options.queues.chunks(1) {
            let helper = open_at(&self.broker, queue, &self.options).await?;
            let mut left = n;
            while left > 0 {
                let got = helper.claim(left.min(BATCH_LIMIT), Duration::ZERO).await?;
                if got.is_empty() {
                    break;
                }
                left -= got.len();
                let verdicts = got.iter().map(|d| verdict(d, end)).collect();
                helper.finish(&queue[0].queue, verdicts).await?;
            }
            helper.close().await?;
        }
        Ok(())
    }
}

fn inner_place(all: &[Arc<dyn Consumer>], one: &Arc<dyn Consumer>) -> Option<usize> {
    all.iter().position(|other| Arc::ptr_eq(other, one))
}

async fn open_at(
    broker: &Mutant,
    queues: &[Served],
    options: &ConsumerOptions,
) -> Result<Arc<dyn Consumer>, Error> {
    let options = ConsumerOptions {
        queues: queues.to_vec(),
        ..options.clone()
    };
    let consumer = broker.inner.consume(options).await?;
    broker.notes().consumers.push(consumer.clone());
    Ok(consumer)
}

fn verdict(delivery: &Delivery, end: &End) -> Verdict {
    Verdict {
        receipt: delivery.receipt,
        end: end.clone(),
        record: None,
        event: None,
    }
}

async fn turns(n: usize) {
    for _ in 0..n {
        let mut there = false;
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut there, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

#[async_trait]
impl Consumer for MutantConsumer {
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        self.broker.called("claim");
        let wait = wait.min(Duration::from_secs(1)).as_millis() / TURN_MS;
        let wait = match self.broker.flaw {
            Flaw::WaitsForEver if wait > 0 => usize::MAX,
            Flaw::DoesNotWait => 0,
            _ => usize::try_from(wait).unwrap_or(0),
        };
        let lost = |d: &Delivery| d.lost.is_cancelled();
        let ended = match self.broker.flaw {
            Flaw::NeverBeginsAnew => self.own().mine.iter().any(lost),
            _ => self.own().retired,
        };
        if ended {
            return Ok(Vec::new());
        }
        let then = Since::now(&self.broker);
        let mut got = self.look(max).await?;
        let mut turn = 0;
        while got.is_empty() && turn < wait && !self.sleeps_through(&then) {
            turns(1).await;
            turn += 1;
            if !self.sleeps_through(&then) {
                got = self.look(max).await?;
            }
        }
        Ok(got)
    }

    async fn finish(&self, queue: &QueueName, verdicts: Vec<Verdict>) -> Result<Finished, Error> {
        self.broker.called("finish");
        let queue = &self.broker.spelled(queue);
        self.end(queue, verdicts).await
    }

    async fn started(&self, queue: &QueueName, runs: Vec<Start>) -> Result<(), Error> {
        self.broker.called("started");
        self.begin(&self.broker.spelled(queue), runs).await
    }

    async fn beat(&self) -> Result<(), Error> {
        self.broker.called("beat");
        let now = self.broker.now();
        let silent = now - std::mem::replace(&mut self.own().beat, now);
        match self.broker.flaw {
            Flaw::BeatsInVain => return Ok(()),
            Flaw::EndsWhatRunsForLong
                if now - self.opened > self.asked * 3 && !self.own().mine.is_empty() =>
            {
                return Ok(());
            }
            Flaw::GivesUpLateBeats if silent > self.asked => {
                self.sweep_by_wardens().await?;
            }
            _ => {}
        }
        if self.broker.flaw == Flaw::BeatsForNoneDetached && self.own().detached {
            return Ok(());
        }
        for inner in self.inner() {
            inner.beat().await?;
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        self.broker.called("sweep");
        let mut all = match self.broker.flaw {
            Flaw::SweepsNothing => return Ok(Swept::default()),
            Flaw::SweepsUnchecked => self.sweep_by_wardens().await?,
            Flaw::RobsAfterAnOutage if self.broker.now() - self.own().beat <= self.asked => {
                self.sweep_by_wardens().await?
            }
            _ => Swept::default(),
        };
        for inner in self.inner() {
            let swept = inner.sweep().await?;
            all.returned += swept.returned;
            all.dead += swept.dead;
        }
        match self.broker.flaw {
            Flaw::CountsNoSweep => all = Swept::default(),
            Flaw::GivesBackToTheBack => {
                let behind = End::Snooze(Duration::ZERO);
                self.end_the_first(all.returned, &behind).await?;
            }
            Flaw::GivesBackOneCallsWorth if all.returned > BATCH_LIMIT => {
                let beyond = all.returned - BATCH_LIMIT;
                self.end_the_first(beyond, &End::Done).await?;
            }
            _ => {}
        }
        Ok(all)
    }

    async fn retire(&self) -> Result<(), Error> {
        self.broker.called("retire");
        self.own().stopping = true;
        match self.broker.flaw {
            Flaw::RetiresInVain => return Ok(()),
            Flaw::ChargesTheRetired => {
                self.own().retired = true;
                return Ok(());
            }
            _ => {}
        }
        for inner in self.inner() {
            match self.broker.flaw {
                Flaw::RetiresAtOnce => inner.close().await?,
                _ => inner.retire().await?,
            }
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), Error> {
        self.broker.called("close");
        let mine = self.own().mine.clone();
        match self.broker.flaw {
            Flaw::ClosesNothing => return Ok(()),
            Flaw::IgnoresOnCrashAtClose => self.each_end(mine, &End::Return).await?,
            Flaw::LosesWhatIsHeldAtClose => self.each_end(mine, &End::Done).await?,
            Flaw::StopsWithoutTheDetached if self.own().detached => return Ok(()),
            _ => {}
        }
        for inner in self.inner() {
            match self.broker.flaw {
                Flaw::CountsVerdictsAfterClose => inner.retire().await?,
                _ => inner.close().await?,
            }
        }
        Ok(())
    }

    async fn attach(&self, mut served: Served) -> Result<(), Error> {
        self.broker.called("attach");
        served.queue = self.broker.spelled(&served.queue);
        let queue = &served.queue;
        let first = self.own().attached.insert(queue.clone());
        match self.broker.flaw {
            Flaw::AttachesNothing => return Ok(()),
            Flaw::AttachesNoneAgain if self.own().detached => return Ok(()),
            Flaw::KeepsTheFirstWeight if !first => return Ok(()),
            Flaw::AttachesTwice if !first => {
                let another = open_at(&self.broker, &[served], &self.options).await?;
                self.own().inner.push(another);
                return Ok(());
            }
            Flaw::AttachesTheRetired if self.own().stopping => return Ok(()),
            _ => {}
        }
        self.inner()[0].attach(served).await
    }

    async fn detach(&self, queue: &QueueName) -> Result<bool, Error> {
        self.broker.called("detach");
        let queue = self.broker.spelled(queue);
        self.own().detached = true;
        if self.broker.flaw == Flaw::DetachesNothing {
            return Ok(self.own().left.insert(queue));
        }
        if self.broker.flaw == Flaw::ClosesNoneDetached {
            // Another session of its own stays there.
            let served = [queue.clone().into()];
            open_at(&self.broker, &served, &self.options).await?;
        }
        if self.broker.flaw == Flaw::DetachesWhatIsHeld {
            let mine = self.own().mine.clone();
            let here = mine.into_iter().filter(|d| d.queue == queue).collect();
            self.each_end(here, &End::Return).await?;
        }
        let took = self.inner()[0].detach(&queue).await?;
        Ok(took || self.broker.flaw == Flaw::SaysItDetached)
    }

    fn lease(&self) -> Duration {
        self.broker.called("lease");
        let lease = self.inner()[0].lease();
        match self.broker.flaw {
            Flaw::GoesByItsOwnLease => self.asked,
            Flaw::HalvesTheLease => lease * 2,
            Flaw::LosesTheLeaseOfTheLast if self.own().detached => Duration::ZERO,
            _ => lease,
        }
    }
}
