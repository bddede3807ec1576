//! The dispatcher: signature → message → coalesced enqueue. `Client` and `Context::send` are its two faces.

mod catalog;
mod lane;
mod prepare;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::broker::{Backend, Inspect, Outgoing};
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};
use crate::signature::Signature;
use catalog::Catalog;
use lane::{Answer, Job, Lane};
use prepare::{Prepared, prepare};

/// The broker ends a call at its deadline; a caller leaves it this much longer to say what was wrong.
const GRACE: Duration = Duration::from_millis(250);

const LONGEST_DEADLINE: Duration = Duration::from_secs(365 * 86_400);

/// Sends signatures. Cheap to clone; clones share their batches.
///
/// Sends to one queue go together: the first leaves at once, and what arrives while it is under way leaves
/// next, in one command. Must be used on a tokio runtime.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Arc<dyn Backend>,
    deadline: Duration,
    /// `None`: every send has a lane of its own.
    lanes: Option<Mutex<HashMap<QueueName, Lane>>>,
    catalog: Catalog,
    trouble: Arc<Trouble>,
}

/// What became of a signature that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The id it runs under: its own, or that of the earlier call that holds its idempotency key.
    pub id: TaskId,
    /// The queue it lies in.
    pub queue: QueueName,
    /// True when a record is kept of it.
    pub tracked: bool,
}

impl Dispatcher {
    /// A dispatcher that gives up on a send after `deadline`; more than a year counts as a year.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, deadline: Duration) -> Self {
        Self::with_lanes(backend, deadline, Some(Mutex::default()))
    }

    /// The same, but that no send waits for another: each leaves at once and alone. For brokers whose answer takes as long as
    /// what else is sent meanwhile, as that of a test which runs what is sent before it answers.
    #[must_use]
    pub fn one_by_one(backend: Arc<dyn Backend>, deadline: Duration) -> Self {
        Self::with_lanes(backend, deadline, None)
    }

    fn with_lanes(
        backend: Arc<dyn Backend>,
        deadline: Duration,
        lanes: Option<Mutex<HashMap<QueueName, Lane>>>,
    ) -> Self {
        let trouble = Arc::new(Trouble::default());
        Self {
            inner: Arc::new(Inner {
                catalog: Catalog::new(backend.clone(), trouble.clone()),
                backend,
                deadline: deadline.min(LONGEST_DEADLINE),
                lanes,
                trouble,
            }),
        }
    }

    /// The broker it sends to, to be looked at.
    pub(crate) fn inspect(&self) -> Arc<dyn Inspect> {
        self.inner.backend.clone()
    }

    /// Sends one signature; `Ok` means accepted.
    ///
    /// What the signature leaves open its task says: the definition it was made from, else what workers published.
    /// Without a queue from either it goes to `celery`. A future dropped half way may or may not have sent it, and touches no other send.
    ///
    /// # Errors
    /// What went wrong while the signature was built ([`ErrorKind::Invalid`]); [`ErrorKind::TooLarge`] over 1 MiB;
    /// after the deadline [`ErrorKind::Unreachable`] or what the broker last said. After an error that
    /// [is transient](Error::is_transient) it may still have been accepted.
    pub async fn send<R>(&self, signature: Signature<R>) -> Result<Sent, Error> {
        let task = signature.task().to_owned();
        let clock = self.clock()?;
        let Prepared { mut sent, outgoing } =
            self.within(&clock, &task, self.ready(signature)).await?;
        let answer = self.ship(&clock, &sent.queue, vec![outgoing], &task);
        let held_by = match answer.await {
            Answer::All(result) => result?.duplicates.first().map(|d| d.1),
            Answer::Each(results) => results.into_iter().next().transpose()?.flatten(),
        };
        sent.id = held_by.unwrap_or(sent.id);
        Ok(sent)
    }

    /// Sends many signatures, in one command per queue and 500 messages; answers one by one, in order.
    ///
    /// Those that can not be sent do not hold up the others. The deadline counts for the whole.
    /// Messages of one queue arrive in the order given.
    pub async fn send_many<R>(&self, signatures: Vec<Signature<R>>) -> Vec<Result<Sent, Error>> {
        let clock = match self.clock() {
            Ok(clock) => clock,
            Err(error) => return signatures.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut answers = Vec::with_capacity(signatures.len());
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut open: HashMap<QueueName, usize> = HashMap::new();
        for (place, signature) in signatures.into_iter().enumerate() {
            let task = signature.task().to_owned();
            match self.within(&clock, &task, self.ready(signature)).await {
                Err(error) => answers.push(Err(error)),
                Ok(Prepared { sent, outgoing }) => {
                    let at = match open.get(&sent.queue) {
                        Some(&at) if chunks[at].takes(&outgoing) => at,
                        _ => {
                            chunks.push(Chunk::of(sent.queue.clone()));
                            open.insert(sent.queue.clone(), chunks.len() - 1);
                            chunks.len() - 1
                        }
                    };
                    chunks[at].push(outgoing, place);
                    answers.push(Ok(sent));
                }
            }
        }
        let shipped = futures_util::future::join_all(chunks.into_iter().map(|chunk| {
            let what = format!("a batch of {}", chunk.places.len());
            let clock = &clock;
            async move {
                let answer = self.ship(clock, &chunk.queue, chunk.messages, &what).await;
                (chunk.places, answer)
            }
        }));
        for (places, answer) in shipped.await {
            match answer {
                Answer::All(Ok(accepted)) => {
                    for (place, held_by) in accepted.duplicates {
                        point(&mut answers, places.get(place), Ok(Some(held_by)));
                    }
                }
                Answer::All(Err(error)) => {
                    for place in &places {
                        point(&mut answers, Some(place), Err(error.clone()));
                    }
                }
                Answer::Each(results) => {
                    for (place, result) in places.iter().zip(results) {
                        point(&mut answers, Some(place), result);
                    }
                }
            }
        }
        answers
    }

    /// Signature → message, with what its task says where the signature says nothing.
    async fn ready<R>(&self, mut signature: Signature<R>) -> Result<Prepared, Error> {
        if let Some(fault) = signature.fault {
            return Err(fault);
        }
        let task = match signature.task.take() {
            Some(known) => known,
            None => {
                let published = self.inner.catalog.task(signature.task()).await?;
                published.unwrap_or_default()
            }
        };
        prepare(signature, task, crate::clock::now_ms())
    }

    /// Hands messages to the lane of their queue and waits for their answer, until the deadline.
    async fn ship(
        &self,
        clock: &Clock,
        queue: &QueueName,
        messages: Vec<Outgoing>,
        what: &str,
    ) -> Answer {
        let through = async {
            let (answer, answered) = oneshot::channel();
            let mut job = Job {
                messages,
                until: clock.until,
                answer,
            };
            // A lane that ended for lack of work hands the job back; the next one is fresh.
            while let Err(back) = self.lane(queue).push(job).await {
                job = back;
            }
            Ok(answered.await.unwrap_or_else(|_| {
                Answer::All(Err(Error::new(
                    ErrorKind::Unreachable,
                    format!(
                        "{what} may not have been sent: the runtime that was sending it has ended"
                    ),
                )))
            }))
        };
        self.within(clock, what, through)
            .await
            .unwrap_or_else(|late| Answer::All(Err(late)))
    }

    fn lane(&self, queue: &QueueName) -> Lane {
        let start = || {
            Lane::start(
                self.inner.backend.clone(),
                queue.clone(),
                self.inner.trouble.clone(),
            )
        };
        let Some(lanes) = &self.inner.lanes else {
            return start();
        };
        let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(queue).filter(|l| !l.has_ended()) {
            return lane.clone();
        }
        lanes.retain(|_, lane| !lane.has_ended());
        let lane = start();
        lanes.insert(queue.clone(), lane.clone());
        lane
    }

    fn clock(&self) -> Result<Clock, Error> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "sending needs a tokio runtime: call it inside one, for example under `#[tokio::main]`",
            ));
        }
        let since = Instant::now();
        Ok(Clock {
            since,
            until: since + self.inner.deadline,
        })
    }

    async fn within<T>(
        &self,
        clock: &Clock,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match timeout_at(clock.until + GRACE, work).await {
            Ok(result) => result,
            Err(_) => Err(self.late(clock, what)),
        }
    }

    fn late(&self, clock: &Clock, what: &str) -> Error {
        let within = format!("{what} was not accepted within {:?}", self.inner.deadline);
        match self.inner.trouble.since(clock.since) {
            Some(trouble) => {
                Error::new(trouble.kind(), format!("{within}: {trouble}")).because(trouble)
            }
            None => Error::new(
                ErrorKind::Unreachable,
                format!("{within}: the broker does not answer, or more is sent than it can take"),
            ),
        }
    }
}

/// Enters what became of the message at `place`: an error, or the id that held its idempotency key before.
fn point(
    answers: &mut [Result<Sent, Error>],
    place: Option<&usize>,
    result: Result<Option<TaskId>, Error>,
) {
    let Some(answer) = place.and_then(|place| answers.get_mut(*place)) else {
        return;
    };
    match (result, answer) {
        (Err(error), answer) => *answer = Err(error),
        (Ok(Some(held_by)), Ok(sent)) => sent.id = held_by,
        (Ok(_), _) => {}
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("backend", &self.backend)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// When a send began, and when it must be over.
struct Clock {
    since: Instant,
    until: Instant,
}

/// The last thing the broker said when it could not serve: what a send that ran out of time reports.
#[derive(Debug, Default)]
struct Trouble(Mutex<Option<(Instant, Error)>>);

impl Trouble {
    fn met(&self, error: &Error) {
        if error.is_transient() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((Instant::now(), error.clone()));
        }
    }

    fn since(&self, since: Instant) -> Option<Error> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref()
            .filter(|(at, _)| *at >= since)
            .map(|(_, e)| e.clone())
    }
}

/// Messages of one `send_many` that travel together, and their places among its answers.
struct Chunk {
    queue: QueueName,
    messages: Vec<Outgoing>,
    size: lane::Size,
    places: Vec<usize>,
}

impl Chunk {
    fn of(queue: QueueName) -> Self {
        Self {
            queue,
            messages: Vec::new(),
            size: lane::Size::default(),
            places: Vec::new(),
        }
    }

    fn takes(&self, message: &Outgoing) -> bool {
        self.size
            .with(lane::Size::of(std::slice::from_ref(message)))
            .fits()
    }

    fn push(&mut self, message: Outgoing, place: usize) {
        self.size = self
            .size
            .with(lane::Size::of(std::slice::from_ref(&message)));
        self.messages.push(message);
        self.places.push(place);
    }
}
