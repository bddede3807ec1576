//! The context: what a running task knows of its own call.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::cancelled::Reason;
use crate::dispatch::Dispatcher;
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};
use crate::message::Message;
use crate::signature::Signature;

/// What a task learns about its call, and its way to send further tasks. Cheap to clone.
///
/// A task takes it as its first parameter: `async fn greet(ctx: Context, name: String)`.
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

    /// Sends another task. It carries this call's trace parent, and its id as parent.
    ///
    /// # Errors
    /// As `Client::send`; [`ErrorKind::Unsupported`] in a context that was made without a broker.
    pub async fn send<R>(&self, signature: Signature<R>) -> Result<TaskId, Error> {
        let dispatcher = self.call.dispatcher.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "this context has no broker to send to",
            )
        })?;
        let mut signature = signature.parent(self.call.id, self.call.root_id);
        if let Some(trace) = self.call.headers.get("traceparent") {
            signature = signature.default_header("traceparent", trace);
        }
        dispatcher.send(signature).await.map(|sent| sent.id)
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
        }
    }
}

/// Values shared by all runs of a worker, one per type.
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
