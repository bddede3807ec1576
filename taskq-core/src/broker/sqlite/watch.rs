//! Waiting for final records. Nothing is kept in the file of who waits: a watch looks when something was told, and the more
//! it waits for, the less often. So it leaves nothing behind, and many who wait eat no core.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::bell::Topic;
use super::link::Link;
use super::place::QueueId;
use super::records;
use super::tx::View;
use crate::broker::{Wanted, Watch};
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::record::Record;

/// One watch waits for at most this many.
const MAX_WANTED: usize = 10_000;

/// So many are looked at by one call: others may read between two of them.
const AT_ONCE: usize = 500;

/// Before a round of looks that will take `t`, by what the one before took for each, it rests this many times `t`.
const REST: u32 = 10;

/// So often what is awaited is read again: a wake-up may get lost, and what turns REVOKED with time rings for nobody.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// A wait beyond this is a wait without end.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Where a task may be; `None`: in whichever queue it is.
type Whence = Option<QueueName>;

pub(super) fn watch(
    link: &Arc<Link>,
    wanted: Vec<Wanted>,
    within: Duration,
) -> Result<Box<dyn Watch>, Error> {
    Ok(Box::new(SqliteWatch::new(link, wanted, within)?))
}

struct SqliteWatch {
    link: Arc<Link>,
    /// What is not found yet.
    pending: HashMap<TaskId, Whence>,
    /// What is not looked at yet, of the round of looks under way.
    round: Vec<TaskId>,
    /// For how long it has looked in this round, and at how many in all.
    spent: Duration,
    looked_at: usize,
    /// Found, and not answered yet.
    found: VecDeque<Record>,
    until: Instant,
    /// When the next round may begin.
    next_round: Instant,
    /// This round began when the time was over: it is the last.
    over: bool,
    trouble: Option<Error>,
}

#[async_trait]
impl Watch for SqliteWatch {
    async fn next(&mut self) -> Result<Option<Record>, Error> {
        let link = self.link.clone();
        loop {
            if let Some(record) = self.found.pop_front() {
                return Ok(Some(record));
            }
            if self.pending.is_empty() {
                return Ok(None);
            }
            let whole = self.round.is_empty();
            if whole {
                if self.over {
                    return self.trouble.take().map_or(Ok(None), Err);
                }
                let due = self.next_round.min(self.until);
                // A sleep takes a millisecond, also one that is over.
                if Instant::now() < due {
                    sleep_until(due).await;
                }
            }
            // Armed before the looks: what becomes final between them and the wait is not missed.
            let mut news = pin!(link.bell().heard(Topic::News));
            news.as_mut().enable();
            if whole {
                self.begin();
            }
            while self.found.is_empty() && !self.round.is_empty() {
                self.look().await?;
            }
            // Of a round that began before this call, what rang during its first looks was not heard.
            if whole && self.found.is_empty() && !self.over {
                let again = (Instant::now() + READ_AGAIN).min(self.until);
                drop(timeout_at(again, news).await);
            }
        }
    }
}

impl SqliteWatch {
    fn new(link: &Arc<Link>, wanted: Vec<Wanted>, within: Duration) -> Result<Self, Error> {
        if wanted.len() > MAX_WANTED {
            return Err(Error::invalid(format!(
                "{} tasks are too many for one watch: wait for at most {MAX_WANTED} at once",
                wanted.len()
            )));
        }
        let mut pending: HashMap<TaskId, Whence> = HashMap::new();
        for Wanted { id, queue } in wanted {
            // Wanted of two queues it is looked for everywhere.
            pending
                .entry(id)
                .and_modify(|known| {
                    if *known != queue {
                        *known = None;
                    }
                })
                .or_insert(queue.clone());
        }
        let now = Instant::now();
        Ok(Self {
            link: link.clone(),
            pending,
            round: Vec::new(),
            spent: Duration::ZERO,
            looked_at: 0,
            found: VecDeque::new(),
            until: now + within.min(LONGEST),
            next_round: now,
            over: false,
            trouble: None,
        })
    }

    fn begin(&mut self) {
        self.round = self.pending.keys().copied().collect();
        self.looked_at = self.round.len();
        self.spent = Duration::ZERO;
        self.over = Instant::now() >= self.until;
    }

    /// Looks at some of this round. Until that is answered they stay in it: who drops this call loses nothing.
    async fn look(&mut self) -> Result<(), Error> {
        let left = self.round.len().saturating_sub(AT_ONCE);
        let some = self.round[left..].iter();
        let some: Vec<(TaskId, Whence)> = some
            .filter_map(|id| Some((*id, self.pending.get(id)?.clone())))
            .collect();
        let began = Instant::now();
        let looked = self.link.read(move |view| final_of(view, &some)).await;
        self.spent += began.elapsed();
        match looked {
            Ok(records) => {
                self.round.truncate(left);
                for record in records {
                    self.pending.remove(&record.id);
                    self.found.push_back(record);
                }
                if self.round.is_empty() {
                    self.trouble = None;
                    let left = self.pending.len() as f64 / self.looked_at.max(1) as f64;
                    self.next_round = Instant::now() + (REST * self.spent).mul_f64(left.min(1.0));
                }
                Ok(())
            }
            // It may be over before the time is.
            Err(error) if error.is_transient() => {
                self.round.clear();
                self.trouble = Some(error);
                self.next_round = Instant::now() + READ_AGAIN;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn final_of(view: &View<'_>, wanted: &[(TaskId, Whence)]) -> Result<Vec<Record>, Error> {
    let mut queues: HashMap<&QueueName, Option<QueueId>> = HashMap::new();
    let mut found = Vec::new();
    for (id, whence) in wanted {
        let queue = match whence {
            None => None,
            Some(name) => {
                let known = match queues.get(name) {
                    Some(known) => *known,
                    None => *queues.entry(name).or_insert(view.known(name)?),
                };
                // Nothing was ever sent there.
                let Some(queue) = known else { continue };
                Some(queue)
            }
        };
        found.extend(records::read_final(view, *id, queue)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Results;
    use crate::broker::sqlite::SqliteBroker;
    use crate::broker::sqlite::open::Location;
    use crate::broker::sqlite::tx::Tx;
    use crate::state::State;

    const LONG: Duration = Duration::from_secs(60);

    fn broker() -> SqliteBroker {
        SqliteBroker::at(&Location::Memory).unwrap()
    }

    async fn write(broker: &SqliteBroker, queue: &str, state: State, ids: &[TaskId]) {
        let queue = QueueName::new(queue).unwrap();
        let records: Vec<_> = ids
            .iter()
            .map(|id| Record::new(*id, "t", &queue, state))
            .collect();
        let step = move |tx: &mut Tx<'_>| {
            let at = tx.queue(&queue)?;
            let mut records = records.iter();
            records.try_for_each(|record| records::write(tx, at, record, 0))
        };
        broker.link.write(step).await.unwrap();
    }

    fn anywhere(ids: &[TaskId]) -> Vec<Wanted> {
        let wanted = |id: &TaskId| Wanted {
            id: *id,
            queue: None,
        };
        ids.iter().map(wanted).collect()
    }

    #[tokio::test]
    async fn a_watch_rests_by_what_its_looks_cost() {
        let broker = broker();
        let ids: Vec<_> = (0..2 * AT_ONCE).map(|_| TaskId::random()).collect();
        write(&broker, "q", State::Queued, &ids).await;
        let mut watch = SqliteWatch::new(&broker.link, anywhere(&ids), LONG).unwrap();
        let began = Instant::now();
        watch.begin();
        watch.look().await.unwrap();
        assert!(!watch.round.is_empty());
        watch.look().await.unwrap();
        assert!(watch.round.is_empty() && watch.spent > Duration::ZERO);
        assert!(watch.next_round >= began + watch.spent * (1 + REST));
    }

    /// The last few of many are looked for as often as if there had never been more.
    #[tokio::test]
    async fn what_was_found_is_not_rested_for() {
        let broker = broker();
        let ids: Vec<_> = (0..AT_ONCE).map(|_| TaskId::random()).collect();
        write(&broker, "q", State::Success, &ids[1..]).await;
        let mut watch = SqliteWatch::new(&broker.link, anywhere(&ids), LONG).unwrap();
        watch.begin();
        watch.look().await.unwrap();
        let ended = Instant::now();
        assert_eq!(watch.pending.len(), 1);
        assert!(watch.next_round <= ended + watch.spent * REST / 100);
    }

    #[tokio::test]
    async fn a_next_that_is_dropped_within_a_round_loses_nothing() {
        let broker = broker();
        let ids: Vec<_> = (0..3 * AT_ONCE).map(|_| TaskId::random()).collect();
        write(&broker, "q", State::Success, &ids).await;
        let mut watch = broker.watch(anywhere(&ids), LONG).await.unwrap();
        let mut found = Vec::new();
        for n in 0.. {
            // Every other one is dropped at once, while its look is under way.
            let patience = if n % 2 == 0 { Duration::ZERO } else { LONG };
            match tokio::time::timeout(patience, watch.next()).await {
                Ok(Ok(Some(record))) => found.push(record.id),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => panic!("the watch failed: {error}"),
                Err(_) => {}
            }
        }
        found.sort();
        assert_eq!(found, ids);
    }

    #[tokio::test]
    async fn of_several_queues_the_one_that_is_final_answers() {
        let broker = broker();
        let id = TaskId::random();
        write(&broker, "first", State::Started, &[id]).await;
        write(&broker, "second", State::Success, &[id]).await;
        let mut watch = broker.watch(anywhere(&[id]), LONG).await.unwrap();
        let found = watch.next().await.unwrap().unwrap();
        assert_eq!(
            (found.state, found.queue.as_str()),
            (State::Success, "second")
        );
        // Wanted of one of them, the other does not count.
        let of_first = Wanted {
            id,
            queue: Some(QueueName::new("first").unwrap()),
        };
        let mut watch = broker.watch(vec![of_first], Duration::ZERO).await.unwrap();
        assert!(watch.next().await.unwrap().is_none());
    }
}
