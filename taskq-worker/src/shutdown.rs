//! The warm stop: nothing new starts, what runs may finish, the rest goes back.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use taskq_core::broker::Consumer;

use crate::deadline::{CALL, within};
use crate::error::RunError;
use crate::ledger::Ledger;
use crate::trouble::Trouble;

/// How long cancelled runs have to end before their messages go back nevertheless.
const CANCELLED: Duration = Duration::from_millis(500);
/// How long the last verdicts have to be acknowledged once the grace is over.
const LAST_VERDICTS: Duration = Duration::from_secs(3);
/// How often one looks for what was claimed late.
const AGAIN: Duration = Duration::from_millis(100);
/// How long the farewell to the broker may take.
const CLOSE: Duration = Duration::from_secs(2);

/// The stop of one worker. It is consumed by running it: a worker stops once.
#[derive(Debug)]
pub(crate) struct Shutdown {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) grace: Duration,
}

impl Shutdown {
    /// Lets running tasks finish for up to the grace, gives back the rest, and closes the sessions.
    ///
    /// `fetcher` is the fetcher's end: it settles the claim under way first. `stuck` ends the grace, and is what comes of
    /// the stop then: nothing may be able to run beside what is stuck.
    pub(crate) async fn run(
        self,
        fetcher: impl Future<Output = ()>,
        stuck: impl Future<Output = RunError>,
    ) -> Result<(), RunError> {
        let running = match self.ledger.running().len() {
            1 => "1 task runs".to_owned(),
            n => format!("{n} tasks run"),
        };
        tracing::info!(
            "stopping: {running}, with {:.0?} to finish; a second signal ends at once",
            self.grace
        );
        let finished = async {
            fetcher.await;
            self.ledger.settled().await;
        };
        // From the first moment on no crash is charged, whatever happens to this process.
        let retired = retire(&*self.consumer);
        let both = async { tokio::join!(retired, finished) };
        let stuck = stuck.inspect(|error| tracing::error!("{error}"));
        let mut stuck = pin!(stuck);
        let (finished, mut why) = tokio::select! {
            biased;
            error = &mut stuck => (false, Some(error)),
            both = tokio::time::timeout(self.grace, both) => (both.is_ok(), None),
        };
        if !finished {
            let mut back = pin!(self.give_back());
            tokio::select! {
                biased;
                error = &mut stuck, if why.is_none() => {
                    why = Some(error);
                    back.await;
                }
                () = &mut back => {}
            }
        }
        let unsettled = self.ledger.unsettled();
        let closed = within(CLOSE, "close", self.consumer.close()).await;
        if let Err(e) = &closed {
            tracing::warn!("the sessions could not be closed: {e}; they lapse with their lease");
        }
        if let Some(error) = why {
            return Err(error);
        }
        if unsettled > 0 && closed.is_err() {
            return Err(RunError::Unsettled(unsettled));
        }
        Ok(())
    }

    /// The claim under way may bring what has just gone back, and no thread may be free to run it into the stop.
    async fn all_back(&self) {
        while tokio::time::timeout(AGAIN, self.ledger.settled())
            .await
            .is_err()
        {
            self.ledger.return_all();
        }
    }

    async fn give_back(&self) {
        tracing::warn!(
            "the grace of {:.0?} is over: {} tasks are cut off, their messages go back uncharged",
            self.grace,
            self.ledger.running().len()
        );
        self.ledger.cancel_all();
        let ended = async {
            while self.ledger.open() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(CANCELLED, ended).await.is_err() {
            tracing::warn!(
                "{} tasks did not end when they were cancelled; their messages go back, another worker runs them",
                self.ledger.open()
            );
            self.ledger.return_all();
        }
        // What is not acknowledged by then goes back, uncharged, when the sessions close.
        // The stop was announced within the grace; a grace of zero has dropped that half way.
        let last = async { tokio::join!(retire(&*self.consumer), self.all_back()) };
        drop(tokio::time::timeout(LAST_VERDICTS, last).await);
    }
}

async fn retire(consumer: &dyn Consumer) {
    let mut trouble = Trouble::new("announcing the stop");
    while let Err(e) = within(CALL, "retire", consumer.retire()).await {
        tokio::time::sleep(trouble.failed(&e)).await;
    }
}
