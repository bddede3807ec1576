//! One worker process on Redis: a seat at each queue, and a connection for each kind of call.
//!
//! The claim blocks on the bell, so it has its own connection; finishes have one per queue, so that trouble at one
//! queue holds up no other; the beat has its own, opened on the thread that beats.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use redis::cmd;
use tokio::sync::Mutex;

use super::claim::Claimer;
use super::endpoint::Endpoint;
use super::finish::Finisher;
use super::link::Link;
use super::session::Seat;
use super::sweep;
use crate::broker::{Consumer, ConsumerOptions, Delivery, Finished, Start, Swept, Verdict};
use crate::error::Error;
use crate::id::QueueName;

/// See the module.
#[derive(Debug)]
pub(super) struct RedisConsumer {
    endpoint: Arc<Endpoint>,
    seats: Vec<Arc<Seat>>,
    claimer: Mutex<Claimer>,
    finishers: Vec<Mutex<Finisher>>,
    beater: Mutex<Link>,
    sweeper: Mutex<Link>,
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
            .map(|queue| {
                let keys = endpoint.namespace.queue(&queue);
                Arc::new(Seat::new(queue, keys, options.lease))
            })
            .collect();
        let consumer = Self {
            finishers: seats
                .iter()
                .map(|seat| Mutex::new(Finisher::new(seat.clone(), Link::new(endpoint, deadline))))
                .collect(),
            claimer: Mutex::new(Claimer::new(Link::new(endpoint, deadline))),
            beater: Mutex::new(Link::new(endpoint, deadline)),
            sweeper: Mutex::new(Link::new(endpoint, deadline)),
            farewell: Mutex::new(Link::new(endpoint, deadline)),
            retired: AtomicBool::new(false),
            endpoint: endpoint.clone(),
            seats,
        };
        consumer
            .claimer
            .lock()
            .await
            .open(endpoint, &consumer.seats)
            .await?;
        Ok(consumer)
    }

    async fn beat_all(&self, link: &mut Link) -> Result<(), Error> {
        let mut beaten = Vec::new();
        let mut calls = Vec::new();
        for seat in &self.seats {
            if let Some((generation, beat)) = seat.beat(&self.endpoint) {
                beaten.push((seat, generation));
                calls.push(beat);
            }
        }
        // Told again with each beat, so that a FLUSHALL does not hide the queues.
        let mut known = cmd("SADD");
        known.arg(self.endpoint.namespace.queues());
        for seat in &self.seats {
            known.arg(seat.queue.as_str());
        }
        calls.push(known);
        let answers = link.all(&calls, Duration::ZERO).await?;
        let mut first_error = Ok(());
        for ((seat, generation), answer) in beaten.into_iter().zip(answers) {
            let noted = seat.beaten(generation, answer);
            first_error = first_error.and(noted);
        }
        // After the beats: trouble at one queue must not cost the others their leases.
        for seat in &self.seats {
            first_error = first_error.and(seat.resign_lost(&self.endpoint, link).await);
        }
        first_error
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
        let at = self.seats.iter().position(|s| s.queue == *queue);
        let at = at.ok_or_else(|| {
            Error::invalid(format!("this consumer has no seat at the queue {queue}"))
        })?;
        self.finishers[at]
            .lock()
            .await
            .finish(&self.endpoint, verdicts)
            .await
    }

    async fn beat(&self) -> Result<(), Error> {
        let mut link = self.beater.lock().await;
        self.beat_all(&mut link).await
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
        let _ = (queue, runs);
        Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this broker does not do that yet",
        ))
    }
}
