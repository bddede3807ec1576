//! Orders that change what the worker takes from, and how many tasks it runs at once.

use std::sync::Arc;
use std::time::Duration;

use taskq_core::QueueName;
use taskq_core::broker::{Consumer, Order, Served};
use taskq_core::control::Done;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use crate::config::{MOST_SLOTS, WEIGHTS};
use crate::deadline::{CALL, within};
use crate::finisher::Opened;
use crate::ledger::Ledger;
use crate::serving::{Serving, shown};

/// A worker may have taken from so many queues: each has a finisher of its own from then on.
const MOST_QUEUES: usize = 1_000;
/// How long an order waits for the one before it: with the call that it makes then, less than an answer may take.
const TURN: Duration = Duration::from_secs(1);

/// Carries them out for one worker.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) serving: Arc<Serving>,
    pub(crate) opened: Opened,
    /// Held by who changes the queues: what the consumer does and what is noted of it change as one.
    pub(crate) turn: Arc<Mutex<()>>,
    pub(crate) stopping: CancellationToken,
}

impl Pool {
    /// Takes from one more queue, or gives one that it takes from another weight.
    pub(super) async fn add_consumer(&self, queue: &QueueName, weight: u32) -> Done {
        if self.stopping.is_cancelled() {
            return stops();
        }
        if !WEIGHTS.contains(&weight) {
            return Done::Error(format!(
                "the weight of the queue {queue} is {weight}, it goes from {} to {}",
                WEIGHTS.start(),
                WEIGHTS.end()
            ));
        }
        if self.serving.order() == Order::Strict && weight != 1 {
            return Done::Error(format!(
                "this worker serves its queues in strict order, a weight says nothing to it: add {queue} without one, it comes last"
            ));
        }
        let Some(_turn) = self.turn().await else {
            return busy(queue);
        };
        // Before the first message comes, there is somebody to tell what became of it.
        if let Some(verdicts) = self.ledger.admit(queue) {
            if self.ledger.queues() > MOST_QUEUES {
                self.ledger.dismiss(queue);
                return Done::Error(format!(
                    "this worker has taken from {MOST_QUEUES} queues since it started, which is the limit: start it again"
                ));
            }
            if self.opened.send((queue.clone(), verdicts)).is_err() {
                return stops();
            }
        }
        let served = Served {
            queue: queue.clone(),
            weight,
        };
        if let Err(error) = within(CALL, "attach", self.consumer.attach(served.clone())).await {
            return Done::Error(format!("{queue} is not taken from: {error}"));
        }
        let before = self.serving.add(served);
        let (weights, all) = (
            before.filter(|before| *before != weight),
            shown(&self.serving.queues()),
        );
        let said = match (before, weights) {
            (None, _) => format!("takes from {queue} now, all in all from {all}"),
            (Some(_), Some(before)) => {
                format!("the weight of {queue} is {weight} now, it was {before}: {all}")
            }
            (Some(_), None) => format!("takes from {queue} already, all in all from {all}"),
        };
        tracing::info!("{said}, as was asked of it");
        Done::Ok(said)
    }

    /// Takes nothing more from a queue.
    pub(super) async fn cancel_consumer(&self, queue: &QueueName) -> Done {
        if self.stopping.is_cancelled() {
            return stops();
        }
        let Some(_turn) = self.turn().await else {
            return busy(queue);
        };
        let from = |served: &[Served]| match served {
            [] => "it takes from no queue at all now".to_owned(),
            some => format!("it takes from {}", shown(some)),
        };
        let left = within(CALL, "detach", self.consumer.detach(queue)).await;
        // One whose consumer had left it before is noted here all the same, when the answer to that came too late.
        if !self.serving.remove(queue) && matches!(left, Ok(false)) {
            let all = from(&self.serving.queues());
            return Done::Error(format!("it did not take from {queue}: {all}"));
        }
        let all = from(&self.serving.queues());
        let mut said =
            format!("takes nothing more from {queue}, what it holds of it runs on: {all}");
        // It is left from the call on, whatever comes back.
        if let Err(error) = left {
            said.push_str(&format!("; its session there is closed later: {error}"));
        }
        tracing::info!("{said}, as was asked of it");
        Done::Ok(said)
    }

    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        tokio::time::timeout(TURN, self.turn.lock()).await.ok()
    }

    /// Runs so many more tasks at once.
    pub(super) fn grow(&self, n: usize) -> Done {
        let slots = self.serving.slots().total();
        match slots.checked_add(n) {
            _ if n == 0 => nothing(slots),
            Some(more) if more <= MOST_SLOTS => self.resize(slots, more),
            _ => Done::Error(format!(
                "it runs up to {slots} tasks at once and can not run {n} more: {MOST_SLOTS} is the most"
            )),
        }
    }

    /// Runs so many fewer tasks at once.
    pub(super) fn shrink(&self, n: usize) -> Done {
        let slots = self.serving.slots().total();
        match slots.checked_sub(n) {
            _ if n == 0 => nothing(slots),
            Some(fewer) if fewer > 0 => self.resize(slots, fewer),
            _ => Done::Error(format!(
                "it runs up to {slots} tasks at once and can not run {n} fewer: one is the least; cancel_consumer stops a queue"
            )),
        }
    }

    fn resize(&self, from: usize, to: usize) -> Done {
        if self.stopping.is_cancelled() {
            return stops();
        }
        self.ledger.resize(to);
        self.serving.resize(to);
        let mut said = format!("runs up to {to} tasks at once now, it was {from}");
        let running = self.ledger.load().0;
        if running > to {
            said.push_str(&format!(
                "; {running} run right now, and none begins before fewer do"
            ));
        }
        match self.serving.threads() {
            Some(threads) if to > threads => said.push_str(&format!(
                "; of plain functions {threads}: start it with -c {to} for more"
            )),
            _ => {}
        }
        tracing::info!("{said}, as was asked of it");
        Done::Ok(said)
    }
}

fn stops() -> Done {
    Done::Error("this worker has begun to stop: ask one that goes on".to_owned())
}

fn busy(queue: &QueueName) -> Done {
    Done::Error(format!(
        "another order that changes its queues is still under way, nothing was done about {queue}: ask again"
    ))
}

fn nothing(slots: usize) -> Done {
    Done::Error(format!(
        "by 0 nothing changes: it runs up to {slots} tasks at once; say by how many"
    ))
}
