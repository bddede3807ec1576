//! One worker process on Redis: a seat at each queue, and a connection for each kind of call.
//!
//! The claim blocks on the bell, so it has its own connection; finishes have one per queue, so that trouble at one
//! queue holds up no other; the beat has its own, opened on the thread that beats.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard, Notify};

use super::claim::Claimer;
use super::endpoint::Endpoint;
use super::finish::Finisher;
use super::link::Link;
use super::session::Seat;
use super::{started, sweep};
use crate::broker::{Consumer, ConsumerOptions, Delivery, Finished, Served, Start, Swept, Verdict};
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;

/// The queues are told to the fleet this often, so that one that forgot them (somebody deleted the key) knows them again.
const TELL_QUEUES: Duration = Duration::from_secs(10);

/// What the beats go through.
#[derive(Debug)]
struct Beater {
    link: Link,
    /// When the queues were last told to the fleet.
    told: Option<Instant>,
}

/// The seats at one time, each with its finisher in the same place. A queue that was left and taken again may have two:
/// the later one counts, the other holds nothing.
#[derive(Debug, Clone, Default)]
struct Seats {
    seats: Vec<Arc<Seat>>,
    finishers: Vec<Arc<Mutex<Finisher>>>,
}

impl Seats {
    fn push(&mut self, seat: Arc<Seat>, link: Link) {
        let finisher = Finisher::new(Arc::clone(&seat), link);
        self.finishers.push(Arc::new(Mutex::new(finisher)));
        self.seats.push(seat);
    }

    fn at(&self, queue: &QueueName) -> Option<usize> {
        self.seats.iter().rposition(|seat| seat.queue == *queue)
    }

    /// Without those that are over.
    fn left(&self) -> Self {
        let both = self.seats.iter().zip(&self.finishers);
        let (seats, finishers) = both
            .filter(|(seat, _)| !seat.is_over())
            .map(|(seat, finisher)| (Arc::clone(seat), Arc::clone(finisher)))
            .unzip();
        Self { seats, finishers }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct RedisConsumer {
    endpoint: Arc<Endpoint>,
    /// What a call of ours may take.
    deadline: Duration,
    /// The lease that was asked for, and the node name.
    lease: Duration,
    node: Arc<str>,
    /// Replaced under the claimer's lock alone; who reads it goes on with what it was.
    seats: RwLock<Arc<Seats>>,
    /// Breaks off a claim that waits.
    changed: Arc<Notify>,
    claimer: Mutex<Claimer>,
    beater: Mutex<Beater>,
    sweeper: Mutex<Link>,
    /// For runs that have begun.
    teller: Mutex<Link>,
    /// For the end, which must not wait behind a sweep.
    farewell: Mutex<Link>,
    retired: AtomicBool,
}

impl RedisConsumer {
    pub(super) async fn open(
        endpoint: &Arc<Endpoint>,
        options: ConsumerOptions,
    ) -> Result<Self, Error> {
        if options.queues.is_empty() {
            return Err(Error::invalid("a consumer needs at least one queue"));
        }
        if options.lease < Duration::from_millis(100) {
            return Err(Error::invalid(
                "a lease has at least 100 ms; the default is 10 s",
            ));
        }
        // A call that takes longer than half a lease is as good as lost.
        let deadline =
            (options.lease / 2).clamp(Duration::from_millis(200), Duration::from_secs(5));
        let changed = Arc::new(Notify::new());
        let claim_link = Link::new(endpoint, deadline);
        let consumer = Self {
            deadline,
            lease: options.lease,
            node: options.node,
            seats: RwLock::default(),
            claimer: Mutex::new(Claimer::new(claim_link, options.order, changed.clone())),
            changed,
            beater: Mutex::new(Beater {
                link: Link::new(endpoint, deadline),
                told: None,
            }),
            sweeper: Mutex::new(Link::new(endpoint, deadline)),
            teller: Mutex::new(Link::new(endpoint, deadline)),
            farewell: Mutex::new(Link::new(endpoint, deadline)),
            retired: AtomicBool::new(false),
            endpoint: endpoint.clone(),
        };
        let mut all = Seats::default();
        for served in options.queues {
            all.push(consumer.new_seat(served), Link::new(endpoint, deadline));
        }
        // Not over the link of the claims: that is opened by the first of them, on the runtime that claims.
        let mut link = Link::new(endpoint, deadline);
        let mut claimer = consumer.claimer.lock().await;
        claimer.open(endpoint, &all.seats, &mut link).await?;
        drop(claimer);
        consumer.replace(all);
        Ok(consumer)
    }

    fn new_seat(&self, served: Served) -> Arc<Seat> {
        let keys = self.endpoint.namespace.queue(&served.queue);
        Arc::new(Seat::new(served, keys, self.lease, self.node.clone()))
    }

    fn seats(&self) -> Arc<Seats> {
        let seats = self.seats.read();
        Arc::clone(&seats.unwrap_or_else(PoisonError::into_inner))
    }

    /// Only with the claimer's lock in hand.
    fn replace(&self, seats: Seats) {
        let mut now = self.seats.write().unwrap_or_else(PoisonError::into_inner);
        *now = Arc::new(seats);
    }

    /// Forgets seats that are over. Only with the claimer's lock in hand.
    fn forget(&self, seats: &Seats) {
        if seats.seats.iter().any(|seat| seat.is_over()) {
            self.replace(seats.left());
        }
    }

    fn must_not_be_retired(&self) -> Result<(), Error> {
        if !self.retired.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Refused,
            "this consumer has begun to stop: it takes from no more queues",
        ))
    }

    /// The claimer, before the next claim: one that waits for messages is broken off.
    async fn interrupt(&self) -> MutexGuard<'_, Claimer> {
        self.changed.notify_one();
        self.claimer.lock().await
    }

    async fn beat_all(&self, Beater { link, told }: &mut Beater) -> Result<(), Error> {
        let seats = self.seats();
        let mut beaten = Vec::new();
        let mut calls = Vec::new();
        for seat in &seats.seats {
            if let Some((generation, beat)) = seat.beat(&self.endpoint) {
                beaten.push((seat, generation));
                calls.push(beat);
            }
        }
        // With no session to beat for it is told as well: a beat that says Ok has been answered.
        let tell = calls.is_empty() || told.is_none_or(|at| at.elapsed() >= TELL_QUEUES);
        if tell {
            calls.push(
                self.endpoint
                    .known(seats.seats.iter().map(|seat| &seat.queue)),
            );
        }
        let mut answers = link.all(&calls, Duration::ZERO).await?.into_iter();
        let mut first_error = Ok(());
        for ((seat, generation), answer) in beaten.into_iter().zip(answers.by_ref()) {
            let noted = seat.beaten(generation, answer);
            first_error = first_error.and(noted);
        }
        let known = answers.next();
        if tell && known.as_ref().is_some_and(Result::is_ok) {
            *told = Some(Instant::now());
        }
        // After the beats: trouble at one queue must not cost the others their leases.
        for seat in &seats.seats {
            first_error = first_error.and(seat.resign_lost(&self.endpoint, link).await);
        }
        first_error.and(known.map_or(Ok(()), |known| known.map(drop)))
    }
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let mut claimer = self.claimer.lock().await;
        let seats = self.seats();
        let claimed = claimer
            .claim(&self.endpoint, &seats.seats, &self.retired, max, wait)
            .await;
        self.forget(&seats);
        claimed
    }

    async fn finish(&self, queue: &QueueName, verdicts: Vec<Verdict>) -> Result<Finished, Error> {
        let seats = self.seats();
        let Some(at) = seats.at(queue) else {
            // The queue was left, and nothing of it is held any more.
            return Ok(Finished {
                applied: 0,
                lost: verdicts.len(),
            });
        };
        let mut finisher = seats.finishers[at].lock().await;
        finisher.finish(&self.endpoint, verdicts).await
    }

    async fn beat(&self) -> Result<(), Error> {
        let mut beater = self.beater.lock().await;
        self.beat_all(&mut beater).await
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        let mut link = self.sweeper.lock().await;
        sweep::sweep(&self.endpoint, &self.seats().seats, &mut link).await
    }

    async fn retire(&self) -> Result<(), Error> {
        self.retired.store(true, Ordering::SeqCst);
        let seats = self.seats();
        let calls: Vec<_> = seats
            .seats
            .iter()
            .filter_map(|seat| seat.retire())
            .collect();
        self.farewell.lock().await.seldom(&calls).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.retired.store(true, Ordering::SeqCst);
        let mut link = self.farewell.lock().await;
        let mut first_error = Ok(());
        for seat in &self.seats().seats {
            first_error = first_error.and(seat.resign_lost(&self.endpoint, &mut link).await);
            if let Some(close) = seat.close(&self.endpoint) {
                let closed = link.seldom(&[close]).await.map(|()| seat.closed());
                first_error = first_error.and(closed);
            }
        }
        first_error
    }

    async fn attach(&self, served: Served) -> Result<(), Error> {
        self.must_not_be_retired()?;
        let seats = self.seats();
        let there = seats.at(&served.queue).map(|i| &seats.seats[i]);
        if there.is_some_and(|seat| seat.takes() && seat.stay(served.weight)) {
            return Ok(());
        }
        let mut claimer = self.interrupt().await;
        self.must_not_be_retired()?;
        let seats = self.seats();
        let there = seats.at(&served.queue).map(|i| &seats.seats[i]);
        if there.is_some_and(|seat| seat.stay(served.weight)) {
            return Ok(());
        }
        let seat = self.new_seat(served);
        claimer.join(&self.endpoint, &seat, &self.retired).await?;
        let mut more = Seats::clone(&seats);
        more.push(seat, Link::new(&self.endpoint, self.deadline));
        self.replace(more);
        Ok(())
    }

    async fn detach(&self, queue: &QueueName) -> Result<bool, Error> {
        let seats = self.seats();
        let Some(seat) = seats.at(queue).map(|i| &seats.seats[i]) else {
            return Ok(false);
        };
        if !seat.leave() {
            return Ok(false);
        }
        let mut claimer = self.interrupt().await;
        let seats = self.seats();
        // It takes nothing more already: what is in trouble now the next claim makes up for.
        let left = claimer.leave(seat).await;
        let parted = claimer.part(&self.endpoint, &seats.seats).await;
        if let Err(error) = left.and(parted) {
            tracing::debug!(%queue, %error, "the session of a queue that was left is closed later");
        }
        self.forget(&seats);
        Ok(true)
    }

    fn lease(&self) -> Duration {
        let seats = self.seats();
        let leases = seats.seats.iter().map(|s| s.lease());
        leases.min().unwrap_or(self.lease)
    }

    async fn started(&self, queue: &QueueName, runs: Vec<Start>) -> Result<(), Error> {
        let seats = self.seats();
        let Some(at) = seats.at(queue) else {
            return Ok(());
        };
        let mut link = self.teller.lock().await;
        started::tell(&self.endpoint, &seats.seats[at], runs, &mut link).await
    }
}
