//! What a worker's program shares among its tasks, and does once before the first and once after the last of them.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use taskq_core::task::State;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::RunError;
use crate::worker::Builder;

/// How long a hook of the end may take.
const LAST_HOOK: Duration = Duration::from_secs(5);

type Fault = Box<dyn std::error::Error + Send + Sync>;
type Start = Box<dyn FnOnce(State) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync>;
type Stop = Box<dyn FnOnce(State) -> BoxFuture<'static, ()> + Send + Sync>;

impl Builder {
    /// A value that tasks, middleware and hooks reach by its type: with
    /// [`Context::state`](crate::Context::state), and in a hook with [`State::get`](crate::task::State::get). There is one
    /// per type, the last one given, for as long as the worker lives.
    ///
    /// With [`on_start`](Self::on_start) and [`on_stop`](Self::on_stop) it is what a task needs around it:
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use taskq_worker::task::State;
    /// use taskq_worker::{Builder, Worker};
    ///
    /// #[derive(Default)]
    /// struct Prices(Mutex<Vec<u64>>);
    ///
    /// fn complete(worker: Builder) -> Builder {
    ///     worker
    ///         .state(Prices::default())
    ///         .on_start(|state: State| async move {
    ///             let prices = state.get::<Prices>().ok_or("no prices")?;
    ///             prices.0.lock().map_err(|_| "broken")?.push(42); // read them from somewhere
    ///             Ok::<_, &str>(())
    ///         })
    ///         .on_stop(|state: State| async move {
    ///             tracing::info!(shared = ?state, "all verdicts are told");
    ///         })
    /// }
    ///
    /// let worker = complete(Worker::builder());
    /// // In a program: `taskq_worker::cli::main_with(|worker| Ok(complete(worker)))`
    /// # let _ = worker;
    /// ```
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.draft.state = self.draft.state.with(value);
        self
    }

    /// Runs once before the worker reaches for the broker: nothing is claimed before it has ended. Several run in the order
    /// in which they were given.
    ///
    /// It runs where the tasks do. It may take its time, until the worker is stopped. Its error, or its panic, ends the
    /// worker: [`RunError::Start`], on a command line exit status 1.
    pub fn on_start<F, E>(mut self, hook: impl FnOnce(State) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let start = |state| hook(state).map(|end| end.map_err(Into::into)).boxed();
        self.draft.hooks.starts.push(Box::new(start));
        self
    }

    /// Runs once after the last verdict was told to the broker, if the hooks of the start have all succeeded, whatever
    /// ended the worker. Several run in the opposite order. Each has 5 s.
    ///
    /// It does not run when the worker's process is killed, a second signal ends it, or the future of
    /// [`Worker::run`](crate::Worker::run) is dropped.
    pub fn on_stop<F>(mut self, hook: impl FnOnce(State) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.draft
            .hooks
            .stops
            .push(Box::new(|state| hook(state).boxed()));
        self
    }
}

/// The hooks of a worker, in the order in which they were given.
#[derive(Default)]
pub(crate) struct Hooks {
    starts: Vec<Start>,
    stops: Vec<Stop>,
}

impl Hooks {
    /// Runs `work` between the hooks of the start and those of the end.
    pub(crate) async fn around(
        self,
        tasks: &Handle,
        state: &State,
        stop: &CancellationToken,
        work: impl Future<Output = Result<(), RunError>>,
    ) -> Result<(), RunError> {
        for start in self.starts {
            let state = state.clone();
            let hook = AbortOnDropHandle::new(tasks.spawn(async move { start(state).await }));
            let end = tokio::select! {
                biased;
                end = hook => end,
                () = stop.cancelled() => return Ok(()),
            };
            end.map_err(|e| RunError::Start(ended(e)))?
                .map_err(|e| RunError::Start(e.to_string()))?;
        }
        let end = work.await;
        for stop in self.stops.into_iter().rev() {
            let state = state.clone();
            let hook = AbortOnDropHandle::new(tasks.spawn(async move { stop(state).await }));
            match tokio::time::timeout(LAST_HOOK, hook).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => tracing::error!("a stop hook failed: {}", ended(e)),
                Err(_) => {
                    tracing::error!(
                        "a stop hook did not end within {LAST_HOOK:.0?}: it is cut off"
                    );
                }
            }
        }
        end
    }
}

fn ended(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("it panicked: {}", crate::supervisor::last_words(&*panic)),
        Err(error) => error.to_string(),
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (starts, stops) = (self.starts.len(), self.stops.len());
        write!(f, "Hooks({starts} at the start, {stops} at the end)")
    }
}
