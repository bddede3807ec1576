//! Somebody who revokes, purges, replays and pauses beside all that goes wrong, over the same wire; and what must hold of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taskq_core::broker::Backend;
use taskq_core::clock::now_ms;
use taskq_core::revocation::Revocation;
use taskq_core::{Error, Message, QueueName, Record, State, TaskId};
use tokio::time::{sleep, timeout};

use super::books::Books;
use super::site::Site;

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
    /// Their replay was asked for, so often: from then on they may run again, revoked or not.
    replayed: HashMap<TaskId, u64>,
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
    /// Pauses of a queue, all of them ended.
    pub(crate) pauses: u64,
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

    /// What is wrong with a delivery of which its worker knew or did not know that it is revoked: what was claimed after its
    /// revocation had been answered must be known.
    pub(super) fn claimed(&self, id: TaskId, at: u64, covered: bool) -> Option<String> {
        let mut book = self.book();
        book.came.heard += u64::from(covered);
        let since = book.revoked.get(&id);
        let ms = since.and_then(|revoked| at.checked_sub(*revoked))?;
        (ms > 0 && !covered && !book.replayed.contains_key(&id))
            .then(|| format!("{id} runs, {ms} ms after it was answered that it is revoked"))
    }

    /// How often a message may have begun anew because somebody replayed it.
    pub(super) fn replays(&self, id: TaskId) -> u64 {
        self.book().replayed.get(&id).copied().unwrap_or(0)
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

/// Meddles until the run is quiet. No queue is left paused.
pub(super) async fn meddle(
    site: Arc<Site>,
    books: Arc<Books>,
    broker: Arc<dyn Backend>,
    seed: u64,
) {
    let orders = &books.orders;
    let mut rng = StdRng::seed_from_u64(seed + 200);
    while !site.is_quiet() {
        sleep(Duration::from_millis(rng.random_range(0..40))).await;
        let queue = &site.queues[rng.random_range(0..site.queues.len())];
        if rng.random_bool(0.05) {
            let span = Duration::from_millis(rng.random_range(0..200));
            pause(orders, &*broker, queue, span).await;
            continue;
        }
        // Given up half way now and then: it may come through all the same.
        let patience = Duration::from_millis(match rng.random_bool(0.1) {
            true => rng.random_range(0..3),
            false if site.mix.mute => 200,
            false => 1_000,
        });
        let order = async {
            match rng.random_range(0..10) {
                0..4 => revoke(orders, &*broker, queue, &mut rng).await,
                4..7 => purge(orders, &*broker, queue, &mut rng).await,
                _ => replay(orders, &*broker, queue, &mut rng).await,
            }
        };
        drop(timeout(patience, order).await);
    }
}

async fn pause(orders: &Orders, broker: &dyn Backend, queue: &QueueName, span: Duration) {
    // Whatever the answer is: it may have come through, and late.
    drop(broker.pause(queue, "operator", "in the way").await);
    sleep(span).await;
    loop {
        let goes_on = broker.resume(queue).await.is_ok();
        let paused = async {
            broker
                .depth(queue)
                .await
                .map(|depth| depth.paused.is_some())
        };
        if goes_on && matches!(paused.await, Ok(false)) {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    orders.book().came.pauses += 1;
}

async fn revoke(
    orders: &Orders,
    broker: &dyn Backend,
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
    broker: &dyn Backend,
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
    broker: &dyn Backend,
    queue: &QueueName,
    rng: &mut StdRng,
) -> Result<(), Error> {
    let dead = broker.dead(queue, 0, 50).await?;
    let some: Vec<_> = dead.into_iter().filter(|_| rng.random_bool(0.1)).collect();
    let ids = some.iter().filter_map(|d| Message::decode(&d.body).ok());
    for message in ids {
        *orders.book().replayed.entry(message.id).or_default() += 1;
    }
    let handles: Vec<_> = some.into_iter().map(|d| d.handle).collect();
    let n = broker.replay(queue, &handles).await?;
    orders.book().came.replayed += n as u64;
    Ok(())
}
