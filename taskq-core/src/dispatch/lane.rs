//! A lane: the one way into one queue. Batches whatever waits while the batch before is under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::Trouble;
use crate::broker::{Accepted, Backend, Outgoing};
use crate::error::{Error, ErrorKind};
use crate::id::{QueueName, TaskId};

/// A batch carries at most this many messages.
const MAX_MESSAGES: usize = 500;
/// A batch carries at most this many bytes beyond its first message.
const MAX_BEYOND: usize = crate::message::MAX_BYTES;
/// So many sends may wait in a lane; further ones wait outside, each with its own message.
const WAITING: usize = 1024;
/// A lane nobody used for so long ends; the next send starts a new one.
const IDLE: Duration = Duration::from_secs(10);
/// A broker that overstays a deadline by this much is taken for hung.
const OVERSTAY: Duration = Duration::from_secs(5);

/// Messages that are accepted or refused together with one answer.
pub(super) struct Job {
    pub(super) messages: Vec<Outgoing>,
    pub(super) until: Instant,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What became of a job.
#[derive(Debug)]
pub(super) enum Answer {
    /// The same for all its messages, but for the duplicates among them.
    All(Result<Accepted, Error>),
    /// One by one, in order: the id that held the idempotency key before, if one did.
    Each(Vec<Result<Option<TaskId>, Error>>),
}

/// The door to a lane.
#[derive(Clone)]
pub(super) struct Lane(mpsc::Sender<Job>);

impl Lane {
    pub(super) fn start(
        backend: Arc<dyn Backend>,
        queue: QueueName,
        trouble: Arc<Trouble>,
    ) -> Self {
        Self::with_idle(backend, queue, trouble, IDLE)
    }

    pub(super) fn with_idle(
        backend: Arc<dyn Backend>,
        queue: QueueName,
        trouble: Arc<Trouble>,
        idle: Duration,
    ) -> Self {
        let (door, jobs) = mpsc::channel(WAITING);
        // The task holds no door, so it ends with the last dispatcher; what was pushed before is still sent.
        tokio::spawn(
            Driver {
                backend,
                queue,
                trouble,
                jobs,
                idle,
            }
            .run(),
        );
        Self(door)
    }

    /// Waits for room and hands the job in; gives it back if the lane has ended.
    pub(super) async fn push(&self, job: Job) -> Result<(), Job> {
        self.0.send(job).await.map_err(|back| back.0)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.0.is_closed()
    }

    #[cfg(test)]
    pub(super) async fn ended(&self) {
        self.0.closed().await;
    }
}

struct Driver {
    backend: Arc<dyn Backend>,
    queue: QueueName,
    trouble: Arc<Trouble>,
    jobs: mpsc::Receiver<Job>,
    idle: Duration,
}

impl Driver {
    async fn run(mut self) {
        let (mut left_over, mut crowded) = (None, false);
        loop {
            let first = match left_over.take() {
                Some(job) => job,
                None => match timeout(self.idle, self.jobs.recv()).await {
                    Ok(Some(job)) => job,
                    Ok(None) => return,
                    Err(_) => {
                        // What slipped in before the door closed comes out of recv; then it answers None.
                        self.jobs.close();
                        continue;
                    }
                },
            };
            if crowded {
                // The senders that the last answer woke run before this goes on, else the first of them would leave
                // alone. A lone sender does not wait for others: that would cost it a thread's wake-up.
                tokio::task::yield_now().await;
            }
            let batch;
            (batch, left_over) = self.gather(first);
            crowded = batch.len() > 1;
            self.flush(batch).await;
        }
    }

    /// `first` and what waits behind it, as far as one batch can carry; the first that did not fit comes apart.
    fn gather(&mut self, first: Job) -> (Vec<Job>, Option<Job>) {
        let mut size = Size::of(&first.messages);
        let mut batch = vec![first];
        while let Ok(job) = self.jobs.try_recv() {
            let larger = size.with(Size::of(&job.messages));
            if !larger.fits() {
                return (batch, Some(job));
            }
            size = larger;
            batch.push(job);
        }
        (batch, None)
    }

    async fn flush(&self, mut batch: Vec<Job>) {
        // Whoever stopped waiting has been told that it failed, or does not care: better not sent than sent unseen.
        batch.retain(|job| !job.answer.is_closed());
        let Some(until) = batch.iter().map(|job| job.until).max() else {
            return;
        };
        let mut messages = Vec::with_capacity(batch.iter().map(|job| job.messages.len()).sum());
        let mut answers = Vec::with_capacity(batch.len());
        for job in batch {
            answers.push((job.messages.len(), job.answer));
            messages.extend(job.messages);
        }
        // The latest deadline, so that no early one cuts the others short; callers watch their own.
        match self.enqueue(&messages, until).await {
            // Refused before anything was accepted, and one of them is to blame: let each answer for itself.
            Err(error) if blames_one(&error) && messages.len() > 1 => {
                let mut rest = messages.as_slice();
                for (count, answer) in answers {
                    let mine;
                    (mine, rest) = rest.split_at(count);
                    let mut each = Vec::with_capacity(count);
                    for message in mine {
                        let answer = self.enqueue(std::slice::from_ref(message), until).await;
                        each.push(answer.map(|accepted| accepted.duplicates.first().map(|d| d.1)));
                    }
                    tell(answer, Answer::Each(each));
                }
            }
            Err(error) => {
                for (_, answer) in answers {
                    tell(answer, Answer::All(Err(error.clone())));
                }
            }
            Ok(accepted) => {
                let mut first = 0;
                for (count, answer) in answers {
                    tell(answer, Answer::All(Ok(share(&accepted, first, count))));
                    first += count;
                }
            }
        }
    }

    async fn enqueue(&self, messages: &[Outgoing], until: Instant) -> Result<Accepted, Error> {
        let left = until.saturating_duration_since(Instant::now());
        let call = self.backend.enqueue(&self.queue, messages, left);
        let result = timeout(left.saturating_add(OVERSTAY), call)
            .await
            .unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorKind::Unreachable,
                    format!(
                        "the broker did not answer an enqueue to {} in time",
                        self.queue
                    ),
                ))
            });
        if let Err(error) = &result {
            self.trouble.met(error);
        }
        result
    }
}

/// Whether the broker found fault with a message, before it took any. After another error some may have been taken.
fn blames_one(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Unsupported
    )
}

/// What is told to the job whose `count` messages began at the place `first` of the batch.
fn share(accepted: &Accepted, first: usize, count: usize) -> Accepted {
    let of_the_job = accepted
        .duplicates
        .iter()
        .filter_map(|(place, held_by)| Some((place.checked_sub(first)?, *held_by)));
    Accepted {
        duplicates: of_the_job.filter(|(place, _)| *place < count).collect(),
    }
}

fn tell(answer: oneshot::Sender<Answer>, what: Answer) {
    if answer.send(what).is_err() {
        tracing::debug!("a send was given up while it was under way");
    }
}

/// How large a batch is, in the terms of its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    messages: usize,
    first: usize,
    beyond: usize,
}

impl Size {
    pub(super) fn of(messages: &[Outgoing]) -> Self {
        let mut bytes = messages.iter().map(|m| m.body.len());
        Self {
            messages: messages.len(),
            first: bytes.next().unwrap_or(0),
            beyond: bytes.sum(),
        }
    }

    /// This batch with that one behind it.
    pub(super) fn with(self, next: Self) -> Self {
        if self.messages == 0 {
            return next;
        }
        Self {
            messages: self.messages + next.messages,
            first: self.first,
            beyond: self.beyond + next.first + next.beyond,
        }
    }

    pub(super) fn fits(self) -> bool {
        self.messages <= MAX_MESSAGES && self.beyond <= MAX_BEYOND
    }
}
