//! A real worker, in this process, at a private Redis.

use std::time::Duration;

use taskq_worker::task::{Registry, TaskDef};
use taskq_worker::{CancellationToken, RunError, Worker};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// No wait of a test is longer; what takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), RunError>>,
}

impl Running {
    /// A worker of `def` at `queues`, with a lease of one second.
    pub(crate) fn start(url: &str, def: &'static TaskDef, queues: &[&str]) -> Self {
        let stop = CancellationToken::new();
        let worker = Worker::builder()
            .url(url)
            .registry(Registry::from_defs([def]).unwrap())
            .queues(queues.iter().copied())
            .concurrency(2)
            .lease(Duration::from_secs(1))
            .stop(stop.clone())
            .build()
            .unwrap();
        let ended = tokio::spawn(worker.run());
        Self { stop, ended }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.ended)
            .await
            .expect("the worker ends")
            .unwrap()
            .unwrap();
    }
}

/// Asks until the answer is yes.
pub(crate) async fn until(what: &str, is: impl Fn() -> bool) {
    let asked = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, asked).await.is_ok(), "never: {what}");
}
