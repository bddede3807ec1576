//! An OS thread with a runtime of its own, which no task can block.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::error::RunError;
use crate::supervisor::last_words;

/// Runs the future that `start` makes on a new thread called `name`; the answer is its result.
///
/// It goes on when the answer is dropped: give it a token to end by.
pub(crate) fn run<F, T>(
    name: &'static str,
    start: impl FnOnce() -> F + Send + 'static,
) -> impl Future<Output = Result<T, RunError>> + Send + Unpin
where
    F: Future<Output = Result<T, RunError>>,
    T: Send + 'static,
{
    let (tell, told) = oneshot::channel();
    let body = move || {
        let end = catch_unwind(AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| died(name, format!("its runtime did not start: {e}")))?;
            runtime.block_on(start())
        }));
        let end = end.unwrap_or_else(|panic| Err(died(name, last_words(&*panic))));
        // Nobody listens any more when the worker's future was dropped.
        drop(tell.send(end));
    };
    let spawned = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body);
    Box::pin(async move {
        if let Err(e) = spawned {
            return Err(died(name, format!("its thread did not start: {e}")));
        }
        told.await
            .unwrap_or_else(|_| Err(died(name, "its thread is gone".to_owned())))
    })
}

fn died(duty: &'static str, reason: String) -> RunError {
    RunError::Died { duty, reason }
}
