//! Signals: the first begins the warm stop, the second ends the process at once.

use tokio_util::sync::CancellationToken;

use crate::error::RunError;
use crate::thread;

/// Listens on a thread of its own, which no task can block. The answer is the exit status of the second signal:
/// 128 and its number.
///
/// It returns once the handlers stand: no signal after that ends the process by the system's default.
pub(super) fn listen(
    stop: CancellationToken,
) -> impl Future<Output = Result<u8, RunError>> + Send + Unpin {
    let (ready, is_ready) = std::sync::mpsc::sync_channel::<()>(1);
    let listens = thread::run("taskq-signals", move || async move {
        let signals = Signals::new();
        // Dropping the sender wakes the receiver, whatever came of it.
        drop(ready);
        let mut signals = signals.map_err(|e| RunError::Died {
            duty: "signal handler",
            reason: e.to_string(),
        })?;
        signals.next().await;
        stop.cancel();
        Ok(signals.next().await)
    });
    // Nothing is ever sent: this waits for the drop.
    while is_ready.recv().is_ok() {}
    listens
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 128 + 15,
            _ = self.interrupt.recv() => 128 + 2,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> u8 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        128 + 2
    }
}
