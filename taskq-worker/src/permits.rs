//! Permits whose number changes while some are out: the slots, and the room in the ledger.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// See the module. One loop takes them; anybody gives them back, by dropping them.
#[derive(Debug)]
pub(crate) struct Permits {
    semaphore: Arc<Semaphore>,
    counts: Mutex<Counts>,
    /// Rings when permits that are out are too many.
    fewer: Notify,
}

#[derive(Debug)]
struct Counts {
    /// As many as there shall be.
    total: usize,
    /// So many more are out: they are gone when they come back.
    owed: usize,
}

impl Permits {
    pub(crate) fn new(total: usize) -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(total)),
            counts: Mutex::new(Counts { total, owed: 0 }),
            fewer: Notify::new(),
        }
    }

    /// As many as there shall be.
    pub(crate) fn total(&self) -> usize {
        self.counts().total
    }

    /// From now on there shall be so many. More are there at once; of fewer, those that are out go when they come back.
    pub(crate) fn resize(&self, total: usize) {
        let mut counts = self.counts();
        if total >= counts.total {
            let more = total - counts.total;
            let kept = more.min(counts.owed);
            counts.owed -= kept;
            self.semaphore.add_permits(more - kept);
        } else {
            counts.owed += counts.total - total;
            self.settle(&mut counts);
            if counts.owed > 0 {
                self.fewer.notify_one();
            }
        }
        counts.total = total;
    }

    /// Returns when permits that are out became too many: those that nobody needs are to be given back.
    pub(crate) async fn fewer(&self) {
        self.fewer.notified().await;
    }

    /// Waits for one that is free.
    pub(crate) async fn one(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let permit = Arc::clone(&self.semaphore).acquire_owned().await.ok()?;
            let mut counts = self.counts();
            if counts.owed == 0 {
                return Some(permit);
            }
            counts.owed -= 1;
            permit.forget();
        }
    }

    /// How many are free.
    pub(crate) fn free(&self) -> usize {
        self.settle(&mut self.counts());
        self.semaphore.available_permits()
    }

    /// So many, if they are free.
    pub(crate) fn some(&self, n: usize) -> Option<OwnedSemaphorePermit> {
        let n = u32::try_from(n).ok()?;
        Arc::clone(&self.semaphore).try_acquire_many_owned(n).ok()
    }

    /// How many are out.
    pub(crate) fn out(&self) -> usize {
        let counts = self.counts();
        (counts.total + counts.owed).saturating_sub(self.semaphore.available_permits())
    }

    /// Waits until none is out. Nobody takes one or changes their number meanwhile.
    pub(crate) async fn all_back(&self) {
        let all = {
            let counts = self.counts();
            u32::try_from(counts.total + counts.owed).unwrap_or(u32::MAX)
        };
        // An error would mean a closed semaphore; this one never is.
        drop(self.semaphore.acquire_many(all).await);
    }

    fn settle(&self, counts: &mut Counts) {
        counts.owed -= self.semaphore.forget_permits(counts.owed);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn more_are_there_at_once_and_fewer_as_they_come_back() {
        let permits = Permits::new(3);
        let take = || permits.one().now_or_never().flatten();
        let mut out: Vec<_> = (0..3).filter_map(|_| take()).collect();
        assert_eq!((out.len(), permits.free(), permits.out()), (3, 0, 3));
        assert!(take().is_none());
        permits.resize(5);
        out.extend(take());
        assert_eq!((out.len(), permits.free(), permits.out()), (4, 1, 4));
        // One is free and goes at once, two go with the next that come back.
        permits.resize(2);
        assert_eq!((permits.total(), permits.free(), permits.out()), (2, 0, 4));
        assert!(permits.fewer().now_or_never().is_some());
        out.truncate(2);
        assert!(take().is_none(), "the two that came back are gone");
        out.truncate(1);
        assert_eq!((permits.free(), permits.out()), (1, 1));
        out.extend(take());
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn what_is_owed_stays_when_more_are_wanted_again() {
        let permits = Permits::new(4);
        let out = permits.some(4);
        permits.resize(1);
        permits.resize(6);
        assert_eq!((permits.total(), permits.free(), permits.out()), (6, 2, 4));
        drop(out);
        assert_eq!((permits.free(), permits.out()), (6, 0));
        assert!(permits.all_back().now_or_never().is_some());
    }

    #[test]
    fn all_are_waited_for_those_that_go_included() {
        let permits = Permits::new(4);
        let out = permits.some(4);
        permits.resize(1);
        assert!(permits.all_back().now_or_never().is_none());
        drop(out);
        assert!(permits.all_back().now_or_never().is_some());
    }
}
