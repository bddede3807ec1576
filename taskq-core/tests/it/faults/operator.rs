//! Somebody who revokes, purges and replays through the same wire, beside all that goes wrong; and what must hold of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taskq_core::broker::redis::RedisBroker;
use taskq_core::broker::{Control, Delivery, Inspect};
use taskq_core::clock::now_ms;
use taskq_core::revocation::Revocation;
use taskq_core::{Error, Message, QueueName, Record, State, TaskId};
use tokio::time::{sleep, timeout};

use super::world::Shared;

/// Of those accepted last, so many may be meant.
const RECENT: usize = 24;

/// What the operator has done, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    recent: VecDeque<(QueueName, TaskId)>,
    /// Their revocation was asked for: it may have come through, whatever the answer.
    tried: HashSet<TaskId>,
    /// When the answer was there that they are revoked, ms by the clock of this machine, which is Redis' too.
    revoked: HashMap<TaskId, u64>,
    /// Their replay was asked for: from then on they may run again, revoked or not.
    replayed: HashSet<TaskId>,
    /// A purge was asked for there.
    purged: HashSet<QueueName>,
    came: Came,
}

/// What is known to have come of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Came {
    /// Deliveries of which their worker knew that they are revoked.
    pub(crate) heard: u64,
    /// Messages that a purge ended.
    pub(crate) purged: u64,
    /// Messages that a replay put back.
    pub(crate) replayed: u64,
}

impl Orders {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    pub(super) fn accepted(&self, queue: &QueueName, id: TaskId) {
        let mut book = self.book();
        book.recent.push_back((queue.clone(), id));
        if book.recent.len() > RECENT {
            book.recent.pop_front();
        }
    }

    /// Whether a delivery shall not run; or what is wrong: what was claimed after its revocation had been answered must be
    /// known as revoked by who claimed it.
    pub(super) fn claimed(&self, message: &Message, delivery: &Delivery) -> Result<bool, String> {
        let covered = delivery.revoked.covers(message);
        let mut book = self.book();
        book.came.heard += u64::from(covered);
        let since = book.revoked.get(&message.id);
        let since = since.and_then(|at| delivery.claimed_at.checked_sub(*at));
        match since {
            Some(ms) if ms > 0 && !covered && !book.replayed.contains(&message.id) => Err(format!(
                "{} runs, {ms} ms after it was answered that it is revoked",
                message.id
            )),
            _ => Ok(covered),
        }
    }

    pub(crate) fn came(&self) -> Came {
        self.book().came
    }

    /// What is wrong with how a message has ended, which ends as `kind` if nobody meddles: by its record, the entries it
    /// has in the dead set, and the run whose SUCCESS was answered as applied.
    pub(super) fn misjudged(
        &self,
        queue: &QueueName,
        kind: State,
        record: &Record,
        entries: usize,
        done: Option<u64>,
    ) -> Option<String> {
        let book = self.book();
        let (id, state) = (record.id, record.state);
        let revocable = book.tried.contains(&id) || book.purged.contains(queue);
        let possible = [kind, State::Dead].contains(&state) || state == State::Revoked && revocable;
        if !possible {
            return Some(format!("{id} ended as {state}, which it can not"));
        }
        // One that was marked as revoked while it ran stays so, and lies there for what it came to.
        let lies = match state {
            State::Failure | State::Dead => 1..=1,
            State::Revoked => 0..=1,
            _ => 0..=0,
        };
        if !lies.contains(&entries) {
            return Some(format!(
                "{id} is {state}, and {entries} times in the dead set"
            ));
        }
        let run = done.filter(|_| state == State::Success)?;
        let result = record.result.as_ref().map(|r| r.get().to_owned());
        (result != Some(run.to_string()))
            .then(|| format!("{id}: its record is not of the run whose finish counted, {run}"))
    }
}

/// Meddles until the run is quiet.
pub(super) async fn meddle(shared: Arc<Shared>, seed: u64) {
    let broker = RedisBroker::new(&shared.url).unwrap();
    let mut rng = StdRng::seed_from_u64(seed + 200);
    while !shared.is_quiet() {
        sleep(Duration::from_millis(rng.random_range(0..40))).await;
        let queue = &shared.queues[rng.random_range(0..shared.queues.len())];
        // Given up half way now and then: it may come through all the same.
        let patience = Duration::from_millis(match rng.random_bool(0.1) {
            true => rng.random_range(0..3),
            false if shared.mix.mute => 200,
            false => 1_000,
        });
        let order = async {
            match rng.random_range(0..10) {
                0..4 => revoke(&shared.orders, &broker, queue, &mut rng).await,
                4..7 => purge(&shared.orders, &broker, queue, &mut rng).await,
                _ => replay(&shared.orders, &broker, queue, &mut rng).await,
            }
        };
        drop(timeout(patience, order).await);
    }
}

async fn revoke(
    orders: &Orders,
    broker: &RedisBroker,
    queue: &QueueName,
    rng: &mut StdRng,
) -> Result<(), Error> {
    let ids: Vec<TaskId> = {
        let mut book = orders.book();
        let here = book.recent.iter().filter(|(at, _)| at == queue);
        let ids: Vec<_> = here
            .map(|(_, id)| *id)
            .filter(|_| rng.random_bool(0.3))
            .collect();
        book.tried.extend(ids.iter().copied());
        ids
    };
    let what: Vec<_> = ids.iter().copied().map(Revocation::Id).collect();
    broker.revoke(queue, &what).await?;
    let now = now_ms();
    orders
        .book()
        .revoked
        .extend(ids.iter().map(|id| (*id, now)));
    if rng.random_bool(0.5) {
        broker.mark_revoked(queue, &ids).await?;
    }
    Ok(())
}

async fn purge(
    orders: &Orders,
    broker: &RedisBroker,
    queue: &QueueName,
    rng: &mut StdRng,
) -> Result<(), Error> {
    orders.book().purged.insert(queue.clone());
    let n = broker.purge(queue, rng.random_range(1..8)).await?;
    orders.book().came.purged += n as u64;
    Ok(())
}

async fn replay(
    orders: &Orders,
    broker: &RedisBroker,
    queue: &QueueName,
    rng: &mut StdRng,
) -> Result<(), Error> {
    let dead = broker.dead(queue, 0, 50).await?;
    let some: Vec<_> = dead.into_iter().filter(|_| rng.random_bool(0.1)).collect();
    let ids = some.iter().filter_map(|d| Message::decode(&d.body).ok());
    orders.book().replayed.extend(ids.map(|m| m.id));
    let handles: Vec<_> = some.into_iter().map(|d| d.handle).collect();
    let n = broker.replay(queue, &handles).await?;
    orders.book().came.replayed += n as u64;
    Ok(())
}
