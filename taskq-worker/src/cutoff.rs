//! Cutting off a run: what is done about one that must not go on.
//!
//! It is told, and async code is dropped at its next await; its own pipeline settles it then. One that goes on all the
//! same (a plain function, or code that never awaits) is settled from outside: its slot is free again, what it answers
//! later counts for nothing, and it is watched as a stray until it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskq_core::task::{Cancelled, TaskDef};
use taskq_core::{Context, Failure, Message, Outcome, QueueName, TaskId};

use crate::book::Key;
use crate::instant;
use crate::ledger::{Ledger, Run};
use crate::limits::TimeLimits;
use crate::report;
use crate::timeline::Step;
use crate::verdict::{Call, Ending};

/// How long an async function has to get to its next await before it is settled without it.
const PATIENCE: Duration = Duration::from_millis(500);
/// The most steps of one pass.
const MOST: usize = 999;

/// Why a run is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cutoff {
    /// It took longer than this.
    HardLimit(Duration),
    /// It was revoked, and whoever did it wants it to end.
    Terminated,
}

/// What is needed to end a run from outside.
#[derive(Debug, Clone)]
pub(crate) struct Leash {
    pub(crate) def: &'static TaskDef,
    pub(crate) context: Context,
    pub(crate) limits: TimeLimits,
    /// It is async: dropped where it awaits.
    pub(crate) droppable: bool,
}

/// A run that is settled and goes on.
#[derive(Debug, Clone)]
pub(crate) struct Stray {
    pub(crate) message: Arc<Message>,
    pub(crate) queue: QueueName,
    pub(crate) why: Cutoff,
    /// Since when it is settled.
    pub(crate) since: Instant,
}

impl Cutoff {
    /// How a run that is cut off ends.
    pub(crate) fn ending(self, call: Call<'_>, def: &TaskDef) -> Ending {
        match self {
            Self::HardLimit(limit) => {
                let text = format!("it ran longer than its time limit, {limit:?}");
                let error = Failure::new("TimeLimitExceeded", text);
                call.conclude(def, Outcome::Retry { after: None, error })
            }
            Self::Terminated => call.terminated(),
        }
    }

    fn told(self) -> Cancelled {
        match self {
            Self::HardLimit(_) => Cancelled::HardTimeLimit,
            Self::Terminated => Cancelled::Revoked,
        }
    }
}

impl std::fmt::Display for Cutoff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HardLimit(limit) => write!(f, "its time limit, {limit:?}, was over"),
            Self::Terminated => f.write_str("it was terminated"),
        }
    }
}

impl Ledger {
    /// When there is something to do about a run, strays that had `grace` to end included.
    pub(crate) fn next_step(&self, grace: Duration) -> Option<Instant> {
        let book = self.book();
        let stray = book.strays().next().map(|stray| stray.since + grace);
        [book.next_step(), stray].into_iter().flatten().min()
    }

    /// Does what is due about runs.
    pub(crate) fn step(&self, now: Instant) {
        for _ in 0..MOST {
            // On its own line: the lock is not held for what follows.
            let due = self.book().take_due(now);
            match due {
                None => return,
                Some((key, Step::Soft)) => self.soften(key),
                Some((key, Step::Hard)) => self.cut_at_limit(key, now),
                Some((key, Step::Settle)) => self.settle_from_outside(key, now),
            }
        }
    }

    /// The first stray that had `grace` to end, and goes on.
    pub(crate) fn stuck(&self, now: Instant, grace: Duration) -> Option<Stray> {
        let book = self.book();
        let mut strays = book.strays();
        strays.find(|stray| stray.since + grace <= now).cloned()
    }

    /// Cuts off the runs that are meant; answers which these are.
    pub(crate) fn terminate(&self, is_meant: impl Fn(&Run) -> bool) -> Vec<TaskId> {
        let keys = self.book().runs(is_meant);
        let now = instant::now();
        keys.into_iter()
            .filter(|(key, _)| self.cut_off(*key, Cutoff::Terminated, now))
            .map(|(_, id)| id)
            .collect()
    }

    /// Cuts off a run; false when there is nothing to cut off any more.
    fn cut_off(&self, key: Key, why: Cutoff, now: Instant) -> bool {
        let mut book = self.book();
        let Some((leash, token)) = book.cut(key, why) else {
            return false;
        };
        let rings = leash.droppable && book.step_at(key, now + PATIENCE, Step::Settle);
        drop(book);
        // Cancelling wakes tasks that come here: not under the lock.
        leash.context.cancel(why.told());
        token.cancel();
        if !leash.droppable {
            self.settle_from_outside(key, now);
        }
        if rings {
            self.ring_watchdog();
        }
        true
    }

    fn soften(&self, key: Key) {
        let mut book = self.book();
        let run = book.get_mut(key).and_then(|entry| entry.run.clone());
        let Some(run) = run else { return };
        if let Some(at) = run.hard_at() {
            book.step_at(key, at, Step::Hard);
        }
        drop(book);
        let limit = run.leash.limits.soft.unwrap_or_default();
        report::soft_limit(&run.message, &run.queue, limit);
        run.leash.context.cancel(Cancelled::SoftTimeLimit);
    }

    fn cut_at_limit(&self, key: Key, now: Instant) {
        let run = self.book().get_mut(key).and_then(|e| e.run.clone());
        if let Some(limit) = run.and_then(|run| run.leash.limits.hard) {
            self.cut_off(key, Cutoff::HardLimit(limit), now);
        }
    }

    /// Settles a run that was cut off and goes on.
    fn settle_from_outside(&self, key: Key, now: Instant) {
        let run = self.book().cut_and_running(key);
        let Some((run, why)) = run else { return };
        let call = run.call(self.node());
        // That asks the task's retry policy: not under the lock.
        let ending = why.ending(call, run.leash.def);
        let (told, verdict) = ending.split(key.receipt());
        let stray = Stray {
            message: Arc::clone(&run.message),
            queue: run.queue.clone(),
            why,
            since: now,
        };
        let Some(counts) = self.settle_as_stray(key, verdict, stray) else {
            return;
        };
        self.ring_watchdog();
        if counts {
            report::ended(&run.message, &run.queue, &told);
        }
        report::stray(&run.message, &run.queue, why);
    }
}

impl Run {
    /// The first step to be done about it, if it has limits.
    pub(crate) fn first_step(&self) -> Option<(Instant, Step)> {
        let soft = self.leash.limits.soft;
        let soft = soft.and_then(|limit| self.began.at.checked_add(limit));
        soft.map(|at| (at, Step::Soft))
            .or_else(|| self.hard_at().map(|at| (at, Step::Hard)))
    }

    fn hard_at(&self) -> Option<Instant> {
        self.began.at.checked_add(self.leash.limits.hard?)
    }
}

#[cfg(test)]
mod tests {
    use taskq_core::broker::{End, RevokeCause};
    use tokio::sync::{Semaphore, mpsc};

    use super::*;
    use crate::book::tests::consumer_of;
    use crate::ledger::{Held, Settled, Settlement};
    use crate::tally::Tally;

    const LIMIT: Duration = Duration::from_secs(9);

    struct Scene {
        ledger: Arc<Ledger>,
        held: Held,
        run: Run,
        slots: Arc<Semaphore>,
        verdicts: mpsc::Receiver<Settled>,
    }

    /// A run that has begun, with limits as given.
    async fn scene(limits: TimeLimits, droppable: bool) -> Scene {
        let message = Message::new("t");
        let consumer = consumer_of(std::slice::from_ref(&message)).await;
        let deliveries = consumer.claim(1, Duration::ZERO).await.expect("a claim");
        let ledger = Ledger::new(1, "w@test".into(), Tally::default());
        let verdicts = ledger.admit(&QueueName::default()).expect("new");
        let (ledger, slots) = (Arc::new(ledger), Arc::new(Semaphore::new(1)));
        let room = ledger.room().some(1);
        let slot = Arc::clone(&slots).try_acquire_owned();
        let held = ledger.enter(&deliveries[0], room.expect("room"), slot.expect("the slot"));
        let mut run = Run::of(message, limits);
        run.leash.droppable = droppable;
        assert!(held.runs(run.clone()));
        Scene {
            ledger,
            held,
            run,
            slots,
            verdicts,
        }
    }

    impl Scene {
        fn end(&mut self) -> Option<End> {
            Some(self.verdicts.try_recv().ok()?.split().0.end)
        }

        fn told(&self) -> Option<Cancelled> {
            self.run.leash.context.cancelled_by()
        }

        /// What it answers itself.
        fn answers(self) -> Settlement {
            let call = self.run.call("w@test");
            let verdict = call.expired().verdict(self.held.receipt());
            self.held.settle(verdict)
        }
    }

    fn hard() -> TimeLimits {
        TimeLimits {
            soft: None,
            hard: Some(LIMIT),
        }
    }

    #[tokio::test]
    async fn a_run_without_limits_is_in_no_timeline() {
        let scene = scene(TimeLimits::default(), true).await;
        assert_eq!(scene.ledger.next_step(LIMIT), None);
    }

    #[tokio::test]
    async fn a_run_that_ends_in_time_leaves_the_timeline() {
        let scene = scene(hard(), true).await;
        let ledger = Arc::clone(&scene.ledger);
        assert_eq!(ledger.next_step(LIMIT), Some(scene.run.began.at + LIMIT));
        assert_eq!(scene.answers(), Settlement::Counts);
        assert_eq!(ledger.next_step(LIMIT), None);
    }

    #[tokio::test]
    async fn a_soft_limit_is_told_and_the_hard_one_comes_after_it() {
        let limits = TimeLimits {
            soft: Some(LIMIT / 3),
            ..hard()
        };
        let mut scene = scene(limits, false).await;
        let began = scene.run.began.at;
        scene.ledger.step(began + LIMIT / 4);
        assert_eq!(scene.told(), None);
        scene.ledger.step(began + LIMIT / 2);
        assert_eq!(scene.told(), Some(Cancelled::SoftTimeLimit));
        assert!(scene.end().is_none() && !scene.held.cancelled().is_cancelled());
        assert_eq!(scene.ledger.next_step(LIMIT), Some(began + LIMIT));
        scene.ledger.step(began + LIMIT);
        assert_eq!(scene.told(), Some(Cancelled::HardTimeLimit));
        assert!(matches!(scene.end(), Some(End::Retry { .. })));
    }

    #[tokio::test]
    async fn a_function_is_settled_at_once_and_watched_until_it_ends() {
        let mut scene = scene(hard(), false).await;
        let (ledger, grace) = (Arc::clone(&scene.ledger), Duration::from_secs(5));
        ledger.step(scene.run.began.at + LIMIT);
        assert!(scene.held.cancelled().is_cancelled());
        assert_eq!(scene.slots.available_permits(), 1, "its slot is free");
        assert!(matches!(scene.end(), Some(End::Retry { .. })));
        assert_eq!((ledger.open(), ledger.load()), (0, (0, 1)));
        assert!(!scene.held.never_runs(), "it does");
        let until = ledger.next_step(grace).expect("a stray");
        assert!(
            ledger
                .stuck(until - Duration::from_millis(1), grace)
                .is_none()
        );
        let stray = ledger.stuck(until, grace).expect("it goes on");
        assert_eq!(stray.why, Cutoff::HardLimit(LIMIT));
        assert_eq!(scene.answers(), Settlement::CutOff);
        assert!(ledger.stuck(until, grace).is_none());
        assert_eq!(ledger.next_step(grace), None);
    }

    #[tokio::test]
    async fn async_code_has_a_moment_to_settle_itself() {
        let mut scene = scene(hard(), true).await;
        let ledger = Arc::clone(&scene.ledger);
        ledger.step(scene.run.began.at + LIMIT);
        assert!(scene.held.cancelled().is_cancelled());
        assert_eq!(scene.held.cutoff(), Some(Cutoff::HardLimit(LIMIT)));
        assert!(scene.end().is_none(), "its own pipeline does that");
        let late = ledger.next_step(LIMIT).expect("not for ever");
        ledger.step(late);
        assert!(matches!(scene.end(), Some(End::Retry { .. })));
        assert_eq!(scene.slots.available_permits(), 1);
        // Dropped instead of answered, it is no stray any more either.
        drop(scene.held);
        assert!(ledger.stuck(late + LIMIT, LIMIT).is_none());
        assert!(scene.verdicts.try_recv().is_err(), "settled once");
    }

    #[tokio::test]
    async fn one_that_is_told_of_meanwhile_is_settled_once() {
        let mut scene = scene(hard(), false).await;
        let ledger = Arc::clone(&scene.ledger);
        let mut rounds = ledger.untold(Instant::now(), 9);
        ledger.step(scene.run.began.at + LIMIT);
        assert_eq!(scene.slots.available_permits(), 1);
        assert!(scene.end().is_none(), "it waits for the telling");
        let Scene {
            held,
            run,
            mut verdicts,
            ..
        } = scene;
        let verdict = run.call("w@test").expired().verdict(held.receipt());
        assert_eq!(held.settle(verdict), Settlement::CutOff);
        rounds.remove(0).succeeded();
        let end = verdicts.try_recv().expect("one verdict").split().0.end;
        assert!(matches!(end, End::Retry { .. }), "{end:?}");
        assert!(verdicts.try_recv().is_err());
    }

    #[tokio::test]
    async fn those_that_are_meant_are_terminated() {
        let mut scene = scene(TimeLimits::default(), false).await;
        let id = scene.run.message.id;
        assert!(scene.ledger.terminate(|r| r.message.id != id).is_empty());
        assert!(scene.end().is_none() && scene.told().is_none());
        assert_eq!(scene.ledger.terminate(|r| r.message.id == id), [id]);
        assert_eq!(scene.told(), Some(Cancelled::Revoked));
        let end = scene.end();
        assert!(
            matches!(end, Some(End::Revoked(RevokeCause::Terminated))),
            "{end:?}"
        );
        assert!(scene.ledger.terminate(|_| true).is_empty(), "only once");
    }
}
