//! The fleet: who runs, until when, and which tasks were published.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::gone;
use super::lifeline::Lifelines;
use super::stream::tell_worker;
use super::tx::{Tx, View, column, number};
use crate::clock::ceil_ms;
use crate::error::{Error, ErrorKind};
use crate::event::WorkerEventKind;
use crate::fleet::{PUBLISHED_FOR_MS, PublishedTask, WorkerCard};

const MAX_WORKERS: i64 = 10_000;
const MAX_TASKS: i64 = 10_000;

/// Who registers tells so many others offline at most.
pub(super) const AT_ONCE: usize = 500;

/// That a task was seen is written anew this often (ms), not with each renewal: a fleet renews every few seconds.
const SEEN_EVERY_MS: u64 = 60_000;

/// A worker runs, for the next `ttl`, and offers these.
pub(super) fn register(
    tx: &mut Tx<'_>,
    card: &WorkerCard,
    tasks: &[PublishedTask],
    ttl: Duration,
    lifelines: &Lifelines,
) -> Result<(), Error> {
    expire(tx, AT_ONCE)?;
    let until = column(tx.now().saturating_add(ceil_ms(ttl)));
    let json = encode(card, &card.node)?;
    // None until the first session: one that dies before it is known by its lapse.
    let mark = lifelines.mark();
    let sql = "UPDATE worker SET node = ?2, until = ?3, card = ?4, lifeline = ?5 WHERE id = ?1";
    let known = tx.run(sql, params![card.id, card.node, until, json, mark])? > 0;
    if known {
        tell_worker(tx, WorkerEventKind::Heartbeat, card)?;
    } else {
        // Whoever went by the same name is told offline before this one is told online.
        let gone = gone::registered(tx, lifelines)?;
        withdraw_gone(tx, &gone)?;
        let all = "SELECT count(*) FROM worker WHERE until > 0";
        check_room(tx, all, 1, MAX_WORKERS, "workers")?;
        let sql =
            "INSERT INTO worker (id, node, until, card, lifeline) VALUES (?1, ?2, ?3, ?4, ?5)";
        tx.run(sql, params![card.id, card.node, until, json, mark])?;
        tell_worker(tx, WorkerEventKind::Online, card)?;
    }
    publish(tx, tasks)
}

/// A worker is gone.
pub(super) fn withdraw(tx: &mut Tx<'_>, worker: &str) -> Result<(), Error> {
    expire(tx, AT_ONCE)?;
    let sql = "DELETE FROM worker WHERE id = ?1 RETURNING card";
    let gone = tx.all(sql, [worker], |row| row.get::<_, String>(0))?;
    tell_offline(tx, &gone)
}

/// Withdraws the workers of processes that are gone, known by their lifelines: each is told offline, once.
pub(super) fn withdraw_gone(tx: &mut Tx<'_>, marks: &[String]) -> Result<(), Error> {
    for mark in marks {
        let sql = "DELETE FROM worker WHERE lifeline = ?1 RETURNING card";
        let gone = tx.all(sql, [mark], |row| row.get::<_, String>(0))?;
        tell_offline(tx, &gone)?;
    }
    Ok(())
}

/// Drops what is past its time, at most `n` of each kind; a worker whose registration has lapsed is told offline. How many
/// at most of one kind.
pub(super) fn expire(tx: &mut Tx<'_>, n: usize) -> Result<usize, Error> {
    let most = column(n as u64);
    let sql = "DELETE FROM worker WHERE id IN \
               (SELECT id FROM worker WHERE until <= ?1 ORDER BY until LIMIT ?2) RETURNING card";
    let lapsed = tx.all(sql, [tx.now_column(), most], |row| row.get::<_, String>(0))?;
    tell_offline(tx, &lapsed)?;
    let sql = "DELETE FROM task WHERE name IN \
               (SELECT name FROM task WHERE seen <= ?1 ORDER BY seen LIMIT ?2)";
    let forgotten = tx.run(sql, [oldest_seen(tx), most])?;
    Ok(lapsed.len().max(forgotten))
}

/// A worker's registration has lapsed, and nobody told it yet.
pub(super) fn has_lapsed(view: &View<'_>) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM worker WHERE until <= ?1)";
    view.one(sql, [view.now_column()], |row| row.get(0))
}

/// The workers whose registration has not lapsed and whose process is not known to be gone, by node name.
pub(super) fn workers(view: &View<'_>, lifelines: &Lifelines) -> Result<Vec<WorkerCard>, Error> {
    let registered = registered(view)?.into_iter();
    let lives = registered.filter(|(_, mark)| lives(lifelines, mark.as_deref()));
    let mut cards: Vec<WorkerCard> = lives.map(|(card, _)| card).collect();
    cards.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
    Ok(cards)
}

/// Those whose registration has not lapsed, each with what it says of its process.
fn registered(view: &View<'_>) -> Result<Vec<(WorkerCard, Option<String>)>, Error> {
    let sql = "SELECT card, lifeline FROM worker WHERE until > ?1";
    let rows = view.all(sql, [view.now_column()], |row| {
        Ok((row.get::<_, String>(0)?, row.get(1)?))
    })?;
    let cards = rows.into_iter();
    Ok(cards
        .filter_map(|(card, mark)| Some((decode(&card)?, mark)))
        .collect())
}

fn lives(lifelines: &Lifelines, mark: Option<&str>) -> bool {
    mark.is_none_or(|mark| !lifelines.is_over(mark))
}

/// The tasks that were published within their time, by name.
pub(super) fn tasks(view: &View<'_>, lifelines: &Lifelines) -> Result<Vec<PublishedTask>, Error> {
    let sql = "SELECT body, seen FROM task WHERE seen > ?1";
    let found = view.all(sql, [oldest_seen(view)], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let live = workers(view, lifelines)?.into_iter();
    let offered: BTreeSet<String> = live.flat_map(|card| card.tasks).collect();
    let judged = found.iter().filter_map(|(body, seen)| {
        let task: PublishedTask = decode(body)?;
        Some(PublishedTask {
            live: offered.contains(&task.name),
            seen: number(*seen),
            ..task
        })
    });
    let mut judged: Vec<PublishedTask> = judged.collect();
    judged.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(judged)
}

/// The task published as `name`.
pub(super) fn task(
    view: &View<'_>,
    name: &str,
    lifelines: &Lifelines,
) -> Result<Option<PublishedTask>, Error> {
    let sql = "SELECT body, seen FROM task WHERE name = ?1 AND seen > ?2";
    let found = view.maybe(sql, params![name, oldest_seen(view)], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    })?;
    let Some((task, seen)) = found.and_then(|(body, seen)| Some((decode(&body)?, seen))) else {
        return Ok(None);
    };
    let offers = |card: &WorkerCard| card.tasks.iter().any(|offered| offered == name);
    // Of those that offer it the first that lives is enough.
    let mut registered = registered(view)?.into_iter();
    let live = registered.any(|(card, mark)| offers(&card) && lives(lifelines, mark.as_deref()));
    Ok(Some(PublishedTask {
        live,
        seen: number(seen),
        ..task
    }))
}

fn publish(tx: &Tx<'_>, tasks: &[PublishedTask]) -> Result<(), Error> {
    let failed = |e| tx.trouble(e);
    let mut known = tx.prepared("SELECT 1 FROM task WHERE name = ?1")?;
    let mut new = BTreeSet::new();
    for task in tasks {
        let found = known.query_row([&task.name], |_| Ok(())).optional();
        if found.map_err(failed)?.is_none() {
            new.insert(&task.name);
        }
    }
    check_room(
        tx,
        "SELECT count(*) FROM task WHERE seen > 0",
        new.len(),
        MAX_TASKS,
        "tasks",
    )?;
    let sql = "INSERT INTO task (name, seen, body) VALUES (?1, ?2, ?3) \
               ON CONFLICT DO UPDATE SET seen = excluded.seen, body = excluded.body \
               WHERE body <> excluded.body OR seen <= excluded.seen - ?4";
    let mut put = tx.prepared(sql)?;
    for task in tasks {
        // When it was seen has a column of its own: what is the same is not written again.
        let body = PublishedTask {
            seen: 0,
            live: false,
            ..task.clone()
        };
        let body = encode(&body, &task.name)?;
        let every = column(SEEN_EVERY_MS);
        put.execute(params![task.name, tx.now_column(), body, every])
            .map_err(failed)?;
    }
    Ok(())
}

fn check_room(
    view: &View<'_>,
    count: &str,
    more: usize,
    most: i64,
    what: &str,
) -> Result<(), Error> {
    // Only who is new counts the others.
    if more == 0 {
        return Ok(());
    }
    let known: i64 = view.one(count, (), |row| row.get(0))?;
    if column(more as u64).saturating_add(known) <= most {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!(
            "{known} {what} are known, and there is room for {most} at most: stop some, or use a Redis broker"
        ),
    ))
}

fn tell_offline(tx: &mut Tx<'_>, cards: &[String]) -> Result<(), Error> {
    for card in cards {
        // A later version may write cards that this one can not read: they leave without a word.
        if let Some(card) = decode(card) {
            tell_worker(tx, WorkerEventKind::Offline, &card)?;
        }
    }
    Ok(())
}

fn oldest_seen(view: &View<'_>) -> i64 {
    column(view.now().saturating_sub(PUBLISHED_FOR_MS))
}

fn encode(value: &impl serde::Serialize, name: &str) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|e| {
        let text = format!("what {name} says of itself does not encode");
        Error::new(ErrorKind::Protocol, text).because(e)
    })
}

fn decode<T: serde::de::DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sqlite::SqliteBroker;
    use crate::broker::sqlite::open::Location;
    use crate::broker::{Broker, Inspect};
    use crate::id::QueueName;
    use crate::message::OnCrash;

    const TTL: Duration = Duration::from_secs(60);

    fn card(id: &str) -> WorkerCard {
        WorkerCard {
            id: id.into(),
            ..WorkerCard::double(&format!("{id}@host"))
        }
    }

    fn published(name: &str) -> PublishedTask {
        PublishedTask {
            name: name.into(),
            doc: String::new(),
            params: Vec::new(),
            queue: QueueName::default(),
            max_retries: 0,
            ignore_result: false,
            track_started: false,
            expires_ms: None,
            max_crashes: None,
            soft_time_limit_ms: None,
            time_limit_ms: None,
            priority: 0,
            on_crash: OnCrash::Requeue,
            seen: 0,
            live: false,
        }
    }

    /// Fills a table up to its bound but for one row.
    async fn fill(broker: &SqliteBroker, sql: &'static str) {
        let step = move |tx: &mut Tx<'_>| {
            let until = column(tx.now() + 3_600_000);
            (1..MAX_TASKS).try_for_each(|n| tx.run(sql, params![n.to_string(), until]).map(drop))
        };
        broker.link.write(step).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_fleet_refuses_who_is_new() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let sql = "INSERT INTO worker (id, node, until, card) VALUES (?1, ?1, ?2, '{}')";
        fill(&broker, sql).await;
        broker.register(&card("last"), &[], TTL).await.unwrap();
        let refused = broker.register(&card("late"), &[], TTL).await;
        assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Refused));
        // Who is known stays, and what leaves makes room.
        broker.register(&card("last"), &[], TTL).await.unwrap();
        broker.withdraw("7").await.unwrap();
        broker.register(&card("late"), &[], TTL).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_list_of_tasks_refuses_what_is_new() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let sql = "INSERT INTO task (name, seen, body) VALUES (?1, ?2, '{}')";
        fill(&broker, sql).await;
        let (last, late) = (published("last"), published("late"));
        let both = [last.clone(), late.clone()];
        let refused = broker.register(&card("w"), &both, TTL).await;
        assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Refused));
        assert!(broker.workers().await.unwrap().is_empty());
        broker
            .register(&card("w"), std::slice::from_ref(&last), TTL)
            .await
            .unwrap();
        broker.register(&card("w"), &[last], TTL).await.unwrap();
        let refused = broker.register(&card("w"), &[late], TTL).await;
        assert!(refused.is_err_and(|e| e.kind() == ErrorKind::Refused));
    }

    #[tokio::test]
    async fn what_is_published_unchanged_is_not_written_with_each_renewal() {
        let broker = SqliteBroker::at(&Location::Memory).unwrap();
        let seen = async || broker.task("t").await.unwrap().unwrap().seen;
        let register = async |doc: &str| {
            let task = PublishedTask {
                doc: doc.into(),
                ..published("t")
            };
            broker.register(&card("w"), &[task], TTL).await.unwrap();
        };
        register("a").await;
        let first = seen().await;
        broker.advance(Duration::from_secs(30)).await.unwrap();
        register("a").await;
        assert_eq!(seen().await, first);
        register("b").await;
        let second = seen().await;
        assert!(second >= first + 30_000);
        broker.advance(Duration::from_secs(60)).await.unwrap();
        register("b").await;
        assert!(seen().await >= second + 60_000);
    }
}
