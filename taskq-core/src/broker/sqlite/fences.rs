//! What a session is not to do any more, and what a call that was broken off or refused leaves behind.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;
use std::time::Duration;

use rusqlite::Connection;
use uuid::Uuid;

use super::SqliteBroker;
use super::counted::Only;
use super::open::Location;
use super::seat::Seat;
use super::session::Key;
use super::sweep::give_next;
use super::tx::Tx;
use crate::broker::conformance::{Bench, done, ids, return_};
use crate::broker::{Broker, Due, Finished, Inspect, Served, Swept};
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;
use crate::state::State;

const NONE: Finished = Finished {
    applied: 0,
    lost: 1,
};

pub(super) async fn bench() -> (SqliteBroker, Bench) {
    let broker = SqliteBroker::at(&Location::Memory).unwrap();
    let bench = Bench::new(Only(broker.clone())).await.unwrap();
    (broker, bench)
}

/// Changes the file behind the consumers' backs.
pub(super) async fn meddle(broker: &SqliteBroker, sql: &'static str) {
    let step = move |tx: &mut Tx<'_>| tx.run(sql, ());
    let changed = broker.link.write(step).await.unwrap();
    assert_eq!(changed, 1, "{sql}");
}

/// Keeps the thread that writes busy until the answer is dropped: what is asked for meanwhile is under way.
pub(super) async fn keep_busy(broker: &SqliteBroker) -> Sender<()> {
    let (free, busy) = channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel();
    let step = broker.link.begin(move |_| {
        begin.send(()).unwrap_or_default();
        busy.recv().unwrap_or_default();
        Ok(())
    });
    drop(step.await.unwrap());
    begun.await.unwrap();
    free
}

/// What a future comes to if it is looked at now, once.
pub(super) async fn looked_at<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// A session of two deliveries, of which the next claim shall find that it is lost: that one begins a new session, and
/// what the old one held is given back uncharged.
async fn begins_anew(meddling: &'static str) -> Result<(), Error> {
    let (broker, bench) = bench().await;
    bench.send(2).await?;
    let consumer = bench.consumer().await?;
    let old = bench.deliver(&consumer, 2).await?;
    meddle(&broker, meddling).await;
    let third = bench.send(1).await?;
    let new = bench.deliver(&consumer, 1).await?;
    assert!(old.iter().all(|d| d.lost.is_cancelled()));
    assert_eq!(ids(&new), third);
    assert_eq!(bench.finish(&consumer, vec![done(&old[0])]).await?, NONE);
    bench.settle(&consumer, vec![done(&new[0])]).await?;
    let heir = bench.consumer().await?;
    let (returned, dead) = (2, 0);
    assert_eq!(bench.reclaim(&heir).await?, Swept { returned, dead });
    let again = bench.deliver(&heir, 2).await?;
    assert_eq!(ids(&again), ids(&old));
    assert!(again.iter().all(|d| d.crashes == 0));
    Ok(())
}

#[tokio::test]
async fn a_claim_at_an_older_copy_takes_nothing() -> Result<(), Error> {
    begins_anew("UPDATE session SET claims = claims - 1").await
}

#[tokio::test]
async fn a_claim_that_nobody_here_made_is_noticed() -> Result<(), Error> {
    begins_anew("UPDATE session SET claims = claims + 1").await
}

#[tokio::test]
async fn to_a_beat_a_claim_more_may_be_one_under_way() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1).await?;
    meddle(&broker, "UPDATE session SET claims = claims + 1").await;
    consumer.beat().await?;
    assert!(!got[0].lost.is_cancelled());
    bench.settle(&consumer, vec![done(&got[0])]).await
}

#[tokio::test]
async fn a_beat_at_an_older_copy_is_lost() -> Result<(), Error> {
    for older in [
        "UPDATE session SET claims = claims - 1",
        "UPDATE session SET finishes = finishes - 1",
        "UPDATE session SET owner = x'00'",
        "DELETE FROM session",
    ] {
        let (broker, bench) = bench().await;
        bench.send(3).await?;
        let consumer = bench.consumer().await?;
        let got = bench.deliver(&consumer, 3).await?;
        bench.settle(&consumer, vec![done(&got[0])]).await?;
        consumer.beat().await?;
        assert!(!got[1].lost.is_cancelled());
        meddle(&broker, older).await;
        consumer.beat().await?;
        assert!(got[1].lost.is_cancelled(), "{older}");
    }
    Ok(())
}

#[tokio::test]
async fn a_verdict_at_an_older_copy_does_not_count() -> Result<(), Error> {
    for older in [
        "UPDATE session SET claims = claims - 1",
        "UPDATE session SET finishes = finishes - 1",
        "UPDATE session SET finishes = finishes + 2",
        "UPDATE session SET owner = x'00'",
    ] {
        let (broker, bench) = bench().await;
        let sent = bench.send(2).await?;
        let consumer = bench.consumer().await?;
        let got = bench.deliver(&consumer, 2).await?;
        bench.settle(&consumer, vec![done(&got[0])]).await?;
        meddle(&broker, older).await;
        let finished = bench.finish(&consumer, vec![done(&got[1])]).await?;
        assert_eq!(finished, NONE, "{older}");
        assert!(got[1].lost.is_cancelled());
        assert_eq!(bench.state(sent[1]).await?, Some(State::Queued));
        assert_eq!(bench.depth().await?.in_flight, 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_finish_that_was_broken_off_counts_once() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let sent = bench.send(2).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    let busy = keep_busy(&broker).await;
    {
        let mut finish = pin!(bench.finish(&consumer, vec![done(&got[0])]));
        assert!(looked_at(finish.as_mut()).await.is_none());
    }
    drop(busy);
    let finished = bench.finish(&consumer, got.iter().map(done).collect());
    let (applied, lost) = (1, 1);
    assert_eq!(finished.await?, Finished { applied, lost });
    consumer.beat().await?;
    assert!(!got[0].lost.is_cancelled());
    for id in sent {
        assert_eq!(bench.state(id).await?, Some(State::Success));
    }
    assert_eq!(bench.broker.totals(&bench.queue).await?.succeeded, 2);
    Ok(())
}

#[tokio::test]
async fn a_claim_that_was_broken_off_is_answered_by_the_next() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let sent = bench.send(3).await?;
    let consumer = bench.consumer().await?;
    // Full, so that the next one claims without a look.
    let first = bench.deliver(&consumer, 1).await?;
    let busy = keep_busy(&broker).await;
    {
        let mut claim = pin!(consumer.claim(1, Duration::from_secs(1)));
        assert!(looked_at(claim.as_mut()).await.is_none());
    }
    drop(busy);
    let next = consumer.claim(5, Duration::ZERO).await?;
    assert_eq!(ids(&next), sent[1..2]);
    let last = consumer.claim(5, Duration::ZERO).await?;
    assert_eq!(ids(&last), sent[2..]);
    let all = [first, next, last].concat();
    bench
        .settle(&consumer, all.iter().map(done).collect())
        .await
}

#[tokio::test]
async fn what_a_claim_leaves_after_it_was_full_is_found_when_it_is_due() -> Result<(), Error> {
    let (_, bench) = bench().await;
    bench.send(1).await?;
    let consumer = bench.consumer().await?;
    let message = Bench::message(1)?;
    let later = Duration::from_secs(3_600);
    bench.send_due(&message, Due::In(later)).await?;
    bench.deliver(&consumer, 1).await?;
    // Full, the next one claims without a look: it finds nothing, and the one behind it looks.
    bench.nothing_for(&consumer).await?;
    bench.advance(later).await?;
    let got = consumer.claim(1, Duration::ZERO).await?;
    assert_eq!(ids(&got), [message.id]);
    Ok(())
}

/// A file that another program holds, and a broker that does not wait for it inside SQLite.
async fn held(folder: &tempfile::TempDir) -> (SqliteBroker, Bench, Connection) {
    let path = folder.path().join("q.db");
    let broker = SqliteBroker::open(&path).unwrap();
    let impatient = |tx: &mut Tx<'_>| tx.maybe("PRAGMA busy_timeout = 1", (), |_| Ok(()));
    broker.link.write(impatient).await.unwrap();
    let bench = Bench::new(Only(broker.clone())).await.unwrap();
    (broker, bench, Connection::open(&path).unwrap())
}

#[tokio::test]
async fn verdicts_wait_for_a_file_that_is_locked() -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    let (_broker, bench, other) = held(&folder).await;
    let sent = bench.send(2).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = consumer.beat().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unreachable);
    let verdicts = vec![done(&got[0]), return_(&got[1])];
    let mut finish = pin!(bench.settle(&consumer, verdicts));
    for _ in 0..3 {
        let soon = Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, finish.as_mut()).await.is_err());
    }
    other.execute_batch("COMMIT").unwrap();
    finish.await?;
    assert_eq!(bench.state(sent[0]).await?, Some(State::Success));
    assert_eq!(ids(&bench.deliver(&consumer, 1).await?), sent[1..]);
    Ok(())
}

#[tokio::test]
async fn a_batch_waits_for_a_file_that_is_locked_until_its_deadline() -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    let (broker, bench, other) = held(&folder).await;
    let out = [Bench::outgoing(&bench.queue, &Bench::message(0)?)?];
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let late = broker.enqueue(&bench.queue, &out, Duration::from_millis(100));
    assert!(late.await.is_err_and(|e| e.is_transient()));
    let mut sent = pin!(broker.enqueue(&bench.queue, &out, Duration::from_secs(60)));
    let soon = Duration::from_millis(100);
    assert!(tokio::time::timeout(soon, sent.as_mut()).await.is_err());
    other.execute_batch("COMMIT").unwrap();
    sent.await?;
    assert_eq!(bench.depth().await?.waiting, 1);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_was_given_up_is_not_put_in_later() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let out = [Bench::outgoing(&bench.queue, &Bench::message(0)?)?];
    let busy = keep_busy(&broker).await;
    let late = broker.enqueue(&bench.queue, &out, Duration::from_millis(50));
    assert!(late.await.is_err_and(|e| e.is_transient()));
    drop(busy);
    assert_eq!(bench.depth().await?.waiting, 0);
    Ok(())
}

#[tokio::test]
async fn what_is_committed_while_another_file_comes_is_not_said_to_be_kept() -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("q.db"), folder.path().join("copy.db"));
    let broker = SqliteBroker::open(&path)?;
    let back_up = Connection::open(&path).unwrap();
    let sql = "VACUUM INTO ?1";
    back_up.execute(sql, [copy.to_str().unwrap()]).unwrap();
    drop(back_up);
    let moved = broker.link.write(move |tx| {
        tx.queue(&QueueName::new("late")?)?;
        std::fs::rename(&copy, &path).unwrap();
        Ok(())
    });
    let error = moved.await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("just now"), "{error}");
    assert!(broker.queues().await?.is_empty());
    Ok(())
}

/// What a beat is asked for behind: a transaction under way, and more than the next ones take.
#[tokio::test]
async fn a_beat_goes_before_all_that_waits() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let consumer = bench.consumer().await?;
    bench.advance(Duration::from_millis(500)).await?;
    let deadline = "SELECT deadline FROM session WHERE id > 0";
    let read = move |tx: &mut Tx<'_>| tx.one(deadline, (), |row| row.get::<_, i64>(0));
    let before = broker.link.write(read).await?;
    let ((begin, begun), (free, busy)) = (tokio::sync::oneshot::channel(), channel::<()>());
    let hold = broker.link.begin(move |_| {
        begin.send(()).unwrap_or_default();
        busy.recv().unwrap_or_default();
        Ok(())
    });
    drop(hold.await?);
    begun.await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..600 {
        waiting.push(broker.link.begin(read).await?);
    }
    let mut beat = pin!(consumer.beat());
    assert!(looked_at(beat.as_mut()).await.is_none());
    drop(free);
    beat.await?;
    for seen in waiting {
        assert!(seen.await.unwrap()? > before, "it came before the beat");
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_is_given_back_in_parts_does_not_come_back() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let mut sent = bench.send(900).await?;
    sent.extend(bench.send(900).await?);
    let heir = bench.consumer().await?;
    let silent = bench.consumer().await?;
    let got = bench.deliver(&silent, 1_800).await?;
    bench.pass(bench.lease() * 7 / 5, &[&heir]).await?;
    // The first part, as a sweeper that dies behind it makes it.
    let part = broker.link.write(|tx| {
        let sql = "SELECT id, owner FROM session WHERE deadline >= ?1";
        let ours = tx.one(sql, [tx.now_column()], |row| {
            let (id, owner) = (row.get(0)?, Uuid::from_bytes(row.get(1)?).into());
            Ok(Key { id, owner })
        })?;
        let queue = Served::from(QueueName::default());
        let seat = Seat::new(queue, Duration::from_secs(60), "bench".into());
        Ok(give_next(tx, &seat, ours)?.unwrap_or_default().swept)
    });
    assert_eq!(part.await?.returned, 999);
    silent.beat().await?;
    assert!(got[0].lost.is_cancelled());
    assert_eq!(bench.reclaim(&heir).await?.returned, 801);
    assert_eq!(ids(&bench.deliver(&heir, 1_800).await?), sent);
    Ok(())
}

/// Its lifeline would be there for as long as the process is: nobody else ends it.
#[tokio::test]
async fn a_consumer_that_does_not_come_to_be_keeps_no_lifeline() -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    let broker = SqliteBroker::open(folder.path().join("q.db"))?;
    let bench = Bench::new(Only(broker.clone())).await?;
    let lifelines = || {
        let all = std::fs::read_dir(folder.path()).unwrap();
        let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("-life-")).count()
    };
    let first = bench.consumer().await?;
    let there = lifelines();
    let refuse = "CREATE TRIGGER none BEFORE INSERT ON session BEGIN SELECT RAISE(ABORT, 'not one more'); END";
    let step = move |tx: &mut Tx<'_>| tx.run(refuse, ()).map(drop);
    broker.link.write(step).await?;
    let error = bench.consumer().await.unwrap_err();
    assert!(error.to_string().contains("not one more"), "{error}");
    assert_eq!(lifelines(), there);
    first.close().await?;
    assert_eq!(lifelines(), 0);
    Ok(())
}
