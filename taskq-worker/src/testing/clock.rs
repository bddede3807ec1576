//! The clock of a test: tokio's time.

use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

use super::broker::{Core, TestBroker};
use super::tap::lock;

/// So many turns are left to what wakes at the very end of an advance: from a sleep to the record there are about ten.
const TURNS: usize = 100;

/// Who has stopped a clock that runs by itself.
#[derive(Debug, Default)]
pub(super) struct Frozen {
    by: usize,
}

impl TestBroker {
    /// Moves the clock forward: what is due by then becomes due, in its order.
    ///
    /// It is tokio's time that moves, and everything here goes by it: the broker (delayed calls, retries, leases, idempotency
    /// keys, the time that records are kept), expiry, time limits, what tasks and the test itself `tokio::time::sleep`, and
    /// the times in records. It goes from one timer to the next, and lets what wakes there run. It does **not** move
    /// `std::time`, `jiff` or `chrono`, nor `std::thread::sleep` in a plain function; while such a function runs, or another
    /// thread of [`spawn_blocking`](tokio::task::spawn_blocking), the clock waits for it.
    ///
    /// What becomes due is run by [`step`](Self::step) or [`drain`](Self::drain), unless the broker is
    /// [inline](super::TestBrokerBuilder::inline). A call that [expires](crate::Signature::expires) after an hour still runs
    /// exactly then; it is REVOKED a millisecond later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskq_worker::task;
    /// use taskq_worker::testing::{Drained, TestBroker};
    ///
    /// #[task(name = "mail.recall")]
    /// async fn remind() {}
    ///
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() {
    ///     let (broker, hour) = (TestBroker::new(), Duration::from_secs(3_600));
    ///     broker.client().send(remind::call().countdown(hour)).await.unwrap();
    ///     assert_eq!(broker.drain().await, Drained::default());
    ///     broker.advance(hour).await;
    ///     assert_eq!(broker.drain().await.done, 1);
    /// }
    /// ```
    ///
    /// # Panics
    /// On a runtime with several threads, whose clock can not be moved.
    pub async fn advance(&self, by: Duration) {
        let _frozen = self.core.freeze();
        let end = Instant::now() + by;
        loop {
            if self.core.inline {
                self.core.run_what_is_due().await;
            }
            let now = Instant::now();
            if now >= end {
                break;
            }
            let mut next = end;
            if !lock(&self.core.crashed).is_empty() {
                // The living prove that they live, and look after the dead.
                next = next.min(now + self.core.plan.config.lease / 5);
            }
            if self.core.inline
                && let Some(wait) = self.core.next_due().await
            {
                next = next.min(now + wait);
            }
            tokio::time::sleep_until(next).await;
            self.core.bury_the_dead().await;
        }
        // What woke at the same moment as this runs as far as it gets.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }
}

impl Core {
    /// Sweeps for crashed processes, as every worker does.
    async fn bury_the_dead(&self) {
        if lock(&self.crashed).is_empty() {
            return;
        }
        let process = lock(&self.process).clone();
        if let Some(process) = process {
            process.beat().await;
            let swept = process.consumer.sweep().await;
            swept.unwrap_or_else(|e| panic!("the test's broker was not swept: {e}"));
        }
        let now = Instant::now();
        lock(&self.crashed).retain(|over| *over > now);
    }

    /// Stops the clock if it runs by itself; when all who stopped it are dropped, it runs on from where it is then.
    fn freeze(&self) -> Thaw<'_> {
        let flavor = Handle::current().runtime_flavor();
        assert!(
            flavor == RuntimeFlavor::CurrentThread,
            "the clock of a runtime with several threads can not be moved: test with `#[taskq_worker::test]` or `#[tokio::test]`"
        );
        let mut frozen = lock(&self.frozen);
        if frozen.by == 0 && !stands() {
            tokio::time::pause();
            frozen.by = 1;
        } else if frozen.by > 0 {
            frozen.by += 1;
        }
        let counts = frozen.by > 0;
        drop(frozen);
        Thaw { core: self, counts }
    }
}

struct Thaw<'a> {
    core: &'a Core,
    counts: bool,
}

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        if self.counts {
            let mut frozen = lock(&self.core.frozen);
            frozen.by -= 1;
            if frozen.by == 0 {
                tokio::time::resume();
            }
        }
    }
}

/// Whether tokio's time stands: it does if it is the same while the machine's goes on.
fn stands() -> bool {
    let before = Instant::now();
    let began = std::time::Instant::now();
    while std::time::Instant::now() <= began {
        std::hint::spin_loop();
    }
    Instant::now() == before
}
