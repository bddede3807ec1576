//! Running what is due: one delivery, all there are, or a call at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use taskq_core::broker::{Delivery, Inspect, Place};
use taskq_core::message::OnCrash;
use taskq_core::{Message, Signature, TaskId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::broker::{Core, TestBroker};
use super::fault::Fault;
use super::process::Process;
use super::ran::{Drained, Ended, Ran};
use super::tap::lock;

/// What has not come to an end after so many deliveries never does.
const ENDLESS: u64 = 100_000;

impl TestBroker {
    /// Sends a call and runs it at once, before all others; answers what became of this attempt.
    ///
    /// What the call's task sends waits, unless the broker is [inline](super::TestBrokerBuilder::inline). What is due before it
    /// is claimed and given back to where it lay: of that nothing is to be seen but the total `returned`.
    ///
    /// ```
    /// use taskq_worker::task;
    /// use taskq_worker::testing::{Ended, TestBroker};
    ///
    /// #[task(name = "math.divide")]
    /// async fn divide(a: i64, b: i64) -> Result<i64, String> {
    ///     a.checked_div(b).ok_or_else(|| "by zero".to_owned())
    /// }
    ///
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() {
    ///     let broker = TestBroker::new();
    ///     assert_eq!(broker.run(divide::call(6, 3)).await.value(), 2);
    ///     let ran = broker.run(divide::call(6, 0)).await;
    ///     assert!(matches!(ran.ended, Ended::Retry { .. }), "{ran}");
    /// }
    /// ```
    ///
    /// # Panics
    /// When it can not be sent, or not be run now: it is delayed, its queue is paused or not the worker's, or an earlier call
    /// holds its idempotency key.
    pub async fn run<R>(&self, call: Signature<R>) -> Ran<R> {
        let (id, task) = (call.task_id(), call.task().to_owned());
        // Inline, nothing else is to run it.
        let _turn = self.core.turn.lock().await;
        let sent = self.client().send(call).await;
        let sent = sent.unwrap_or_else(|e| panic!("{task} was not sent: {e}"));
        assert!(
            sent.id() == id,
            "{task} was not put in: an earlier call, {}, holds its idempotency key",
            sent.id()
        );
        let Some(ran) = self.core.next(Some(id)).await else {
            let why = self.core.why_not_due(id).await;
            panic!("{task} can not be run at once: {why}")
        };
        if self.core.inline {
            self.core.all_that_is_due().await;
        }
        ran.typed()
    }

    /// Runs the next delivery that is due, whatever its queue; `None`: nothing is due.
    ///
    /// ```
    /// # use taskq_worker::task;
    /// # use taskq_worker::testing::{Ended, TestBroker};
    /// # #[task(name = "math.add")]
    /// # async fn add(a: i64, b: i64) -> i64 { a + b }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let broker = TestBroker::new();
    /// let first = broker.client().send(add::call(1, 1)).await.unwrap();
    /// broker.client().send(add::call(2, 2)).await.unwrap();
    /// let ran = broker.step().await.unwrap();
    /// assert_eq!((ran.id, ran.ended), (first.id(), Ended::Done));
    /// assert!(broker.step().await.is_some());
    /// assert!(broker.step().await.is_none());
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the worker can not be started: an `on_start` hook fails.
    pub async fn step(&self) -> Option<Ran> {
        let _turn = self.core.turn.lock().await;
        self.core.next(None).await
    }

    /// Runs what is due until nothing is left, what is sent meanwhile included; answers how many ended how.
    ///
    /// The clock stands, but for what tasks sleep: what is delayed, retries included, is left.
    ///
    /// # Panics
    /// As [`step`](Self::step); and after 100,000 deliveries, when there seems to be no end.
    pub async fn drain(&self) -> Drained {
        let _turn = self.core.turn.lock().await;
        self.core.all_that_is_due().await
    }

    /// Runs everything until nothing is left, and moves the clock to whatever is due next: retries and delayed calls run, and
    /// what a crashed worker held.
    ///
    /// ```
    /// # use taskq_worker::task;
    /// # use taskq_worker::testing::{Drained, TestBroker};
    /// #[task(name = "shop.borrow", max_retries = 4)]
    /// async fn pay() -> Result<(), String> {
    ///     Err("no money".to_owned())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let broker = TestBroker::new();
    /// broker.client().send(pay::call()).await.unwrap();
    /// assert_eq!(broker.drain_all().await, Drained { retried: 4, failed: 1, ..Drained::default() });
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`drain`](Self::drain) and [`advance`](Self::advance).
    pub async fn drain_all(&self) -> Drained {
        let mut all = Drained::default();
        loop {
            all.add(self.drain().await);
            assert!(all.total() < ENDLESS, "{}", endless());
            match self.core.next_due().await {
                Some(wait) => self.advance(wait).await,
                None => return all,
            }
        }
    }
}

impl Core {
    /// Inline: runs what is due, unless that is being done; then it is done right after.
    pub(super) async fn run_what_is_due(&self) {
        self.more.store(true, Ordering::SeqCst);
        while self.more.load(Ordering::SeqCst)
            && let Ok(_turn) = self.turn.try_lock()
        {
            self.more.store(false, Ordering::SeqCst);
            self.all_that_is_due().await;
        }
    }

    pub(super) async fn all_that_is_due(&self) -> Drained {
        let mut drained = Drained::default();
        while let Some(ran) = self.next(None).await {
            drained.count(&ran.ended);
            assert!(drained.total() < ENDLESS, "{}", endless());
        }
        drained
    }

    /// The process that takes deliveries; after a crash, a new one.
    pub(super) async fn process(&self) -> Arc<Process> {
        assert!(
            !self.plan.config.stop.is_cancelled(),
            "the test's worker was stopped: make a new broker, or stop this one later"
        );
        self.plan.start().await;
        let queues = self.queues().await;
        let there = lock(&self.process).clone();
        let process = match there {
            Some(process) => process,
            None => {
                let first = self.plan.config.queues.clone();
                let process = Arc::new(Process::start(&self.plan, &self.tap, first).await);
                *lock(&self.process) = Some(Arc::clone(&process));
                process
            }
        };
        for queue in queues {
            process.serve(&queue).await;
        }
        process
    }

    /// Carries out the next delivery that is due, or this one of all that are.
    async fn next(&self, only: Option<TaskId>) -> Option<Ran> {
        let process = self.process().await;
        let Some(id) = only else {
            let delivery = process.claim(1).await.pop()?;
            return Some(self.carry_out(&process, delivery).await);
        };
        let delivery = process.claim_this(id).await?;
        Some(self.carry_out(&process, delivery).await)
    }

    /// One delivery, with the fault that waits for it.
    async fn carry_out(&self, process: &Arc<Process>, delivery: Delivery) -> Ran {
        let task = Message::decode(&delivery.body).map_or_else(|_| String::new(), |m| m.task);
        let end = match self.faults.take(&task) {
            Some(Fault::CrashAfterClaim) => Err(self.crash().await),
            Some(Fault::CrashBeforeFinish) => {
                drop(process.run(delivery.clone()).await);
                Err(self.crash().await)
            }
            Some(Fault::CrashDuring(time)) => {
                let run = tokio::time::timeout(time, run_and_finish(process, delivery.clone()));
                match run.await {
                    Ok(end) => end,
                    Err(_) => Err(self.crash().await),
                }
            }
            Some(Fault::DuplicateDelivery) => self.twice(process, delivery.clone()).await,
            Some(Fault::LostReply) | None => run_and_finish(process, delivery.clone()).await,
        };
        Ran::of(&delivery, end)
    }

    /// The process is gone, with all it holds; the next one starts.
    async fn crash(&self) -> Ended {
        let dead = lock(&self.process).take();
        if let Some(dead) = dead {
            // The next one goes by its name: on the same machine it takes the place of a dead one at once.
            dead.withdraw().await;
        }
        let over = Instant::now() + self.plan.config.lease;
        lock(&self.crashed).push(over);
        // Who judges the dead has to have lived for as long as their lease.
        self.process().await;
        Ended::Crashed
    }

    /// The first worker does not notice that its message has gone to a second one.
    async fn twice(
        &self,
        first: &Arc<Process>,
        mut delivery: Delivery,
    ) -> Result<taskq_core::broker::Verdict, Ended> {
        let Ok(message) = Message::decode(&delivery.body) else {
            // No task is run for it.
            return run_and_finish(first, delivery).await;
        };
        assert!(
            message.on_crash == OnCrash::Requeue,
            "{} is never delivered twice: it runs at most once (on_crash = \"dead\"), and is DEAD once its worker has lost it; take `Fault::DuplicateDelivery` out",
            message.task
        );
        delivery.lost = CancellationToken::new();
        lock(&self.process).take();
        first.close().await;
        let queue = vec![delivery.queue.clone().into()];
        let second = Process::start(&self.plan, &self.tap, queue).await;
        let Some(again) = second.claim_this(message.id).await else {
            return run_and_finish(first, delivery).await;
        };
        let (_, end) = tokio::join!(
            run_and_finish(first, delivery),
            run_and_finish(&second, again)
        );
        second.close().await;
        end
    }

    /// How long until something more is due by itself; `None`: nothing ever is.
    pub(super) async fn next_due(&self) -> Option<Duration> {
        let now = taskq_core::clock::now_ms();
        let mut first: Option<Duration> = None;
        for queue in self.queues().await {
            let paused = self
                .memory
                .depth(&queue)
                .await
                .is_ok_and(|d| d.paused.is_some());
            let delayed = self.memory.delayed(&queue, 1).await;
            let Some(next) = delayed
                .ok()
                .and_then(|d| d.into_iter().next())
                .filter(|_| !paused)
            else {
                continue;
            };
            let wait = Duration::from_millis(next.due.saturating_sub(now).max(1));
            first = Some(first.map_or(wait, |first| first.min(wait)));
        }
        let crashed = lock(&self.crashed).iter().min().copied();
        let back = crashed.map(|at| at.saturating_duration_since(Instant::now()));
        let back = back.map(|wait| wait.max(Duration::from_millis(1)));
        [first, back].into_iter().flatten().min()
    }

    /// Why a call that was sent is not among what is due.
    async fn why_not_due(&self, id: TaskId) -> String {
        for queue in self.queues().await {
            let Ok(found) = self.memory.find(&queue, id).await else {
                continue;
            };
            let Some((place, _)) = found.place else {
                continue;
            };
            if let Place::Delayed { due } = place {
                let wait = Duration::from_millis(due.saturating_sub(found.now));
                return format!("it is due in {wait:?}; send it, `advance` the clock, and `drain`");
            }
            return format!("its queue {queue} is paused, or it is held: {place:?}");
        }
        "it is in none of the queues that the worker takes from".to_owned()
    }
}

async fn run_and_finish(
    process: &Process,
    delivery: Delivery,
) -> Result<taskq_core::broker::Verdict, Ended> {
    let queue = delivery.queue.clone();
    let verdict = process.run(delivery).await.ok_or(Ended::Lost)?;
    let finished = process.finish(&queue, verdict.clone()).await;
    if finished.applied == 0 {
        return Err(Ended::Lost);
    }
    Ok(verdict)
}

fn endless() -> String {
    format!(
        "{ENDLESS} deliveries, and more are due: does a task send itself, or snooze, for ever? Use `step`"
    )
}
