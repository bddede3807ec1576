//! The executor: from a delivery to its verdict, one straight pipeline without I/O of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use taskq_core::broker::Delivery;
use taskq_core::dispatch::Dispatcher;
use taskq_core::task::{
    Arguments, BadSignature, Registry, Running, State, Surroundings, TaskDef, TaskResult,
};
use taskq_core::{Context, Failure, Message, Outcome, State as TaskState, clock};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::cutoff::Leash;
use crate::instant;
use crate::ledger::{Held, Run, Settlement};
use crate::limits::Limits;
use crate::middleware::Chain;
use crate::report;
use crate::supervisor::last_words;
use crate::verdict::{self, Began, Call, Ending};

/// Task names in the reason of an unknown one.
const NAMES_TOLD: usize = 10;

/// Runs deliveries.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) registry: Registry,
    pub(crate) node: Arc<str>,
    pub(crate) state: State,
    pub(crate) middleware: Arc<Chain>,
    pub(crate) dispatcher: Dispatcher,
    /// Of the messages that may take the process down for the last time, one runs at a time.
    pub(crate) last_life: Semaphore,
    /// How long runs may take.
    pub(crate) limits: Arc<Limits>,
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
    /// Runs one delivery to its verdict. Its slot is free again when the function has ended, or is cut off.
    pub(crate) async fn run(self: Arc<Self>, delivery: Delivery, held: Held) {
        let message = match Message::decode(&delivery.body) {
            Ok(message) => Arc::new(message),
            Err(error) => {
                let ending = verdict::undecodable(&error, &delivery, &self.node);
                report::unreadable(&error, &delivery);
                let verdict = ending.verdict(held.receipt());
                held.settle(verdict);
                return;
            }
        };
        let span = report::span(&message, &delivery);
        let context = OnceLock::new();
        let mut call = Call {
            message: &message,
            queue: &delivery.queue,
            crashes: delivery.crashes,
            worker: &self.node,
            received: clock::now_ms(),
            began: None,
            context: None,
        };
        let end = self
            .pipeline(&delivery, &mut call, &held, &context)
            .instrument(span)
            .await;
        let settlement = match end {
            Ok(ending) => settle(held, call, ending),
            // Revoked since it was claimed: nobody wants it, whatever else is wrong with it.
            Err(Cut::Ends(ending)) if ending.state == TaskState::Dead && held.is_revoked() => {
                let revoked = call.revoked(false);
                settle(held, call, revoked)
            }
            Err(Cut::Ends(ending)) => settle(held, call, *ending),
            Err(Cut::Back) => {
                let ending = call.cut();
                if ending.error.is_some() {
                    settle(held, call, ending)
                } else {
                    let verdict = ending.verdict(held.receipt());
                    held.settle(verdict)
                }
            }
        };
        if settlement == Settlement::Void {
            report::uncounted(&message, &delivery);
        }
    }

    async fn pipeline<'a>(
        &self,
        delivery: &Delivery,
        call: &mut Call<'a>,
        held: &Held,
        context: &'a OnceLock<Context>,
    ) -> Result<Ending, Cut> {
        is_revoked(*call, delivery)?;
        // The time of a message that never expires costs nothing.
        let claimed = call.message.expires.map(|_| instant::now());
        is_in_time(*call, delivery, claimed)?;
        is_due(*call, delivery)?;
        let def = self.find(*call)?;
        let alone = self.last_life(*call, delivery, held).await?;
        if alone.is_some() {
            // That may have taken its time.
            is_in_time(*call, delivery, claimed)?;
        }
        if self.stopping.is_cancelled() || held.cancelled().is_cancelled() {
            return Err(Cut::Back);
        }
        let mut around = Surroundings::new(delivery.queue.clone(), Arc::clone(&self.node));
        around.crashes = delivery.crashes;
        let limits = self.limits.of(call.message, def);
        around.cancelled = match limits.soft {
            // What is told to end is not cut off by that.
            Some(_) => held.cancelled().child_token(),
            None => held.cancelled().clone(),
        };
        around.state = self.state.clone();
        around.dispatcher = Some(self.dispatcher.clone());
        around.heard = Some(held.heard());
        let context = context.get_or_init(|| Context::new(call.message, around));
        call.context = Some(context);
        let began = Began::now();
        call.began = Some(began);
        let outcome = match start(def, context.clone(), call.message, &self.middleware) {
            Ok(Ok(running)) => {
                let run = Run {
                    message: Arc::clone(call.message),
                    queue: delivery.queue.clone(),
                    crashes: delivery.crashes,
                    received: call.received,
                    began,
                    leash: Leash {
                        def,
                        context: context.clone(),
                        limits,
                        droppable: matches!(running, Running::Async(_)),
                    },
                };
                let performed = match running {
                    Running::Async(future) => polled(future, run, held).await,
                    Running::Blocking(function) => {
                        // A thread may be free much later, or never.
                        call.began = None;
                        let (began, end) = on_a_thread(function, run, held, &self.stopping).await;
                        call.began = began;
                        end
                    }
                };
                match performed {
                    Ok(outcome) => outcome,
                    Err(Unended::NotBegun) => {
                        call.began = None;
                        if held.is_revoked() {
                            return Err(call.revoked(false).into());
                        }
                        return Err(Cut::Back);
                    }
                    Err(Unended::Cut) => {
                        // A lost lease and a stop cut off as well, and leave no word.
                        let why = held.cutoff().ok_or(Cut::Back)?;
                        return Ok(why.ending(*call, def));
                    }
                }
            }
            Ok(Err(bad)) => {
                call.began = None;
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
        delivery: &Delivery,
        held: &Held,
    ) -> Result<Option<SemaphorePermit<'_>>, Cut> {
        let crashes = delivery.crashes;
        // One crash more than it has had would be its last. A limit of 1 alone makes no suspect: it never crashed.
        let last = crashes > 0 && crashes.saturating_add(1) >= call.message.crash_limit();
        if !delivery.suspect && !last {
            return Ok(None);
        }
        held.waits(call.message);
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Err(Cut::Back),
            () = held.cancelled().cancelled() => Err(Cut::Back),
            () = held.turns_out_revoked() => Err(call.revoked(false).into()),
            alone = self.last_life.acquire() => Ok(alone.ok()),
        }
    }
}

fn settle(held: Held, call: Call<'_>, ending: Ending) -> Settlement {
    let (told, verdict) = ending.split(held.receipt());
    let settlement = held.settle(verdict);
    if settlement == Settlement::Counts {
        report::ended(call.message, call.queue, &told);
    }
    settlement
}

/// What was revoked when it was claimed does not run.
fn is_revoked(call: Call<'_>, delivery: &Delivery) -> Result<(), Cut> {
    if !delivery.revoked.covers(call.message) {
        return Ok(());
    }
    let told = delivery.revoked.was_told(call.message.id);
    Err(call.revoked(told).into())
}

/// A message whose time is over does not run. By the broker's clock: its time at the claim, and what passed since then.
fn is_in_time(call: Call<'_>, delivery: &Delivery, claimed: Option<Instant>) -> Result<(), Cut> {
    let (Some(expires), Some(claimed)) = (call.message.expires, claimed) else {
        return Ok(());
    };
    let since = instant::now().saturating_duration_since(claimed);
    let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    if delivery.claimed_at.saturating_add(since) > expires {
        return Err(call.expired().into());
    }
    Ok(())
}

/// A message that was pushed by hand before its time.
fn is_due(call: Call<'_>, delivery: &Delivery) -> Result<(), Cut> {
    match call.message.eta {
        Some(eta) if eta > delivery.claimed_at => {
            let wait = Duration::from_millis(eta - delivery.claimed_at);
            Err(call.snooze(wait).into())
        }
        _ => Ok(()),
    }
}

/// Reads the arguments and makes the future; a panic there is the task's own.
fn start(
    def: &'static TaskDef,
    context: Context,
    message: &Arc<Message>,
    middleware: &Arc<Chain>,
) -> Result<Result<Running, BadSignature>, TaskResult> {
    let around = middleware.of(def, message, &context);
    let run = || {
        let running = (def.run)(context, Arguments::of(message))?;
        Ok(match around {
            Some(around) => around.put(running),
            None => running,
        })
    };
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| panicked(&*panic))
}

/// Why a function has no outcome.
enum Unended {
    /// It must not begin any more, or no thread was free for it before the end of the runtime.
    NotBegun,
    /// It no longer counts, and was dropped.
    Cut,
}

/// Runs an async function from now on; it is dropped when it no longer counts.
async fn polled(
    future: Pin<Box<dyn Future<Output = TaskResult> + Send>>,
    run: Run,
    held: &Held,
) -> Result<TaskResult, Unended> {
    if !held.runs(run) {
        return Err(Unended::NotBegun);
    }
    let mut guarded = AssertUnwindSafe(future).catch_unwind();
    let end = tokio::select! {
        biased;
        end = &mut guarded => Some(end),
        () = held.cancelled().cancelled() => None,
    };
    // Dropping runs the task's code as well.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(guarded)));
    match (end, dropped) {
        (Some(Ok(outcome)), Ok(())) => Ok(outcome),
        (Some(Err(panic)), _) | (Some(Ok(_)), Err(panic)) => Ok(panicked(&*panic)),
        (None, _) => Err(Unended::Cut),
    }
}

/// Runs a plain function once a thread is free for it: until then it has not begun, and none of its time has passed. Says
/// when it began.
async fn on_a_thread(
    function: Box<dyn FnOnce() -> TaskResult + Send>,
    mut run: Run,
    held: &Held,
    stopping: &CancellationToken,
) -> (Option<Began>, Result<TaskResult, Unended>) {
    held.waits(&run.message);
    let starter = held.starter();
    let span = tracing::Span::current();
    let guarded = move || {
        let began = Began::now();
        run.began = began;
        if !starter.runs(run) {
            return None;
        }
        let end = span.in_scope(|| catch_unwind(AssertUnwindSafe(function)));
        Some((began, end))
    };
    let mut thread = tokio::task::spawn_blocking(guarded);
    let unwanted = async {
        tokio::select! {
            () = held.cancelled().cancelled() => {}
            // Of what a stopping worker has not begun it begins nothing.
            () = stopping.cancelled() => {}
            () = held.turns_out_revoked() => {}
        }
    };
    let end = tokio::select! {
        biased;
        end = &mut thread => end,
        () = unwanted => {
            if held.never_runs() {
                // No thread need be free for that.
                thread.abort();
                return (None, Err(Unended::NotBegun));
            }
            thread.await
        }
    };
    match end {
        Ok(Some((began, Ok(outcome)))) => (Some(began), Ok(outcome)),
        Ok(Some((began, Err(panic)))) => (Some(began), Ok(panicked(&*panic))),
        // Or the runtime ends before the function began.
        Ok(None) | Err(_) => (None, Err(Unended::NotBegun)),
    }
}

/// A panic is a failure like any other: it retries by the task's policy.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> TaskResult {
    Outcome::Retry {
        after: None,
        error: Failure::new("Panic", last_words(panic)),
    }
}
