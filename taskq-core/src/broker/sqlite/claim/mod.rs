//! Messages out: one claim at a time for all queues of a consumer, and the wait for something to claim.

mod look;
mod take;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use self::take::{Answer, Ask, Asks};
use super::bell::Topic;
use super::consumer::Shared;
use super::gone;
use super::link::Link;
use super::revoked;
use super::seat::{Seat, Session};
use crate::broker::outgoing::BATCH_LIMIT;
use crate::broker::shares::{self, Turn};
use crate::broker::{Delivery, Order, Receipt};
use crate::error::Error;
use crate::id::QueueName;

/// A claim waits at most this long, whatever it was asked for.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Claimer {
    order: Order,
    /// A claim that is under way: whoever asked for it may have gone.
    pending: Option<Pending>,
    /// Claimed, and not answered yet.
    left: VecDeque<Delivery>,
    /// The last claim got all it had room for: there is more, no look is needed.
    more: bool,
    /// When it was last asked which processes are gone.
    asked: Instant,
}

#[derive(Debug)]
struct Pending {
    asked: Vec<(Arc<Seat>, Session)>,
    max: usize,
    answer: oneshot::Receiver<Result<Vec<Answer>, Error>>,
}

impl Claimer {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            pending: None,
            left: VecDeque::new(),
            more: false,
            asked: Instant::now(),
        }
    }

    /// Up to `max` deliveries; with none there, waits for some for up to `wait`.
    pub(super) async fn claim(
        &mut self,
        shared: &Shared,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, Error> {
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        let link = &shared.link;
        self.inherit(link).await?;
        if self.asked.elapsed() >= gone::EVERY && max > 0 {
            self.asked = Instant::now();
            gone::give_back_to_claim(link, &shared.seats()).await;
        }
        loop {
            if max == 0 || shared.retired.load(Ordering::SeqCst) {
                return Ok(Vec::new());
            }
            let got = self.left(max);
            if !got.is_empty() {
                return Ok(got);
            }
            shared.prepare().await?;
            if self.more {
                self.take(shared, max).await?;
                continue;
            }
            // Armed before the look: what comes between look and wait is not missed.
            let mut work = std::pin::pin!(link.bell().heard(Topic::Work));
            let mut changed = std::pin::pin!(shared.changed.notified());
            work.as_mut().enable();
            changed.as_mut().enable();
            // Also now that it is armed: a stop that begins from here on rings.
            if shared.retired.load(Ordering::SeqCst) {
                return Ok(Vec::new());
            }
            let mut until = deadline;
            if self.look(shared, &mut until).await? {
                let lost = self.take(shared, max).await?;
                if !self.left.is_empty() || lost && Instant::now() < deadline {
                    continue;
                }
            }
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            // Rung or timed out, it looks again.
            let rung = async {
                tokio::select! {
                    () = work => {}
                    () = changed => {}
                }
            };
            drop(timeout_at(until, rung).await);
        }
    }

    /// What a call took whose future was dropped: what was revoked since then counts.
    async fn inherit(&mut self, link: &Link) -> Result<(), Error> {
        self.collect(link).await?;
        if self.left.is_empty() {
            return Ok(());
        }
        let queues: Vec<QueueName> = self.left.iter().map(|d| d.queue.clone()).collect();
        let read = link.read(move |view| {
            let read = |name: &QueueName| match view.known(name)? {
                Some(queue) => revoked::read(view, queue),
                None => Ok(Arc::default()),
            };
            queues.iter().map(read).collect::<Result<Vec<_>, _>>()
        });
        for (delivery, revoked) in self.left.iter_mut().zip(read.await?) {
            delivery.revoked = revoked;
        }
        Ok(())
    }

    /// Deliveries that are there already.
    fn left(&mut self, max: usize) -> Vec<Delivery> {
        self.left.retain(|delivery| !delivery.lost.is_cancelled());
        let n = self.left.len().min(max);
        self.left.drain(..n).collect()
    }

    /// Whether there is anything to claim; otherwise `until` becomes the time of the next look.
    async fn look(&self, shared: &Shared, until: &mut Instant) -> Result<bool, Error> {
        let seats = shared.seats();
        let takes = seats.iter().filter(|seat| seat.takes());
        let queues: Vec<QueueName> = takes.map(|seat| seat.queue.clone()).collect();
        let sessions = shared.sessions();
        if queues.is_empty() {
            return Ok(false);
        }
        let look = move |view: &super::tx::View<'_>| look::look(view, &queues, &sessions);
        let seen = shared.link.read(look).await?;
        if let Some(due) = seen.due_in.and_then(|due| Instant::now().checked_add(due)) {
            *until = due.min(*until);
        }
        Ok(seen.something)
    }

    /// Claims up to `max` messages; whether a session turned out to be lost.
    async fn take(&mut self, shared: &Shared, max: usize) -> Result<bool, Error> {
        let seats = shared.seats();
        let takes = seats.iter().filter(|seat| seat.takes());
        let asked: Vec<(Arc<Seat>, Session)> = takes
            .filter_map(|seat| Some((seat.clone(), seat.session()?)))
            .collect();
        let ask = |(seat, session): &(Arc<Seat>, Session)| Ask {
            seat: seat.clone(),
            session: session.clone(),
            weight: seat.weight(),
            pass: seat.pass.load(Ordering::Relaxed),
        };
        let asks = Asks {
            of: asked.iter().map(ask).collect(),
            sessions: shared.sessions(),
            order: self.order,
            max,
            retired: shared.retired.clone(),
        };
        let begun = shared.link.begin(move |tx| take::take(tx, &asks)).await?;
        // From here on nothing is lost with this future: the next call goes on from here.
        self.pending = Some(Pending {
            asked,
            max,
            answer: begun,
        });
        self.collect(&shared.link).await
    }

    /// Takes in what the claim under way came to; whether a session turned out to be lost.
    async fn collect(&mut self, link: &Link) -> Result<bool, Error> {
        let Some(pending) = &mut self.pending else {
            return Ok(false);
        };
        // Without an answer there is none more than there was.
        self.more = false;
        let answer = link.answered(&mut pending.answer).await;
        if answer.is_err() && !pending.answer.is_terminated() {
            // It is still under way.
            return answer.map(|_| false);
        }
        let Some(Pending { asked, max, .. }) = self.pending.take() else {
            return Ok(false);
        };
        Ok(self.read(asked, max, answer?))
    }

    fn read(&mut self, asked: Vec<(Arc<Seat>, Session)>, max: usize, answers: Vec<Answer>) -> bool {
        let mut lost = false;
        let mut passes: Vec<u64> = asked
            .iter()
            .map(|(seat, _)| seat.pass.load(Ordering::Relaxed))
            .collect();
        let turns = asked.iter().zip(&mut passes).zip(&answers);
        let turns = turns.map(|(((seat, _), pass), answer)| Turn {
            weight: seat.weight(),
            pass,
            asked: !answer.got.is_empty(),
            got: answer.got.len(),
            hungry: answer.had,
        });
        shares::settle(&mut turns.collect::<Vec<_>>());
        let before = self.left.len();
        for (((seat, session), pass), answer) in asked.iter().zip(passes).zip(answers) {
            seat.pass.store(pass, Ordering::Relaxed);
            if answer.lost {
                lost = true;
                let why = "its lease was past and its deliveries were given back, or the file is an older one";
                seat.lost(session.generation, why);
            }
            if answer.got.is_empty() {
                continue;
            }
            seat.claimed(session.generation, session.claims + 1);
            let revoked = answer.revoked;
            self.left
                .extend(answer.got.into_iter().map(|taken| Delivery {
                    queue: seat.queue.clone(),
                    body: taken.message.body,
                    priority: taken.message.priority,
                    crashes: taken.message.crashes,
                    suspect: taken.suspect,
                    claimed_at: answer.now,
                    lost: session.lost.child_token(),
                    revoked: revoked.clone(),
                    receipt: Receipt {
                        session: session.generation,
                        tag: u64::try_from(taken.tag).unwrap_or(0),
                    },
                }));
        }
        self.more = self.left.len() - before >= max.min(BATCH_LIMIT);
        lost
    }
}
