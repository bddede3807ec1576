//! The handle: one call, seen from its sender.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use taskq_core::broker::Results;
use taskq_core::{Error, Progress, QueueName, Record, State, TaskId};

use crate::ends::end;
use crate::wait::{WaitError, answer};

/// A call that was sent, whose result is an `R`.
pub struct TaskHandle<R> {
    results: Arc<dyn Results>,
    id: TaskId,
    queue: Option<QueueName>,
    tracked: bool,
    result: PhantomData<fn() -> R>,
}

impl<R> TaskHandle<R> {
    pub(crate) fn new(
        results: Arc<dyn Results>,
        id: TaskId,
        queue: Option<QueueName>,
        tracked: bool,
    ) -> Self {
        Self {
            results,
            id,
            queue,
            tracked,
            result: PhantomData,
        }
    }

    /// The call's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The queue it was sent to; `None` for a handle made from a bare id.
    #[must_use]
    pub fn queue(&self) -> Option<&QueueName> {
        self.queue.as_ref()
    }

    /// False when it was sent without a record: then there is nothing to wait for.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.tracked
    }

    /// What is stored of it. `None`: not tracked, unknown, or expired.
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn record(&self) -> Result<Option<Record>, Error> {
        if !self.tracked {
            return Ok(None);
        }
        self.results.record(self.id, self.queue.as_ref()).await
    }

    /// Where it stands. `None` as for [`record`](Self::record).
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn state(&self) -> Result<Option<State>, Error> {
        Ok(self.record().await?.map(|record| record.state))
    }

    /// How far its last run has got, if its task tells: what it said last, half a second old at most while it runs.
    ///
    /// A new attempt begins without; what the last one said stays until then. `None` also as for
    /// [`record`](Self::record).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// use taskq_client::Client;
    /// use taskq_worker::{Context, Worker, task};
    ///
    /// #[task(crate = taskq_worker)]
    /// async fn import(ctx: Context, rows: u64) {
    ///     for row in 1..=rows {
    ///         ctx.progress(row, rows, "importing");
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = Arc::new(taskq_worker::broker::memory::MemoryBroker::new());
    /// # let client = Client::builder().over(broker.clone());
    /// # let worker = Worker::builder().backend(broker).build()?;
    /// # tokio::spawn(worker.run());
    /// let handle = client.send(import::call(40)).await?;
    /// handle.wait(Duration::from_secs(60)).await?;
    /// let progress = handle.progress().await?.expect("it told of its progress");
    /// assert_eq!((progress.done, progress.total), (40, 40));
    /// assert_eq!(progress.note.as_deref(), Some("importing"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn progress(&self) -> Result<Option<Progress>, Error> {
        Ok(self.record().await?.and_then(|record| record.progress))
    }

    /// Waits up to `timeout` for its end, and gives its result.
    ///
    /// The broker tells when it has ended; what it could not tell is seen within a second. A call without a record
    /// is waited for too: one that another program pushed has none before it is done. A broker in trouble is
    /// asked again until the time is up. To wait for many at once there is
    /// [`Client::wait_all`](crate::Client::wait_all). A wait that is dropped leaves nothing behind.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// use taskq_client::{Client, WaitError};
    /// use taskq_worker::{TaskError, Worker, task};
    ///
    /// #[task(crate = taskq_worker)]
    /// async fn half(n: i64) -> Result<i64, TaskError> {
    ///     match n % 2 {
    ///         0 => Ok(n / 2),
    ///         _ => Err(TaskError::permanent("it is odd")),
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = Arc::new(taskq_worker::broker::memory::MemoryBroker::new());
    /// # let client = Client::builder().over(broker.clone());
    /// # let registry = taskq_worker::task::Registry::from_defs([&half::DEF])?;
    /// # let worker = Worker::builder().backend(broker).registry(registry).build()?;
    /// # tokio::spawn(worker.run());
    /// let patience = Duration::from_secs(60);
    /// assert_eq!(client.send(half::call(42)).await?.wait(patience).await?, 21);
    /// match client.send(half::call(41)).await?.wait(patience).await {
    ///     Err(WaitError::Failed { error, attempts, .. }) => {
    ///         assert_eq!((error.message.as_str(), attempts), ("it is odd", 1));
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`WaitError`] says which: the task failed, timed out, the results are not kept …
    pub async fn wait(&self, timeout: Duration) -> Result<R, WaitError>
    where
        R: DeserializeOwned,
    {
        answer(self.wait_record(timeout).await?)
    }

    /// As [`wait`](Self::wait), but gives the final record, whatever its state.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`], [`WaitError::ResultsDisabled`] and [`WaitError::Broker`] alone.
    pub async fn wait_record(&self, timeout: Duration) -> Result<Record, WaitError> {
        end(&self.results, self.into(), timeout).await
    }
}

impl<R> Clone for TaskHandle<R> {
    fn clone(&self) -> Self {
        Self::new(
            self.results.clone(),
            self.id,
            self.queue.clone(),
            self.tracked,
        )
    }
}

impl<R> fmt::Debug for TaskHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("id", &self.id)
            .field("queue", &self.queue)
            .field("tracked", &self.tracked)
            .finish_non_exhaustive()
    }
}
