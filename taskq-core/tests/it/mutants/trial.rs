//! One case over one mutant, with an end that the clock on the wall does not decide.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use taskq_core::Error;
use taskq_core::broker::conformance::{Bench, Case};
use tokio::runtime::Runtime;

use super::Mutant;

/// A case that was polled so often goes round in circles: the longest takes some hundreds.
const POLL_LIMIT: usize = 10_000;

/// A case that nobody woke for so many turns of a millisecond at least, waits for what never comes. No case sleeps
/// for a tenth of that; a slow machine makes the turns longer.
const IDLE_LIMIT: usize = 100;

/// Runs a case over a mutant; answers what the case said against it.
pub(super) fn hold(runtime: &Runtime, case: Case, mutant: &Mutant) -> Result<(), String> {
    hush();
    QUIET.set(true);
    let kept = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(bounded(Box::pin(kept(case, mutant.clone()))))
    }));
    QUIET.set(false);
    match kept {
        Ok(Some(Ok(()))) => Ok(()),
        Ok(Some(Err(error))) => Err(format!("the broker answered an error: {error}")),
        Ok(None) => Err("the case hangs".to_owned()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(text.unwrap_or_default())
        }
    }
}

async fn kept(case: Case, mutant: Mutant) -> Result<(), Error> {
    case(Bench::new(mutant).await?).await
}

/// `None` when it does not come to an end.
async fn bounded<T>(mut future: Pin<Box<dyn Future<Output = T>>>) -> Option<T> {
    let rung = Arc::new(Rung(AtomicBool::new(false)));
    let waker = Waker::from(rung.clone());
    let mut idle = 0;
    for _ in 0..POLL_LIMIT {
        rung.0.store(false, Ordering::SeqCst);
        let polled = poll_fn(|_| {
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            Poll::Ready(polled)
        });
        if let Poll::Ready(value) = polled.await {
            return Some(value);
        }
        // The runtime gets its turn, and with it those who wait for that.
        tokio::task::yield_now().await;
        if rung.0.load(Ordering::SeqCst) {
            idle = 0;
            continue;
        }
        idle += 1;
        if idle > IDLE_LIMIT {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

/// Whether somebody woke the case.
struct Rung(AtomicBool);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// A case that fails is what is looked for here: its panic is told in the table alone.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic);
            }
        }));
    });
}
