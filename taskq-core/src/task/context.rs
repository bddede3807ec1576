//! The context: what a running task knows of its own call.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::cancelled::Reason;
use crate::broker::Inspect;
use crate::dispatch::Dispatcher;
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};
use crate::message::Message;
use crate::record::Progress;
use crate::signature::Signature;

use super::progress::{Heard, Said};

/// What a task learns about its call, and its way to send further tasks. Cheap to clone.
///
/// A task takes it as its first parameter:
///
/// ```
/// use taskq_core::{Context, TaskError, task};
///
/// #[task]
/// async fn greet(ctx: Context, name: String) -> Result<String, TaskError> {
///     let greeting = ctx.state::<String>()?; // what the worker was built with
///     if ctx.attempt() == 1 {
///         ctx.send(note::call(name.clone())).await?;
///     }
///     let tenant = ctx.headers().get("tenant").map_or("-", String::as_str);
///     Ok(format!("{greeting} {name}, says {tenant}"))
/// }
///
/// #[task]
/// async fn note(name: String) {
///     println!("{name} was greeted");
/// }
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Context {
    call: Arc<Call>,
}

#[derive(Debug)]
struct Call {
    id: TaskId,
    root_id: TaskId,
    attempt: u32,
    crashes: u8,
    queue: QueueName,
    worker: Arc<str>,
    headers: BTreeMap<String, String>,
    cancelled: CancellationToken,
    cancelled_by: Reason,
    state: State,
    dispatcher: Option<Dispatcher>,
    heard: Option<Heard>,
    said: Said,
}

impl Context {
    /// The context of one run of `message`; the worker makes it.
    #[must_use]
    pub fn new(message: &Message, around: Surroundings) -> Self {
        let Surroundings {
            crashes,
            queue,
            worker,
            cancelled,
            state,
            dispatcher,
            heard,
        } = around;
        Self {
            call: Arc::new(Call {
                id: message.id,
                root_id: message.root_id.unwrap_or(message.id),
                attempt: message.attempt(),
                crashes,
                queue,
                worker,
                headers: message.headers.clone(),
                cancelled,
                cancelled_by: Reason::default(),
                state,
                dispatcher,
                heard,
                said: Said::default(),
            }),
        }
    }

    /// The id of this call.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.call.id
    }

    /// Which attempt this is: 1 for the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.call.attempt
    }

    /// How often a process died while it held this call.
    #[must_use]
    pub fn crashes(&self) -> u8 {
        self.call.crashes
    }

    /// The queue it came through.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.call.queue
    }

    /// The node name of the worker that runs it.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.call.worker
    }

    /// The message's headers.
    #[must_use]
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.call.headers
    }

    /// Fires when this run is to end; [`cancelled_by`](Self::cancelled_by) tells why.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.call.cancelled
    }

    pub(super) fn end(&self) -> (&Reason, &CancellationToken) {
        (&self.call.cancelled_by, &self.call.cancelled)
    }

    /// The shared value of type `T` that the worker was built with.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the worker has none.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, Error> {
        self.call.state.get().ok_or_else(|| {
            Error::invalid(format!(
                "the worker holds no shared {}: give it one with `Worker::builder().state(…)`",
                std::any::type_name::<T>()
            ))
        })
    }

    /// Tells how far this run has got: `done` of `total`, in units of the task's own, and what it is at.
    ///
    /// It costs no more than a note in memory, never waits and never fails; call it as often as there is something to
    /// tell. The first value is stored at once, then the newest one every 500 ms at most, and the last one together with
    /// the end of the attempt; the next attempt begins without. Readers see it in the record of the call, so of a task
    /// with `ignore_result` only `taskq inspect active` shows it. A `total` of 0 means that it is not known, and `done`
    /// may exceed a total that turned out too small. An empty note is none; one beyond 256 bytes is cut.
    ///
    /// Called when the run no longer counts, or where no worker hears it, it is kept in the context alone.
    ///
    /// ```
    /// use taskq_core::message::Message;
    /// use taskq_core::task::Surroundings;
    /// use taskq_core::{Context, task};
    ///
    /// #[task]
    /// fn index(ctx: Context, pages: Vec<String>) -> usize {
    ///     for (page, n) in pages.iter().zip(0..) {
    ///         ctx.progress(n, pages.len() as u64, &format!("reading {page}"));
    ///     }
    ///     pages.len()
    /// }
    ///
    /// // As a unit test runs it, without a worker:
    /// # fn main() -> Result<(), taskq_core::Error> {
    /// let around = Surroundings::new("celery".parse()?, "w1@here");
    /// let ctx = Context::new(&Message::new("index"), around);
    /// index(ctx.clone(), vec!["a".into(), "b".into()]);
    /// let last = ctx.last_progress().expect("it told of its progress");
    /// assert_eq!((last.done, last.total), (1, 2));
    /// assert_eq!(last.note.as_deref(), Some("reading b"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn progress(&self, done: u64, total: u64, note: &str) {
        if self.call.said.say(done, total, note)
            && let Some(heard) = &self.call.heard
        {
            heard.by.has_news(heard.as_of);
        }
    }

    /// What this run told last of how far it has got.
    #[must_use]
    pub fn last_progress(&self) -> Option<Progress> {
        self.call.said.last()
    }

    /// Whether this run has told how far it has got.
    #[must_use]
    pub fn has_progress(&self) -> bool {
        self.call.said.anything()
    }

    /// Whether there is [progress](Self::progress) that was not taken yet; from here on it counts as taken. For the
    /// worker, which stores it.
    #[must_use]
    pub fn take_news(&self) -> bool {
        self.call.said.take_news()
    }

    /// Sends another task. It carries this call's trace parent, and its id as parent.
    ///
    /// # Errors
    /// As `Client::send`; [`ErrorKind::Unsupported`] in a context that was made without a broker.
    pub async fn send<R>(&self, signature: Signature<R>) -> Result<TaskId, Error> {
        let dispatcher = self.dispatcher("send to")?;
        let mut signature = signature.parent(self.call.id, self.call.root_id);
        if let Some(trace) = self.call.headers.get("traceparent") {
            signature = signature.default_header("traceparent", trace);
        }
        dispatcher.send(signature).await.map(|sent| sent.id)
    }

    /// The broker of the worker that runs this call, for tasks that watch it: queues, workers, totals, events.
    ///
    /// Each request that its calls make ends at the broker's own deadline, 3 s over Redis and 30 s at a file, as
    /// [`ErrorKind::Unreachable`]. A call that makes many, as a [`find`](Inspect::find) in long lists does, has no deadline for
    /// the whole: who needs one puts `tokio::time::timeout` around it.
    ///
    /// ```
    /// use taskq_core::{Context, TaskError, task};
    ///
    /// #[task]
    /// async fn sent_so_far(ctx: Context) -> Result<u64, TaskError> {
    ///     Ok(ctx.inspect()?.totals(ctx.queue()).await?.sent)
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] in a context that was made without a broker.
    pub fn inspect(&self) -> Result<Arc<dyn Inspect>, Error> {
        Ok(self.dispatcher("look at")?.inspect())
    }

    fn dispatcher(&self, wish: &str) -> Result<&Dispatcher, Error> {
        self.call.dispatcher.as_ref().ok_or_else(|| {
            let text = format!("this context has no broker to {wish}");
            Error::new(ErrorKind::Unsupported, text)
        })
    }
}

/// What a worker gives a run beside its message.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Surroundings {
    /// How often a process died while it held the message.
    pub crashes: u8,
    /// The queue it came through.
    pub queue: QueueName,
    /// The node name of the worker.
    pub worker: Arc<str>,
    /// Fires when the run is to end.
    pub cancelled: CancellationToken,
    /// What the worker's tasks share.
    pub state: State,
    /// What it sends further tasks with; `None`: it can not.
    pub dispatcher: Option<Dispatcher>,
    /// Who stores the progress that it tells; `None`: nobody, it stays in the context.
    pub heard: Option<Heard>,
}

impl Surroundings {
    /// A first run, nothing shared and nothing to send with.
    #[must_use]
    pub fn new(queue: QueueName, worker: impl Into<Arc<str>>) -> Self {
        Self {
            crashes: 0,
            queue,
            worker: worker.into(),
            cancelled: CancellationToken::new(),
            state: State::default(),
            dispatcher: None,
            heard: None,
        }
    }
}

/// Values shared by all runs of a worker, one per type.
///
/// ```
/// use taskq_core::task::State;
///
/// let state = State::default().with(42_u64).with("hello".to_owned());
/// assert_eq!(state.get::<u64>().as_deref(), Some(&42));
/// assert!(state.get::<u8>().is_none());
/// ```
#[derive(Clone, Default)]
pub struct State {
    values: Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl State {
    /// The same values and this one.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        Arc::make_mut(&mut self.values).insert(TypeId::of::<T>(), Arc::new(value));
        self
    }

    /// The value of type `T`.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.values.get(&TypeId::of::<T>())?;
        value.clone().downcast().ok()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "State({} values)", self.values.len())
    }
}
