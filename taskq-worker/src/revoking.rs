//! Revoking what this process holds: what has not begun never does, what runs is found.

use std::collections::BTreeSet;
use std::sync::Arc;

use taskq_core::revocation::{Revocation, Revocations};
use taskq_core::{QueueName, TaskId, clock};

use crate::book::{Book, Entry};
use crate::ledger::{Ledger, Run};

/// So many revocations are kept for what has not begun. It begins within moments, or waits for its last life.
const MOST_LATE: usize = 1_000;

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

impl Book {
    /// A claim is under way, or over.
    pub(crate) fn claims(&mut self, under_way: bool) {
        self.late = under_way.then(Vec::new);
    }

    /// What is covered does not begin any more, if it is here and has not begun, or comes with the claim under way. False:
    /// so much was revoked meanwhile that no more can be kept, and nothing was.
    ///
    /// `coming` is the same for what comes: tasks and headers count for what was sent before now, for the claim may wait
    /// and bring what was not sent yet.
    pub(crate) fn revoke(
        &mut self,
        queue: Option<&QueueName>,
        what: &Arc<Revocations>,
        coming: Revocations,
    ) -> bool {
        let here = |entry: &&mut Entry| queue.is_none_or(|queue| *queue == entry.queue);
        let entries = self.places.iter_mut().flatten();
        let waiting: Vec<&mut Entry> = entries.filter(|e| e.run.is_none()).filter(here).collect();
        let kept = self.late.iter().map(Vec::len);
        if kept
            .chain(waiting.iter().map(|e| e.late.len()))
            .any(|n| n >= MOST_LATE)
        {
            return false;
        }
        for entry in waiting {
            entry.late.push(Arc::clone(what));
        }
        if let Some(late) = &mut self.late {
            late.push((queue.cloned(), Arc::new(coming)));
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
        let (mut revoked, mut coming) = (Revocations::default(), Revocations::default());
        let now = clock::now_ms();
        for one in what {
            // Whatever is held here was sent before.
            revoked.add(one.clone(), u64::MAX);
            coming.add(one.clone(), now);
        }
        let revoked = Arc::new(revoked);
        let is_meant = |run: &Run| {
            queue.is_none_or(|queue| *queue == run.queue) && revoked.covers(&run.message)
        };
        let mut book = self.book();
        if !book.revoke(queue, &revoked, coming) {
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
    use std::time::Duration;

    use taskq_core::Message;
    use taskq_core::broker::memory::MemoryBroker;
    use taskq_core::broker::{Broker, Consumer, ConsumerOptions, Order};
    use tokio::sync::Semaphore;

    use super::*;
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
            let (broker, queue) = (MemoryBroker::new(), QueueName::default());
            let message = Message::new("t");
            let body = message.encode().expect("small");
            broker.push_raw(&queue, 0, body).expect("room");
            let options = ConsumerOptions {
                queues: vec![queue.clone().into()],
                order: Order::default(),
                lease: Duration::from_secs(10),
                node: "w@test".into(),
            };
            let consumer = broker.consume(options).await.expect("a consumer");
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
        assert!(!scene.begins(&held) && held.is_revoked(&scene.message));
    }

    /// A claim waits for what may be sent after its task was revoked.
    #[tokio::test]
    async fn what_was_sent_after_its_task_was_revoked_begins() {
        for (sent, begins) in [(-60_000, false), (60_000, true)] {
            let mut scene = Scene::new().await;
            scene.message.enqueued_at = clock::now_ms().checked_add_signed(sent);
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
        assert!(scene.begins(&held) && !held.is_revoked(&scene.message));
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
    async fn more_than_can_be_kept_is_refused() {
        let scene = Scene::new().await;
        let _under_way = scene.ledger.claims();
        let kept = (0..2_000).take_while(|_| scene.revoke().is_some()).count();
        assert_eq!(kept, 1_000);
    }
}
