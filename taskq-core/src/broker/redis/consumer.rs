//! One worker process on Redis: a seat at each queue, and a connection for each kind of call.
//!
//! The claim blocks on the bell, so it has its own connection; finishes have one per queue, so that trouble at one
//! queue holds up no other; the beat has its own, opened on the thread that beats.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::claim::Claimer;
use super::endpoint::Endpoint;
use super::finish::Finisher;
use super::link::Link;
use super::session::Seat;
use super::{started, sweep};
use crate::broker::{Consumer, ConsumerOptions, Delivery, Finished, Served, Start, Swept, Verdict};
use crate::error::Error;
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

/// See the module.
#[derive(Debug)]
pub(super) struct RedisConsumer {
    endpoint: Arc<Endpoint>,
    seats: Vec<Arc<Seat>>,
    claimer: Mutex<Claimer>,
    finishers: Vec<Mutex<Finisher>>,
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
        let seats: Vec<Arc<Seat>> = options
            .queues
            .into_iter()
            .map(|Served { queue, .. }| {
                let keys = endpoint.namespace.queue(&queue);
                Arc::new(Seat::new(queue, keys, options.lease, options.node.clone()))
            })
            .collect();
        let consumer = Self {
            finishers: seats
                .iter()
                .map(|seat| Mutex::new(Finisher::new(seat.clone(), Link::new(endpoint, deadline))))
                .collect(),
            claimer: Mutex::new(Claimer::new(Link::new(endpoint, deadline))),
            beater: Mutex::new(Beater {
                link: Link::new(endpoint, deadline),
                told: None,
            }),
            sweeper: Mutex::new(Link::new(endpoint, deadline)),
            teller: Mutex::new(Link::new(endpoint, deadline)),
            farewell: Mutex::new(Link::new(endpoint, deadline)),
            retired: AtomicBool::new(false),
            endpoint: endpoint.clone(),
            seats,
        };
        // Not over the link of the claims: that is opened by the first of them, on the runtime that claims.
        let mut link = Link::new(endpoint, deadline);
        let mut claimer = consumer.claimer.lock().await;
        claimer.open(endpoint, &consumer.seats, &mut link).await?;
        drop(claimer);
        Ok(consumer)
    }

    fn seat_at(&self, queue: &QueueName) -> Result<usize, Error> {
        let at = self.seats.iter().position(|s| s.queue == *queue);
        at.ok_or_else(|| Error::invalid(format!("this consumer has no seat at the queue {queue}")))
    }

    fn seat(&self, queue: &QueueName) -> Result<&Seat, Error> {
        Ok(&self.seats[self.seat_at(queue)?])
    }

    async fn beat_all(&self, Beater { link, told }: &mut Beater) -> Result<(), Error> {
        let mut beaten = Vec::new();
        let mut calls = Vec::new();
        for seat in &self.seats {
            if let Some((generation, beat)) = seat.beat(&self.endpoint) {
                beaten.push((seat, generation));
                calls.push(beat);
            }
        }
        let tell = told.is_none_or(|at| at.elapsed() >= TELL_QUEUES);
        if tell {
            calls.push(
                self.endpoint
                    .known(self.seats.iter().map(|seat| &seat.queue)),
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
        for seat in &self.seats {
            first_error = first_error.and(seat.resign_lost(&self.endpoint, link).await);
        }
        first_error.and(known.map_or(Ok(()), |known| known.map(drop)))
    }
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let mut claimer = self.claimer.lock().await;
        claimer
            .claim(&self.endpoint, &self.seats, &self.retired, max, wait)
            .await
    }

    async fn finish(&self, queue: &QueueName, verdicts: Vec<Verdict>) -> Result<Finished, Error> {
        let at = self.seat_at(queue)?;
        self.finishers[at]
            .lock()
            .await
            .finish(&self.endpoint, verdicts)
            .await
    }

    async fn beat(&self) -> Result<(), Error> {
        let mut beater = self.beater.lock().await;
        self.beat_all(&mut beater).await
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        let mut link = self.sweeper.lock().await;
        sweep::sweep(&self.endpoint, &self.seats, &mut link).await
    }

    async fn retire(&self) -> Result<(), Error> {
        self.retired.store(true, Ordering::SeqCst);
        let calls: Vec<_> = self.seats.iter().filter_map(|seat| seat.retire()).collect();
        self.farewell.lock().await.seldom(&calls).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.retired.store(true, Ordering::SeqCst);
        let mut link = self.farewell.lock().await;
        let mut first_error = Ok(());
        for seat in &self.seats {
            first_error = first_error.and(seat.resign_lost(&self.endpoint, &mut link).await);
            if let Some(close) = seat.close(&self.endpoint) {
                let closed = link.seldom(&[close]).await.map(|()| seat.closed());
                first_error = first_error.and(closed);
            }
        }
        first_error
    }

    fn lease(&self) -> Duration {
        self.seats
            .iter()
            .map(|s| s.lease())
            .min()
            .unwrap_or_default()
    }

    async fn started(&self, queue: &QueueName, runs: Vec<Start>) -> Result<(), Error> {
        let seat = self.seat(queue)?;
        let mut link = self.teller.lock().await;
        started::tell(&self.endpoint, seat, runs, &mut link).await
    }
}
