//! Middleware: what a program puts around every attempt of every task.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use taskq_core::task::{Running, TaskDef, TaskResult};
use taskq_core::{Context, Message};
use tokio::runtime::Handle;

use crate::executor::panicked;
use crate::worker::Builder;

/// Something around every attempt: it sees the call before the function runs, and the outcome after it.
///
/// It stands around calls that can run: of a task that the worker offers, with arguments that fit. It is a part of the
/// attempt: its time counts, a limit cuts it off, and when it panics the attempt has failed, as with a panic of the
/// function; the worker goes on. What the function came to, its panic included, is the [`Outcome`](crate::Outcome) that
/// [`Next::run`] answers; what is answered in its place is what counts.
///
/// Around an `async fn` it runs on the worker's runtime; around a plain `fn` on that function's thread.
///
/// # Examples
/// One that notes how long each attempt took, and for which tenant, as a header of the message says:
/// ```
/// use std::time::Instant;
/// use taskq_worker::middleware::{Call, Middleware, Next};
/// use taskq_worker::task::TaskResult;
/// use taskq_worker::{Outcome, async_trait};
///
/// struct Timing;
///
/// #[async_trait]
/// impl Middleware for Timing {
///     async fn around(&self, call: &Call, next: Next<'_>) -> TaskResult {
///         let began = Instant::now();
///         let outcome = next.run().await;
///         let tenant = call.message().headers.get("tenant").map_or("-", String::as_str);
///         let done = matches!(outcome, Outcome::Done(_));
///         tracing::info!(task = call.task().name, tenant, done, ms = began.elapsed().as_millis(), "attempt");
///         outcome
///     }
/// }
///
/// # let worker =
/// taskq_worker::Worker::builder().middleware(Timing)
/// # ;
/// ```
///
/// One that refuses the calls of a tenant that is blocked, and puts off those of one that is over its share:
/// ```
/// use std::collections::HashSet;
/// use std::time::Duration;
/// use taskq_worker::middleware::{Call, Middleware, Next};
/// use taskq_worker::task::TaskResult;
/// use taskq_worker::{Outcome, async_trait};
///
/// /// Held by the worker: `Worker::builder().state(Tenants { … })`.
/// struct Tenants {
///     blocked: HashSet<String>,
///     over: HashSet<String>,
/// }
///
/// struct Admission;
///
/// #[async_trait]
/// impl Middleware for Admission {
///     async fn around(&self, call: &Call, next: Next<'_>) -> TaskResult {
///         let (Some(tenant), Ok(tenants)) = (
///             call.message().headers.get("tenant"),
///             call.context().state::<Tenants>(),
///         ) else {
///             return next.run().await;
///         };
///         if tenants.blocked.contains(tenant) {
///             // The function does not run; the message goes to the dead set, from where it can be replayed.
///             return Outcome::Reject(format!("the tenant {tenant} is blocked"));
///         }
///         if tenants.over.contains(tenant) {
///             return Outcome::Snooze(Duration::from_secs(60)); // costs no attempt
///         }
///         next.run().await
///     }
/// }
///
/// # let worker =
/// taskq_worker::Worker::builder().middleware(Admission)
/// # ;
/// ```
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// Stands around one attempt: `next.run().await` is what comes behind it, the function last. It may do without.
    async fn around(&self, call: &Call, next: Next<'_>) -> TaskResult;
}

/// The call that an attempt is of.
#[derive(Debug, Clone)]
pub struct Call {
    task: &'static TaskDef,
    message: Arc<Message>,
    context: Context,
}

impl Call {
    /// Its task.
    #[must_use]
    pub fn task(&self) -> &'static TaskDef {
        self.task
    }

    /// Its message as it came: arguments, headers, how often it was retried.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// What the function is given as its context: the attempt's number, the queue, the worker's state, cancellation.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }
}

/// What comes behind a middleware: the others, and the function.
#[must_use = "without `run` the function does not run"]
pub struct Next<'a> {
    call: &'a Call,
    rest: &'a [Arc<dyn Middleware>],
    function: Running,
}

impl Next<'_> {
    /// Runs it. A panic in it is answered as the outcome it stands for.
    pub async fn run(self) -> TaskResult {
        let Self {
            call,
            rest,
            function,
        } = self;
        let ended = match (rest.split_first(), function) {
            (Some((first, rest)), function) => {
                let next = Next {
                    call,
                    rest,
                    function,
                };
                let around = async { first.around(call, next).await };
                AssertUnwindSafe(around).catch_unwind().await
            }
            (None, Running::Async(future)) => AssertUnwindSafe(future).catch_unwind().await,
            (None, Running::Blocking(function)) => {
                // Its thread polls the middleware: without this, a function that blocks on a future of its own would panic.
                let function = || tokio::task::block_in_place(function);
                catch_unwind(AssertUnwindSafe(function))
            }
        };
        ended.unwrap_or_else(|panic| panicked(&*panic))
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Next({} more around the function)", self.rest.len())
    }
}

impl Builder {
    /// Puts a [`Middleware`] around every attempt. The first one given is the outermost.
    ///
    /// Without any, an attempt costs nothing more.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.draft.middleware.0.push(Arc::new(middleware));
        self
    }
}

/// The middleware of a worker, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Chain(Vec<Arc<dyn Middleware>>);

impl Chain {
    /// What the middleware is to know of a call; `None`: there is no middleware.
    pub(crate) fn of(
        self: &Arc<Self>,
        task: &'static TaskDef,
        message: &Arc<Message>,
        context: &Context,
    ) -> Option<Around> {
        (!self.0.is_empty()).then(|| Around {
            chain: Arc::clone(self),
            call: Call {
                task,
                message: Arc::clone(message),
                context: context.clone(),
            },
        })
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({} middlewares)", self.0.len())
    }
}

/// A worker's middleware, for one attempt.
pub(crate) struct Around {
    chain: Arc<Chain>,
    call: Call,
}

impl Around {
    /// The same function with the middleware around it. It stays what it was: polled, or run on a thread.
    pub(crate) fn put(self, function: Running) -> Running {
        match function {
            Running::Async(_) => Running::Async(Box::pin(self.run(function))),
            Running::Blocking(_) => {
                let runtime = Handle::current();
                Running::Blocking(Box::new(move || runtime.block_on(self.run(function))))
            }
        }
    }

    async fn run(self, function: Running) -> TaskResult {
        let next = Next {
            call: &self.call,
            rest: &self.chain.0,
            function,
        };
        next.run().await
    }
}
