//! The executor: from a delivery to its verdict, one straight pipeline without I/O of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use taskq_core::broker::{Delivery, End};
use taskq_core::dispatch::Dispatcher;
use taskq_core::task::{Arguments, BadSignature, Registry, Running, State, TaskDef, TaskResult};
use taskq_core::{Context, Failure, Message, Outcome, clock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::ledger::{Held, Run};
use crate::report;
use crate::supervisor::last_words;
use crate::verdict::{self, Call, Ending};

/// Task names in the reason of an unknown one.
const NAMES_TOLD: usize = 10;

/// Runs deliveries.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) registry: Registry,
    pub(crate) node: Arc<str>,
    pub(crate) state: State,
    pub(crate) dispatcher: Dispatcher,
    /// Of the messages that may take the process down for the last time, one runs at a time.
    pub(crate) last_life: Semaphore,
    /// The worker stops: what has not started goes back.
    pub(crate) stopping: CancellationToken,
}

/// Why a delivery has no ending of its own.
enum Cut {
    /// The worker stops, or the delivery is lost: whoever claims it next runs it.
    Back,
    /// It ends without a run.
    Ends(Box<Ending>),
}

impl From<Ending> for Cut {
    fn from(ending: Ending) -> Self {
        Self::Ends(Box::new(ending))
    }
}

impl Executor {
    /// Runs one delivery to its verdict. The slot is free again when the function has ended.
    pub(crate) async fn run(
        self: Arc<Self>,
        delivery: Delivery,
        held: Held,
        slot: OwnedSemaphorePermit,
    ) {
        let message = match Message::decode(&delivery.body) {
            Ok(message) => Arc::new(message),
            Err(error) => {
                let ending = verdict::undecodable(&error, &delivery, &self.node);
                drop(slot);
                report::unreadable(&error, &delivery);
                held.settle(ending.end, ending.record);
                return;
            }
        };
        let span = report::span(&message, &delivery);
        let started = Instant::now();
        let end = self
            .pipeline(&delivery, &message, &held)
            .instrument(span)
            .await;
        drop(slot);
        let counts = match end {
            Ok(ending) => settle(held, &message, &delivery, ending, started),
            Err(Cut::Ends(ending)) => settle(held, &message, &delivery, *ending, started),
            Err(Cut::Back) => held.settle(End::Return, None),
        };
        if !counts {
            report::uncounted(&message, &delivery);
        }
    }

    async fn pipeline(
        &self,
        delivery: &Delivery,
        message: &Arc<Message>,
        held: &Held,
    ) -> Result<Ending, Cut> {
        let mut call = Call {
            message,
            delivery,
            worker: &self.node,
            started: None,
        };
        honours_options(call)?;
        is_due(call)?;
        let def = self.find(call)?;
        let _alone = self.last_life(call, held).await?;
        if self.stopping.is_cancelled() || held.cancelled().is_cancelled() {
            return Err(Cut::Back);
        }
        let started_ms = clock::now_ms();
        call.started = Some(started_ms);
        held.runs(Run {
            message: Arc::clone(message),
            queue: delivery.queue.clone(),
            started_ms,
            started: Instant::now(),
        });
        let context = Context::new(
            message,
            delivery.crashes,
            delivery.queue.clone(),
            Arc::clone(&self.node),
            held.cancelled().clone(),
            self.state.clone(),
            Some(self.dispatcher.clone()),
        );
        let outcome = match start(def, context, message) {
            Ok(Ok(running)) => perform(running, held.cancelled()).await?,
            Ok(Err(bad)) => {
                call.started = None;
                return Err(call.dead("BadSignature", bad.0).into());
            }
            Err(outcome) => outcome,
        };
        Ok(call.conclude(def, outcome))
    }

    fn find(&self, call: Call<'_>) -> Result<&'static TaskDef, Cut> {
        let name = &call.message.task;
        self.registry.get(name).ok_or_else(|| {
            let offered: Vec<_> = self.registry.iter().map(|d| d.name).collect();
            let more = offered.len().saturating_sub(NAMES_TOLD);
            let reason = format!(
                "unknown task `{name}`; this worker offers {}{}",
                offered[..offered.len().min(NAMES_TOLD)].join(", "),
                if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                }
            );
            call.dead("UnknownTask", reason).into()
        })
    }

    /// A message that has crashed to its last life waits until no other of its kind runs here.
    async fn last_life(
        &self,
        call: Call<'_>,
        held: &Held,
    ) -> Result<Option<SemaphorePermit<'_>>, Cut> {
        let crashes = call.delivery.crashes;
        // One crash more than it has had would be its last. A limit of 1 alone makes no suspect: it never crashed.
        let last = crashes > 0 && crashes.saturating_add(1) >= call.message.crash_limit();
        if !call.delivery.suspect && !last {
            return Ok(None);
        }
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Cut::Back),
            () = held.cancelled().cancelled() => Err(Cut::Back),
            alone = self.last_life.acquire() => Ok(alone.ok()),
        }
    }
}

fn settle(
    held: Held,
    message: &Message,
    delivery: &Delivery,
    ending: Ending,
    started: Instant,
) -> bool {
    let runtime = started.elapsed();
    let told = report::Told {
        state: ending.state,
        error: ending.error,
        again: ending.again,
        ran: ending.ran,
    };
    let counts = held.settle(ending.end, ending.record);
    if counts {
        report::ended(message, delivery, &told, runtime);
    }
    counts
}

fn honours_options(call: Call<'_>) -> Result<(), Cut> {
    match call.message.unbuilt_option() {
        None => Ok(()),
        Some(option) => Err(call
            .dead(
                "Unsupported",
                format!("the option `{option}` is not built yet; send the message without it"),
            )
            .into()),
    }
}

/// A message that was pushed by hand before its time.
fn is_due(call: Call<'_>) -> Result<(), Cut> {
    match call.message.eta {
        Some(eta) if eta > call.delivery.claimed_at => {
            let wait = Duration::from_millis(eta - call.delivery.claimed_at);
            Err(call.snooze(wait).into())
        }
        _ => Ok(()),
    }
}

/// Reads the arguments and makes the future; a panic there is the task's own.
fn start(
    def: &TaskDef,
    context: Context,
    message: &Message,
) -> Result<Result<Running, BadSignature>, TaskResult> {
    let run = || (def.run)(context, Arguments::of(message));
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| panicked(&*panic))
}

/// Runs the function; what no longer counts is dropped where that is possible.
async fn perform(running: Running, cancelled: &CancellationToken) -> Result<TaskResult, Cut> {
    match running {
        Running::Async(future) => {
            let mut guarded = AssertUnwindSafe(future).catch_unwind();
            let end = tokio::select! {
                biased;
                end = &mut guarded => Some(end),
                () = cancelled.cancelled() => None,
            };
            // Dropping runs the task's code as well.
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(guarded)));
            match (end, dropped) {
                (Some(Ok(outcome)), Ok(())) => Ok(outcome),
                (Some(Err(panic)), _) | (Some(Ok(_)), Err(panic)) => Ok(panicked(&*panic)),
                (None, _) => Err(Cut::Back),
            }
        }
        Running::Blocking(function) => {
            let span = tracing::Span::current();
            let guarded = move || span.in_scope(|| catch_unwind(AssertUnwindSafe(function)));
            match tokio::task::spawn_blocking(guarded).await {
                Ok(Ok(outcome)) => Ok(outcome),
                Ok(Err(panic)) => Ok(panicked(&*panic)),
                // The runtime ends before the function began.
                Err(_) => Err(Cut::Back),
            }
        }
    }
}

/// A panic is a failure like any other: it retries by the task's policy.
fn panicked(panic: &(dyn std::any::Any + Send)) -> TaskResult {
    Outcome::Retry {
        after: None,
        error: Failure::new("Panic", last_words(panic)),
    }
}
