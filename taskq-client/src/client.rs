//! The client: one connection to the broker, for any number of senders.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use taskq_core::broker::{self, Backend, Results};
use taskq_core::dispatch::{Dispatcher, Sent};
use taskq_core::fleet::{PublishedTask, WorkerCard};
use taskq_core::{Error, QueueName, Record, Signature, TaskId};

use crate::ends::{Awaited, ends};
use crate::handle::TaskHandle;
use crate::options::SendOptions;
use crate::routes::Routes;
use crate::wait::{WaitError, answer};

/// A send is given up after this long, unless the builder says otherwise.
pub const DEFAULT_SEND_DEADLINE: Duration = Duration::from_secs(30);

/// Sends tasks and reads what became of them. Cheap to clone; make one per process and broker.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) backend: Arc<dyn Backend>,
    dispatcher: Dispatcher,
    routes: Arc<Routes>,
}

impl Client {
    /// Connects to the broker at `url`, with the defaults of [`ClientBuilder`].
    ///
    /// # Errors
    /// As [`broker::connect`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// For options.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Sends one call; `Ok` means accepted: it ends in a final state or is still owed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use std::time::Duration;
    /// use taskq_client::{Client, Signature, State};
    /// let client = Client::connect("memory://").await?;
    /// // `add::call(2, 3)` of a `#[task]` is the same, with the types known.
    /// let call = Signature::<i64>::by_name("math.add").args(&(2, 3));
    /// let sent = client.send(call.countdown(Duration::from_secs(60))).await?;
    /// assert_eq!(sent.state().await?, Some(State::Scheduled));
    /// # Ok(()) }
    /// ```
    ///
    /// It goes to the queue it names itself, else to that of the first [route](ClientBuilder::route) that fits its
    /// task, else to its task's own (in its definition, or as workers published it), else to `celery`. If its
    /// idempotency key is held by an earlier call, it is not put in, and the handle is that call's. Calls sent at the same time share their way to the broker.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what was wrong in the signature,
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) over 1 MiB, and
    /// [`ErrorKind::Unreachable`](crate::ErrorKind::Unreachable) after the send deadline. After an error that
    /// [is transient](Error::is_transient) the call may still have been accepted: sent again under the same id
    /// it shares one record, and may run twice.
    pub async fn send<R>(&self, signature: Signature<R>) -> Result<TaskHandle<R>, Error> {
        let sent = self.dispatcher.send(self.routes.lead(signature)).await?;
        Ok(self.handle_of(sent))
    }

    /// Sends many calls, in one command per queue and 500 of them; answers one by one, in order.
    ///
    /// A call that can not be sent does not hold up the others.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use taskq_client::{Client, Signature};
    /// let client = Client::connect("memory://").await?;
    /// let calls = (0..1_000).map(|n| Signature::<i64>::by_name("math.square").args(&[n])).collect();
    /// for handle in client.send_many(calls).await {
    ///     println!("{}", handle?.id());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn send_many<R>(
        &self,
        signatures: Vec<Signature<R>>,
    ) -> Vec<Result<TaskHandle<R>, Error>> {
        let signatures = signatures.into_iter().map(|call| self.routes.lead(call));
        let answers = self.dispatcher.send_many(signatures.collect()).await;
        answers
            .into_iter()
            .map(|answer| answer.map(|sent| self.handle_of(sent)))
            .collect()
    }

    /// Sends a call of the task called `name`, whose code need not be known here.
    ///
    /// `args` is anything that serializes to a JSON array (a tuple, a `Vec`, a `serde_json::Value`), `kwargs`
    /// anything that serializes to an object (a struct, a map); what serializes to `null`, as `()` does, stands for none.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_by_name(
        &self,
        name: &str,
        args: impl Serialize,
        kwargs: impl Serialize,
        options: SendOptions,
    ) -> Result<TaskHandle<Value>, Error> {
        self.send(options.signature(name, &args, &kwargs)?).await
    }

    /// The handle of a call that was sent earlier or elsewhere, whose result is an `R`.
    ///
    /// Asks nobody: whether there is such a call is seen when its record is read.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use taskq_client::{Client, SendOptions, State, TaskId};
    /// let client = Client::connect("memory://").await?;
    /// let sent = client.send_by_name("math.add", (2, 3), (), SendOptions::default()).await?;
    ///
    /// // In another process, with nothing but the id:
    /// let id: TaskId = sent.id().to_string().parse()?;
    /// assert_eq!(client.handle::<i64>(id).state().await?, Some(State::Queued));
    /// assert_eq!(client.handle::<i64>(TaskId::random()).state().await?, None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn handle<R>(&self, id: TaskId) -> TaskHandle<R> {
        TaskHandle::new(self.backend.clone(), id, None, true)
    }

    /// As [`handle`](Self::handle), for a call known to lie in `queue`: the other queues are not asked.
    #[must_use]
    pub fn handle_in<R>(&self, id: TaskId, queue: QueueName) -> TaskHandle<R> {
        TaskHandle::new(self.backend.clone(), id, Some(queue), true)
    }

    /// Waits up to `timeout` for the ends of many calls together, and gives their results in the order asked.
    ///
    /// `calls` are handles, as [`send_many`](Self::send_many) gives them, or bare ids. Each is answered for itself,
    /// as [`TaskHandle::wait`] would: one that failed, or has not ended in time, does not hide the results of the
    /// others. It returns as soon as all have ended. A wait that is dropped leaves nothing behind.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use std::time::Duration;
    /// use taskq_client::{Client, Signature, WaitError};
    /// let client = Client::connect("memory://").await?;
    /// let calls = (0..3).map(|n| Signature::<i64>::by_name("math.square").args(&[n])).collect();
    /// let handles: Vec<_> = client.send_many(calls).await.into_iter().collect::<Result<_, _>>()?;
    ///
    /// let squares: Vec<Result<i64, WaitError>> = client.wait_all(&handles, Duration::from_millis(10)).await;
    /// // No worker runs here, so none has ended.
    /// assert!(squares.iter().all(|s| matches!(s, Err(WaitError::TimedOut { .. }))));
    /// # Ok(()) }
    /// ```
    pub async fn wait_all<R, I>(&self, calls: I, timeout: Duration) -> Vec<Result<R, WaitError>>
    where
        R: DeserializeOwned,
        I: IntoIterator,
        I::Item: Into<Awaited>,
    {
        let ends = self.wait_all_records(calls, timeout).await;
        ends.into_iter().map(|end| answer(end?)).collect()
    }

    /// As [`wait_all`](Self::wait_all), but gives the final records, whatever their states.
    ///
    /// The only errors are [`WaitError::TimedOut`], [`WaitError::ResultsDisabled`] and [`WaitError::Broker`].
    pub async fn wait_all_records<I>(
        &self,
        calls: I,
        timeout: Duration,
    ) -> Vec<Result<Record, WaitError>>
    where
        I: IntoIterator,
        I::Item: Into<Awaited>,
    {
        let results: Arc<dyn Results> = self.backend.clone();
        let calls = calls.into_iter().map(Into::into).collect();
        ends(&results, calls, timeout).await
    }

    /// The tasks that workers published within the last 7 days, by name.
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn tasks(&self) -> Result<Vec<PublishedTask>, Error> {
        self.backend.tasks().await
    }

    /// The task that workers published as `name` within the last 7 days.
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn task(&self, name: &str) -> Result<Option<PublishedTask>, Error> {
        self.backend.task(name).await
    }

    /// The workers that run now, by node name.
    ///
    /// # Errors
    /// When the broker can not be read.
    pub async fn workers(&self) -> Result<Vec<WorkerCard>, Error> {
        self.backend.workers().await
    }

    fn handle_of<R>(&self, sent: Sent) -> TaskHandle<R> {
        TaskHandle::new(
            self.backend.clone(),
            sent.id,
            Some(sent.queue),
            sent.tracked,
        )
    }
}

/// How a [`Client`] is made.
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    send_deadline: Duration,
    one_by_one: bool,
    routes: Routes,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            send_deadline: DEFAULT_SEND_DEADLINE,
            one_by_one: false,
            routes: Routes::default(),
        }
    }
}

impl ClientBuilder {
    /// A send that is not accepted within `deadline` fails; 30 s unless set.
    ///
    /// Services that answer people want less, such as 3 s.
    #[must_use]
    pub fn send_deadline(mut self, deadline: Duration) -> Self {
        self.send_deadline = deadline;
        self
    }

    /// Sends calls of the tasks whose name fits `pattern` to `queue`, unless a call names its queue itself.
    ///
    /// `*` stands for any characters, `?` for one, `[ab]` for one of these, as in Celery's `task_routes`; the whole
    /// name must fit. Of several routes the first that fits counts, in the order they were given.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
    /// use taskq_client::{Client, SendOptions};
    /// let client = Client::builder()
    ///     .route("logistica.reporte_*", "reportes")?
    ///     .route("logistica.*", "logistica")?
    ///     .connect("memory://")
    ///     .await?;
    /// let handle = client.send_by_name("logistica.reporte_diario", (), (), SendOptions::default()).await?;
    /// assert_eq!(handle.queue().unwrap().as_str(), "reportes");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for what is no pattern or no queue's name.
    pub fn route(mut self, pattern: &str, queue: &str) -> Result<Self, Error> {
        self.routes.add(pattern, queue)?;
        Ok(self)
    }

    /// For the test kit, where a send answers when what it sent has run; no promise is made about it.
    #[doc(hidden)]
    #[must_use]
    pub fn one_by_one(mut self) -> Self {
        self.one_by_one = true;
        self
    }

    /// Connects to the broker at `url`.
    ///
    /// # Errors
    /// As [`broker::connect`].
    pub async fn connect(self, url: &str) -> Result<Client, Error> {
        Ok(self.over(broker::connect(url).await?))
    }

    /// A client of a broker that is already connected.
    #[must_use]
    pub fn over(self, backend: Arc<dyn Backend>) -> Client {
        let dispatcher = match self.one_by_one {
            true => Dispatcher::one_by_one(backend.clone(), self.send_deadline),
            false => Dispatcher::new(backend.clone(), self.send_deadline),
        };
        Client {
            dispatcher,
            backend,
            routes: Arc::new(self.routes),
        }
    }
}
