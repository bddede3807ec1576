//! Watching over the worker's loops. Nothing ends unseen:
//!
//! - what holds deliveries or leases (fetcher, finishers, heartbeat) ends the worker by a warm stop when it panics:
//!   its bookkeeping can not be trusted any more, and a new process takes over within a lease;
//! - what holds nothing (sweeper, responder) is started anew after a second.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use crate::error::RunError;

/// Runs a loop without which the worker can not go on; a panic becomes an error.
pub(crate) async fn vital<T>(
    duty: &'static str,
    run: impl Future<Output = Result<T, RunError>>,
) -> Result<T, RunError> {
    AssertUnwindSafe(run)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| {
            Err(RunError::Died {
                duty,
                reason: last_words(&*panic),
            })
        })
}

/// Runs a loop that can be started anew, for ever; drop it to end it.
pub(crate) async fn restarted<F: Future<Output = ()>>(duty: &'static str, start: impl Fn() -> F) {
    restarted_after(Duration::from_secs(1), duty, start).await;
}

async fn restarted_after<F: Future<Output = ()>>(
    pause: Duration,
    duty: &'static str,
    start: impl Fn() -> F,
) {
    loop {
        let reason = match AssertUnwindSafe(start()).catch_unwind().await {
            Ok(()) => "it returned".to_owned(),
            Err(panic) => last_words(&*panic),
        };
        tracing::error!("the {duty} ended: {reason}; starting it anew");
        tokio::time::sleep(pause).await;
    }
}

/// What a panic said.
pub(crate) fn last_words(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without words".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_panic_of_a_vital_loop_is_an_error_that_names_it() {
        let end: Result<(), _> = vital("fetcher", async { panic!("out of cheese") }).await;
        assert_eq!(
            end.unwrap_err().to_string(),
            "the fetcher ended: out of cheese; the worker stopped, start it again"
        );
    }

    #[tokio::test]
    async fn a_loop_that_holds_nothing_is_started_anew() {
        let starts = AtomicU32::new(0);
        let third = tokio::sync::Notify::new();
        let run = restarted_after(Duration::ZERO, "sweeper", || async {
            match starts.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("first"),
                1 => (),
                _ => {
                    third.notify_one();
                    std::future::pending().await
                }
            }
        });
        tokio::select! {
            () = run => {}
            () = third.notified() => {}
        }
        assert_eq!(starts.load(Ordering::SeqCst), 3);
    }
}
