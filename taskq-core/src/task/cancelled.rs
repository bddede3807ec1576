//! Why a run was told to end, and what it can do about it.

use std::pin::pin;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::SeqCst;

use super::Context;

/// Why a run was told to end.
///
/// Of all but [`SoftTimeLimit`](Self::SoftTimeLimit) an async function learns nothing: it is dropped at its next await.
/// A plain function runs on and can ask, but what it answers counts for nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// Its soft time limit is over. It may still end by itself, and its answer counts.
    SoftTimeLimit,
    /// Its hard time limit is over: it counts as failed.
    HardTimeLimit,
    /// It was revoked while it ran, and is REVOKED.
    Revoked,
    /// The worker has lost its lease: another one has the message or gets it.
    LeaseLost,
    /// The worker stops and its grace is over: the message goes back.
    Stopping,
}

/// The soft time limit of a run is over: it should end now.
///
/// As an error of a task it is a failure like any other, and retries by the task's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the soft time limit is over")]
#[non_exhaustive]
pub struct SoftTimeLimit;

/// The reason, once there is one.
#[derive(Debug, Default)]
pub(super) struct Reason(AtomicU8);

impl Reason {
    const ALL: [Cancelled; 5] = [
        Cancelled::SoftTimeLimit,
        Cancelled::HardTimeLimit,
        Cancelled::Revoked,
        Cancelled::LeaseLost,
        Cancelled::Stopping,
    ];
    const NONE: u8 = 0;
    const SOFT: u8 = 1;

    /// The first one stays, but for a soft limit: that is not the end yet.
    fn set(&self, why: Cancelled) {
        let place = Self::ALL.iter().position(|known| *known == why);
        let Some(code) = place.and_then(|place| u8::try_from(place + 1).ok()) else {
            return;
        };
        for before in [Self::NONE, Self::SOFT] {
            let set = self.0.compare_exchange(before, code, SeqCst, SeqCst);
            if set.is_ok() {
                return;
            }
        }
    }

    fn get(&self) -> Option<Cancelled> {
        let code = usize::from(self.0.load(SeqCst));
        Self::ALL.get(code.checked_sub(1)?).copied()
    }
}

impl Context {
    /// Why this run was told to end; `None`: it was not.
    ///
    /// [`cancellation`](Self::cancellation) fires at the same time. Code that can not await asks now and then:
    ///
    /// ```
    /// use taskq_core::task::Cancelled;
    /// use taskq_core::{Context, TaskError, task};
    ///
    /// #[task(soft_time_limit = "20s", time_limit = "30s")]
    /// fn resize(ctx: Context, pictures: Vec<String>) -> Result<usize, TaskError> {
    ///     for (done, picture) in pictures.iter().enumerate() {
    ///         match ctx.cancelled_by() {
    ///             None => println!("{picture}: resized"),
    ///             // What is done so far counts.
    ///             Some(Cancelled::SoftTimeLimit) => return Ok(done),
    ///             // Nobody listens any more.
    ///             Some(_) => return Ok(0),
    ///         }
    ///     }
    ///     Ok(pictures.len())
    /// }
    /// # fn main() {}
    /// ```
    #[must_use]
    pub fn cancelled_by(&self) -> Option<Cancelled> {
        let (reason, token) = self.end();
        // A lease is lost without a word: whoever sets a reason does so before the token fires.
        let fired = token.is_cancelled();
        reason.get().or(fired.then_some(Cancelled::LeaseLost))
    }

    /// Waits for `future`, but not beyond the soft time limit: then `future` is dropped.
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskq_core::{Context, TaskError, task};
    ///
    /// #[task(soft_time_limit = "20s", time_limit = "30s")]
    /// async fn report(ctx: Context) -> Result<String, TaskError> {
    ///     match ctx.within_limits(write_it()).await {
    ///         Ok(report) => Ok(report),
    ///         // Ten seconds are left to say something; `?` in place of the match would make it a failure.
    ///         Err(_) => Ok("half a report".to_owned()),
    ///     }
    /// }
    ///
    /// async fn write_it() -> String {
    ///     tokio::time::sleep(Duration::from_millis(5)).await;
    ///     "a report".to_owned()
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`SoftTimeLimit`] when that is over first. Without a soft limit there is no error.
    pub async fn within_limits<F: Future>(&self, future: F) -> Result<F::Output, SoftTimeLimit> {
        let mut future = pin!(future);
        tokio::select! {
            biased;
            () = self.cancellation().cancelled() => {}
            output = &mut future => return Ok(output),
        }
        match self.cancelled_by() {
            Some(Cancelled::SoftTimeLimit) => Err(SoftTimeLimit),
            // The run ends at this await, if whoever runs it means it.
            _ => Ok(future.await),
        }
    }

    /// Tells the run to end. For whoever runs it, a worker or the test of a task; a task does not call it.
    ///
    /// ```
    /// use taskq_core::task::{Cancelled, Surroundings};
    /// use taskq_core::{Context, Message, QueueName};
    ///
    /// let around = Surroundings::new(QueueName::default(), "w1@test");
    /// let context = Context::new(&Message::new("report"), around);
    /// context.cancel(Cancelled::SoftTimeLimit);
    /// assert!(context.cancellation().is_cancelled());
    /// assert_eq!(context.cancelled_by(), Some(Cancelled::SoftTimeLimit));
    /// ```
    pub fn cancel(&self, why: Cancelled) {
        let (reason, token) = self.end();
        reason.set(why);
        token.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::id::QueueName;
    use crate::message::Message;
    use crate::task::Surroundings;

    fn context() -> Context {
        let around = Surroundings::new(QueueName::default(), "w@test");
        Context::new(&Message::new("t"), around)
    }

    #[test]
    fn a_soft_limit_gives_way_to_what_ends_it_and_that_stays() {
        let context = context();
        assert_eq!(context.cancelled_by(), None);
        context.cancel(Cancelled::SoftTimeLimit);
        assert_eq!(context.cancelled_by(), Some(Cancelled::SoftTimeLimit));
        context.cancel(Cancelled::Revoked);
        context.cancel(Cancelled::Stopping);
        context.cancel(Cancelled::SoftTimeLimit);
        assert_eq!(context.cancelled_by(), Some(Cancelled::Revoked));
    }

    #[test]
    fn a_token_that_fires_without_a_word_is_a_lost_lease() {
        let context = context();
        context.cancellation().cancel();
        assert_eq!(context.cancelled_by(), Some(Cancelled::LeaseLost));
    }

    #[tokio::test]
    async fn only_the_soft_limit_is_an_error() {
        let soft = context();
        assert_eq!(soft.within_limits(async { 1 }).await, Ok(1));
        let (never, told) = tokio::join!(soft.within_limits(pending::<()>()), async {
            soft.cancel(Cancelled::SoftTimeLimit);
        });
        assert_eq!((never, told), (Err(SoftTimeLimit), ()));
        // Over is over: nothing is begun any more.
        assert_eq!(soft.within_limits(async { 1 }).await, Err(SoftTimeLimit));

        let lost = context();
        lost.cancellation().cancel();
        assert_eq!(lost.within_limits(async { 1 }).await, Ok(1));
    }
}
