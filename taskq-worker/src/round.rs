//! A round of telling: runs of one queue that the broker is told of in one call.

use std::sync::Arc;

use taskq_core::QueueName;
use taskq_core::broker::Start;

use crate::book::{Key, Telling};
use crate::ledger::{Ledger, Run};

/// The runs of one round. Dropped before its outcome is known, it counts as failed: no verdict waits for ever.
#[derive(Debug)]
pub(crate) struct Round {
    ledger: Arc<Ledger>,
    queue: QueueName,
    runs: Vec<Told>,
}

#[derive(Debug)]
struct Told {
    key: Key,
    run: Run,
    /// What the broker had been told before. If a call failed then, its verdict tells the start.
    before: Telling,
}

impl Told {
    /// Whether this call tells that it began.
    fn begins(&self) -> bool {
        self.before == Telling::No
    }
}

impl Round {
    pub(crate) fn new(ledger: Arc<Ledger>, queue: QueueName) -> Self {
        Self {
            ledger,
            queue,
            runs: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, key: Key, run: Run, before: Telling) {
        self.runs.push(Told { key, run, before });
    }

    /// Where they came from.
    pub(crate) fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// What the broker is to be told.
    pub(crate) fn starts(&self) -> Vec<Start> {
        let start = |told: &Told| {
            let mut event = told.run.event();
            if !told.begins() {
                (event.received, event.started) = (None, None);
            }
            Start {
                receipt: told.key.receipt(),
                record: told.run.record(self.ledger.node()),
                event,
            }
        };
        self.runs.iter().map(start).collect()
    }

    /// The broker knows.
    pub(crate) fn succeeded(mut self) {
        for told in self.runs.drain(..) {
            let telling = if told.begins() {
                Telling::Done
            } else {
                told.before
            };
            self.ledger.telling_over(told.key, telling, false);
        }
    }

    /// It does not: the verdicts tell what this call was to. Records that say STARTED are to be written `again` while their
    /// runs last.
    pub(crate) fn failed(mut self, again: bool) {
        self.give_up(again);
    }

    fn give_up(&mut self, again: bool) {
        for told in self.runs.drain(..) {
            let again = again && told.run.says_started();
            let telling = if told.begins() {
                Telling::Failed
            } else {
                told.before
            };
            self.ledger.telling_over(told.key, telling, again);
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.give_up(true);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use taskq_core::event::Attempt;
    use taskq_core::task::Surroundings;
    use taskq_core::{Context, Message};
    use tokio::sync::{Semaphore, mpsc};

    use super::*;
    use crate::book::tests::consumer_of;
    use crate::ledger::{Held, Settled, Settlement};
    use crate::limits::TimeLimits;
    use crate::tally::Tally;
    use crate::verdict::Call;

    struct Scene {
        ledger: Arc<Ledger>,
        held: Held,
        run: Run,
        verdicts: mpsc::Receiver<Settled>,
    }

    /// One run that has begun.
    async fn scene(track_started: bool) -> Scene {
        let mut message = Message::new("t");
        message.track_started = track_started;
        let consumer = consumer_of(std::slice::from_ref(&message)).await;
        let deliveries = consumer.claim(1, Duration::ZERO).await.expect("a claim");
        let ledger = Ledger::new(1, "w@test".into(), Tally::default());
        let verdicts = ledger.admit(&QueueName::default()).expect("new");
        let ledger = Arc::new(ledger);
        let room = ledger.room().some(1);
        let slot = Arc::new(Semaphore::new(1)).try_acquire_owned();
        let held = ledger.enter(&deliveries[0], room.expect("room"), slot.expect("a slot"));
        let mut run = Run::of(message, TimeLimits::default());
        let mut around = Surroundings::new(run.queue.clone(), "w@test");
        around.heard = Some(held.heard());
        run.leash.context = Context::new(&run.message, around);
        assert!(held.runs(run.clone()));
        Scene {
            ledger,
            held,
            run,
            verdicts,
        }
    }

    impl Scene {
        fn round(&self) -> Round {
            let mut rounds = self.ledger.untold(Instant::now(), 9);
            assert_eq!(rounds.len(), 1);
            rounds.remove(0)
        }

        /// Ends the run; what comes of it is the channel's.
        fn end(self) -> mpsc::Receiver<Settled> {
            let call = Call {
                message: &self.run.message,
                queue: &self.run.queue,
                crashes: 0,
                worker: "w@test",
                received: self.run.received,
                began: Some(self.run.began),
                context: Some(&self.run.leash.context),
            };
            let verdict = call.expired().verdict(self.held.receipt());
            let settled = self.held.settle(verdict);
            assert_eq!(settled, Settlement::Counts);
            assert_eq!(self.ledger.load(), (0, 1));
            self.verdicts
        }
    }

    fn told(verdicts: &mut mpsc::Receiver<Settled>) -> Option<bool> {
        let (verdict, _room) = verdicts.try_recv().ok()?.split();
        let Attempt {
            received, started, ..
        } = verdict.event?;
        assert_eq!(received.is_some(), started.is_some());
        Some(started.is_some())
    }

    #[tokio::test]
    async fn what_ends_while_it_is_told_of_waits_for_the_outcome_and_is_told_once() {
        for works in [true, false] {
            let scene = scene(false).await;
            let round = scene.round();
            let mut verdicts = scene.end();
            assert_eq!(told(&mut verdicts), None, "it waits");
            if works {
                round.succeeded();
            } else {
                round.failed(true);
            }
            assert_eq!(told(&mut verdicts), Some(!works));
        }
    }

    #[tokio::test]
    async fn a_round_that_is_given_up_half_way_lets_the_verdicts_go() {
        let scene = scene(true).await;
        let round = scene.round();
        let mut verdicts = scene.end();
        drop(round);
        assert_eq!(told(&mut verdicts), Some(true));
    }

    #[tokio::test]
    async fn a_stop_lets_go_of_what_waits() {
        let scene = scene(false).await;
        let (ledger, round) = (Arc::clone(&scene.ledger), scene.round());
        let mut verdicts = scene.end();
        ledger.return_all();
        assert_eq!(told(&mut verdicts), Some(false), "told once at best");
        round.succeeded();
        assert_eq!(told(&mut verdicts), None);
        assert_eq!(ledger.open(), 0);
    }

    #[tokio::test]
    async fn what_the_stop_has_given_back_does_not_begin() {
        let Scene {
            ledger, held, run, ..
        } = scene(false).await;
        ledger.return_all();
        let load = ledger.load();
        assert!(!held.runs(run));
        assert_eq!((ledger.load(), ledger.running().len()), (load, 0));
    }

    #[tokio::test]
    async fn of_a_start_that_was_not_recorded_only_the_record_is_tried_again() {
        let scene = scene(true).await;
        let round = scene.round();
        assert!(round.starts()[0].event.started.is_some());
        round.failed(true);
        let round = scene.round();
        let start = round.starts().remove(0);
        assert!(start.record.is_some() && start.event.started.is_none());
        round.succeeded();
        assert_eq!(told(&mut scene.end()), Some(true));
    }

    #[tokio::test]
    async fn progress_is_told_with_the_record_alone_and_changes_nothing_of_what_was_told() {
        for (works, tracked) in [(true, false), (false, true)] {
            let scene = scene(tracked).await;
            let first = scene.round();
            assert_eq!(first.starts()[0].record.is_some(), tracked);
            if works {
                first.succeeded();
            } else {
                first.failed(false);
            }
            scene.run.leash.context.progress(3, 4, "nearly");
            let round = scene.round();
            let start = round.starts().remove(0);
            assert!(start.event.received.is_none() && start.event.started.is_none());
            let progress = start.record.and_then(|r| r.progress).expect("its progress");
            assert_eq!((progress.done, progress.total), (3, 4));
            round.succeeded();
            assert!(scene.ledger.untold(Instant::now(), 9).is_empty(), "paced");
            let mut verdicts = scene.end();
            assert_eq!(told(&mut verdicts), Some(!works));
        }
    }

    #[tokio::test]
    async fn progress_that_could_not_be_stored_is_tried_again() {
        let scene = scene(false).await;
        scene.run.leash.context.progress(1, 4, "");
        scene.round().failed(true);
        scene.run.leash.context.progress(2, 4, "");
        let round = scene.round();
        let progress = round.starts()[0]
            .record
            .as_ref()
            .and_then(|r| r.progress.clone());
        assert_eq!(progress.map(|p| p.done), Some(2));
    }

    #[tokio::test]
    async fn what_no_repeat_mends_is_not_repeated() {
        for (tracked, again) in [(true, false), (false, true)] {
            let scene = scene(tracked).await;
            scene.round().failed(again);
            assert!(scene.ledger.untold(Instant::now(), 9).is_empty());
        }
    }
}
