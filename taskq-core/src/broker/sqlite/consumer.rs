//! One worker process at its queues: a seat at each of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::claim::Claimer;
use super::link::Link;
use super::seat::Seat;
use super::session::{self, Key};
use super::{finish, give, gone, started, sweep};
use crate::broker::{Consumer, ConsumerOptions, Delivery, Finished, Served, Start, Swept, Verdict};
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;

/// The shortest lease: beats are a fifth of it apart.
const SHORTEST_LEASE: Duration = Duration::from_millis(100);

/// What all that a consumer does goes by.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) link: Arc<Link>,
    /// The lease that was asked for, and the node name.
    lease: Duration,
    node: Arc<str>,
    seats: Mutex<Vec<Arc<Seat>>>,
    /// Has a claim that waits look again: the queues are others, or the stop has begun.
    pub(super) changed: Notify,
    pub(super) retired: Arc<AtomicBool>,
    /// It counts among those that keep this process' lifeline.
    joined: AtomicBool,
}

impl Shared {
    /// The seats at one time. A queue has one at most.
    pub(super) fn seats(&self) -> Vec<Arc<Seat>> {
        self.lock().clone()
    }

    /// The sessions there are.
    pub(super) fn sessions(&self) -> Vec<Key> {
        let seats = self.lock();
        let sessions = seats.iter().filter_map(|seat| seat.session());
        sessions.map(|session| session.key).collect()
    }

    /// Settles what the seats owe: the end of those that were left, sessions that were given up, new sessions.
    pub(super) async fn prepare(&self) -> Result<(), Error> {
        let seats = self.seats();
        for seat in &seats {
            self.part(seat).await?;
        }
        self.resign(&seats).await?;
        let missing: Vec<Arc<Seat>> = seats
            .into_iter()
            .filter(|seat| seat.takes() && seat.session().is_none())
            .collect();
        self.open(missing).await
    }

    /// Opens a session for each of these seats, unless the stop has begun.
    async fn open(&self, seats: Vec<Arc<Seat>>) -> Result<(), Error> {
        if seats.is_empty() {
            return Ok(());
        }
        let (retired, all) = (self.retired.clone(), seats.clone());
        let lifelines = self.link.lifelines().clone();
        let open = self.link.write(move |tx| {
            if retired.load(Ordering::SeqCst) {
                return Ok(Vec::new());
            }
            let line = lifelines.mark();
            let open = |seat: &Arc<Seat>| {
                let (queue, lease) = (&seat.queue, seat.lease_ms());
                session::open(tx, queue, &seat.node, lease, line.as_deref())
            };
            all.iter().map(open).collect::<Result<Vec<_>, _>>()
        });
        for (seat, opened) in seats.iter().zip(open.await?) {
            seat.opened(opened);
        }
        Ok(())
    }

    /// Tells the file which sessions were given up.
    async fn resign(&self, seats: &[Arc<Seat>]) -> Result<(), Error> {
        for seat in seats {
            let keys = seat.resigning();
            if keys.is_empty() {
                continue;
            }
            let all = keys.clone();
            let resign = self
                .link
                .write(move |tx| all.iter().try_for_each(|key| session::resign(tx, *key)));
            resign.await?;
            seat.resigned(&keys);
        }
        Ok(())
    }

    /// Closes the session of a queue that was left, if nothing of it is held any more.
    async fn part(&self, seat: &Arc<Seat>) -> Result<(), Error> {
        if seat.takes() {
            return Ok(());
        }
        if let Some(session) = seat.session() {
            let (left, key) = (seat.clone(), session.key);
            let part = self.link.write(move |tx| {
                let is_ours = session::queue(tx, key)?.is_some();
                // Asked here, behind the claims that were begun before: it may have been attached again, too.
                if !is_ours || left.takes() || session::holds(tx, key.id)? {
                    return Ok(!is_ours);
                }
                session::end(tx, key.id)?;
                Ok(true)
            });
            if !part.await? {
                return Ok(());
            }
            seat.closed(session.generation);
        }
        self.lock().retain(|seat| !seat.is_over());
        Ok(())
    }

    /// All its sessions are over.
    async fn leave(&self) -> Result<(), Error> {
        if !self.joined.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        self.link.lifelines().leave();
        self.link.tidy().await
    }

    fn at(&self, queue: &QueueName) -> Option<Arc<Seat>> {
        let seats = self.lock();
        seats.iter().find(|seat| seat.queue == *queue).cloned()
    }

    fn seat(&self, served: Served) -> Arc<Seat> {
        Arc::new(Seat::new(served, self.lease, self.node.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A consumer that is on its way keeps the lifeline, and lets go of it if it does not come to be.
struct Joined<'l>(Option<&'l Link>);

impl<'l> Joined<'l> {
    fn new(link: &'l Link) -> Self {
        link.lifelines().join();
        Self(Some(link))
    }

    /// From here on the consumer leaves by itself.
    fn stays(mut self) {
        self.0 = None;
    }
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.0 {
            link.lifelines().leave();
            link.tidy_later();
        }
    }
}

#[derive(Debug)]
pub(super) struct SqliteConsumer {
    shared: Shared,
    claimer: tokio::sync::Mutex<Claimer>,
}

impl SqliteConsumer {
    pub(super) async fn open(link: &Arc<Link>, options: ConsumerOptions) -> Result<Self, Error> {
        if options.queues.is_empty() || options.lease < SHORTEST_LEASE {
            return Err(Error::invalid(format!(
                "a consumer needs at least one queue and a lease of at least {SHORTEST_LEASE:?}"
            )));
        }
        let shared = Shared {
            link: link.clone(),
            lease: options.lease,
            node: options.node,
            seats: Mutex::default(),
            changed: Notify::new(),
            retired: Arc::default(),
            joined: AtomicBool::new(true),
        };
        let mut seats: Vec<Arc<Seat>> = Vec::with_capacity(options.queues.len());
        for served in options.queues {
            if seats.iter().all(|seat| seat.queue != served.queue) {
                seats.push(shared.seat(served));
            }
        }
        // First: the lease of one that is gone is not in force any more.
        gone::give_back_to_claim(link, &seats).await;
        let joined = Joined::new(link);
        shared.open(seats.clone()).await?;
        joined.stays();
        *shared.lock() = seats;
        Ok(Self {
            shared,
            claimer: tokio::sync::Mutex::new(Claimer::new(options.order)),
        })
    }

    /// Renews every session; those that are lost are.
    async fn renew(&self, seats: &[Arc<Seat>]) -> Result<(), Error> {
        let held: Vec<_> = seats
            .iter()
            .filter_map(|seat| Some((seat.clone(), seat.session()?)))
            .collect();
        let known: Vec<_> = held.iter().map(|(_, session)| session.clone()).collect();
        // With no session there is it is asked as well: a beat that says Ok has been answered.
        let beat = self.shared.link.write_first(move |tx| {
            let mut ours = Vec::with_capacity(known.len());
            for s in &known {
                let beaten = session::beat(tx, s.key, s.claims, s.finishes)?;
                if !beaten {
                    session::resign(tx, s.key)?;
                }
                ours.push(beaten);
            }
            Ok(ours)
        });
        for ((seat, session), ours) in held.iter().zip(beat.await?) {
            if !ours {
                let why = "its lease was past and its deliveries were given back, or the file is an older one";
                seat.lost(session.generation, why);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for SqliteConsumer {
    async fn claim(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Error> {
        let mut claimer = self.claimer.lock().await;
        claimer.claim(&self.shared, max, wait).await
    }

    async fn finish(&self, queue: &QueueName, verdicts: Vec<Verdict>) -> Result<Finished, Error> {
        let Some(seat) = self.shared.at(queue) else {
            // The queue was left, and nothing of it is held any more.
            return Ok(Finished {
                applied: 0,
                lost: verdicts.len(),
            });
        };
        let finished = finish::finish(&self.shared.link, &seat, verdicts).await?;
        if let Err(error) = self.shared.part(&seat).await {
            tracing::debug!(%queue, %error, "the session of a queue that was left is closed later");
        }
        Ok(finished)
    }

    async fn started(&self, queue: &QueueName, runs: Vec<Start>) -> Result<(), Error> {
        match self.shared.at(queue) {
            Some(seat) => started::tell(&self.shared.link, &seat, runs).await,
            None => Ok(()),
        }
    }

    async fn beat(&self) -> Result<(), Error> {
        let seats = self.shared.seats();
        self.renew(&seats).await?;
        self.shared.resign(&seats).await?;
        for seat in &seats {
            self.shared.part(seat).await?;
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        let Shared { link, node, .. } = &self.shared;
        sweep::sweep(link, &self.shared.seats(), node).await
    }

    async fn retire(&self) -> Result<(), Error> {
        self.shared.retired.store(true, Ordering::SeqCst);
        self.shared.changed.notify_waiters();
        let sessions = self.shared.sessions();
        let retire = self.shared.link.write_first(move |tx| {
            let mut sessions = sessions.iter();
            sessions.try_for_each(|key| session::retire(tx, *key))
        });
        retire.await
    }

    async fn close(&self) -> Result<(), Error> {
        self.shared.retired.store(true, Ordering::SeqCst);
        self.shared.changed.notify_waiters();
        let seats = self.shared.seats();
        for seat in &seats {
            give::close(&self.shared.link, seat).await?;
        }
        self.shared.resign(&seats).await?;
        self.shared.leave().await
    }

    async fn attach(&self, served: Served) -> Result<(), Error> {
        if self.shared.retired.load(Ordering::SeqCst) {
            return Err(Error::new(
                ErrorKind::Refused,
                "this consumer has begun to stop: it takes from no more queues",
            ));
        }
        let weight = served.weight;
        let stays = |seats: &[Arc<Seat>]| {
            let there = seats.iter().find(|seat| seat.queue == served.queue);
            there.is_some_and(|seat| {
                seat.stay(weight);
                true
            })
        };
        if !stays(&self.shared.lock()) {
            let seat = self.shared.seat(served.clone());
            self.shared.open(vec![seat.clone()]).await?;
            let mut seats = self.shared.lock();
            // Attached twice at once, the session of the second holds nothing, and its lease runs out.
            if !stays(&seats) {
                seats.push(seat);
            }
        }
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn detach(&self, queue: &QueueName) -> Result<bool, Error> {
        let Some(seat) = self.shared.at(queue) else {
            return Ok(false);
        };
        if !seat.leave() {
            return Ok(false);
        }
        self.shared.changed.notify_waiters();
        // It takes nothing more already: what is in trouble now the next claim or beat makes up for.
        if let Err(error) = self.shared.part(&seat).await {
            tracing::debug!(%queue, %error, "the session of a queue that was left is closed later");
        }
        Ok(true)
    }

    fn lease(&self) -> Duration {
        let seats = self.shared.lock();
        let leases = seats.iter().map(|seat| seat.lease_ms()).min();
        leases.map_or(self.shared.lease, Duration::from_millis)
    }
}
