//! Revoking what this process holds: what has not begun never does, what runs is found.

use std::collections::{BTreeSet, HashMap};

use taskq_core::revocation::{Revocation, Revocations};
use taskq_core::{QueueName, TaskId, clock};

use crate::book::{Book, Entry};
use crate::ledger::{Ledger, Run};

/// So many revocations are kept for what a claim under way brings: a claim waits for a second.
const MOST_LATE: usize = 100_000;

/// The runs that were revoked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// They go on.
    pub(crate) running: BTreeSet<TaskId>,
    /// They were cut off.
    pub(crate) terminated: BTreeSet<TaskId>,
}

/// A claim that is under way. What is revoked meanwhile counts for what it brings, too.
#[derive(Debug)]
pub(crate) struct Claiming<'a>(&'a Ledger);

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        self.0.book().claims(false);
    }
}

/// What was revoked while a claim is under way.
#[derive(Debug, Default)]
pub(crate) struct Late {
    everywhere: Revocations,
    at: HashMap<QueueName, Revocations>,
    kept: usize,
}

impl Late {
    /// Whether what was claimed meanwhile is covered.
    pub(crate) fn covers(&self, entry: &Entry) -> bool {
        let here = self.at.get(&entry.queue);
        self.kept > 0
            && (entry.is_covered(&self.everywhere)
                || here.is_some_and(|revoked| entry.is_covered(revoked)))
    }

    fn add(&mut self, what: &[Revocation], queue: Option<&QueueName>, now: u64) {
        let revoked = match queue {
            Some(queue) => self.at.entry(queue.clone()).or_default(),
            None => &mut self.everywhere,
        };
        for one in what {
            revoked.add(one.clone(), now);
        }
        self.kept += what.len();
    }
}

impl Book {
    /// A claim is under way, or over.
    pub(crate) fn claims(&mut self, under_way: bool) {
        self.late = under_way.then(Late::default);
    }

    /// What is covered does not begin any more, if it is here and has not begun, or comes with the claim under way. False:
    /// so much was revoked during this claim that no more can be kept, and nothing was.
    ///
    /// For what is here `revoked` counts; of what comes, tasks and headers count for what was sent before `now`, for the
    /// claim may wait and bring what was not sent yet.
    fn revoke(
        &mut self,
        what: &[Revocation],
        queue: Option<&QueueName>,
        revoked: &Revocations,
        now: u64,
    ) -> bool {
        if let Some(late) = &mut self.late {
            if late.kept + what.len() > MOST_LATE {
                return false;
            }
            late.add(what, queue, now);
        }
        let here = |entry: &&mut Entry| queue.is_none_or(|queue| *queue == entry.queue);
        let entries = self.places.iter_mut().flatten();
        for entry in entries
            .filter(|e| e.run.is_none() && !e.revoked)
            .filter(here)
        {
            entry.revoked = entry.is_covered(revoked);
        }
        true
    }
}

impl Ledger {
    /// A claim begins; it is over when the answer is dropped, behind the entry of what it brought.
    pub(crate) fn claims(&self) -> Claiming<'_> {
        self.book().claims(true);
        Claiming(self)
    }

    /// None of those that have not begun begins any more; those that run are cut off if `terminate` says so. `None`:
    /// there is no room to keep it.
    pub(crate) fn revoke(
        &self,
        what: &[Revocation],
        queue: Option<&QueueName>,
        terminate: bool,
    ) -> Option<Met> {
        let mut revoked = Revocations::default();
        for one in what {
            // Whatever is held here was sent before.
            revoked.add(one.clone(), u64::MAX);
        }
        let is_meant = |run: &Run| {
            queue.is_none_or(|queue| *queue == run.queue) && revoked.covers(&run.message)
        };
        let mut book = self.book();
        if !book.revoke(what, queue, &revoked, clock::now_ms()) {
            return None;
        }
        // From here on none begins: these are all that run.
        let mut running: BTreeSet<TaskId> =
            book.runs(is_meant).into_iter().map(|(_, id)| id).collect();
        drop(book);
        self.revoked.notify_waiters();
        let mut terminated = BTreeSet::new();
        if terminate {
            terminated.extend(self.terminate(is_meant));
            running.retain(|id| !terminated.contains(id));
        }
        Some(Met {
            running,
            terminated,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use taskq_core::Message;
    use taskq_core::broker::Consumer;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::book::tests::consumer_of;
    use crate::ledger::Held;
    use crate::limits::TimeLimits;
    use crate::tally::Tally;

    struct Scene {
        ledger: Arc<Ledger>,
        consumer: Arc<dyn Consumer>,
        message: Message,
    }

    impl Scene {
        /// A message that waits.
        async fn new() -> Self {
            Self::of(Message::new("t")).await
        }

        async fn of(message: Message) -> Self {
            let consumer = consumer_of(std::slice::from_ref(&message)).await;
            let ledger = Ledger::new(1, "w@test".into(), Tally::default());
            Self {
                ledger: Arc::new(ledger),
                consumer,
                message,
            }
        }

        fn revoke(&self) -> Option<Met> {
            let what = [Revocation::Id(self.message.id)];
            self.ledger.revoke(&what, None, true)
        }

        async fn enter(&self) -> Held {
            let claimed = self.consumer.claim(1, Duration::ZERO).await;
            let room = self.ledger.room().some(1);
            let slot = Arc::new(Semaphore::new(1)).try_acquire_owned();
            let delivery = &claimed.expect("a claim")[0];
            let (room, slot) = (room.expect("room"), slot.expect("a slot"));
            self.ledger.enter(delivery, room, slot)
        }

        fn begins(&self, held: &Held) -> bool {
            held.runs(Run::of(self.message.clone(), TimeLimits::default()))
        }
    }

    #[tokio::test]
    async fn what_a_claim_under_way_brings_does_not_begin() {
        let scene = Scene::new().await;
        let under_way = scene.ledger.claims();
        assert_eq!(scene.revoke(), Some(Met::default()));
        let held = scene.enter().await;
        drop(under_way);
        assert!(!scene.begins(&held) && held.is_revoked());
    }

    /// A claim waits for what may be sent after its task was revoked.
    #[tokio::test]
    async fn what_was_sent_after_its_task_was_revoked_begins() {
        for (sent, begins) in [(-60_000, false), (60_000, true)] {
            let mut message = Message::new("t");
            message.enqueued_at = clock::now_ms().checked_add_signed(sent);
            let scene = Scene::of(message).await;
            let _under_way = scene.ledger.claims();
            let what = [Revocation::Task("t".to_owned())];
            assert_eq!(
                scene.ledger.revoke(&what, None, false),
                Some(Met::default())
            );
            let held = scene.enter().await;
            assert_eq!(scene.begins(&held), begins, "{sent}");
        }
    }

    #[tokio::test]
    async fn what_a_later_claim_brings_is_the_brokers_to_say() {
        let scene = Scene::new().await;
        drop(scene.ledger.claims());
        scene.revoke();
        let _under_way = scene.ledger.claims();
        let held = scene.enter().await;
        assert!(scene.begins(&held) && !held.is_revoked());
        // It runs: now it can be cut off.
        let met = scene.revoke().expect("room");
        assert_eq!(met.terminated, BTreeSet::from([scene.message.id]));
    }

    #[tokio::test]
    async fn what_is_held_does_not_begin() {
        let scene = Scene::new().await;
        let held = scene.enter().await;
        assert_eq!(scene.revoke(), Some(Met::default()));
        assert!(!scene.begins(&held));
        assert_eq!(scene.ledger.load(), (0, 0));
    }

    #[tokio::test]
    async fn more_than_can_be_kept_for_a_claim_is_refused() {
        let scene = Scene::new().await;
        let under_way = scene.ledger.claims();
        let many: Vec<_> = (0..999)
            .map(|_| Revocation::Id(taskq_core::TaskId::random()))
            .collect();
        let kept = || scene.ledger.revoke(&many, None, false).is_some();
        assert_eq!((0..200).take_while(|_| kept()).count(), 100);
        // It is over within moments.
        drop(under_way);
        let _next = scene.ledger.claims();
        assert!(kept());
    }

    #[tokio::test]
    async fn what_is_held_for_long_keeps_nothing_of_what_is_revoked() {
        let scene = Scene::new().await;
        let held = scene.enter().await;
        let other = [Revocation::Id(taskq_core::TaskId::random())];
        for knows in [false, true] {
            if knows {
                held.waits(&Arc::new(scene.message.clone()));
            }
            for _ in 0..2_000 {
                let met = scene.ledger.revoke(&other, None, false);
                assert_eq!(met, Some(Met::default()));
            }
            assert!(!held.is_revoked());
        }
        scene.revoke();
        assert!(held.is_revoked() && !scene.begins(&held));
    }
}
