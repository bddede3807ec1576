//! How far harm reaches: one row that can not be read, one verdict that can not be written, a full disk, or a clock that was
//! set back.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;

use super::fences::{bench, keep_busy, looked_at, meddle};
use super::place::{MAX_SESSIONS, QueueId, held_by};
use super::tx::{Tx, View};
use super::{SqliteBroker, moves, session};
use crate::broker::conformance::{Bench, done, ids, return_};
use crate::broker::marked::Marked;
use crate::broker::{Broker, Delivery, Finished, Inspect, Swept, Verdict};
use crate::error::Error;
use crate::event::{EventPosition, Told};
use crate::id::QueueName;
use crate::message::{MAX_BYTES, OnCrash};
use crate::outcome::Failure;
use crate::revocation::Revocation;
use crate::state::State;

const HOUR: Duration = Duration::from_secs(3_600);

async fn run(broker: &SqliteBroker, sql: &'static str) {
    let step = move |tx: &mut Tx<'_>| tx.run(sql, ()).map(drop);
    broker.link.write(step).await.unwrap();
}

async fn count(broker: &SqliteBroker, sql: &'static str) -> i64 {
    let look = move |view: &View<'_>| view.one(sql, (), |row| row.get(0));
    broker.link.read(look).await.unwrap()
}

const SPOIL: &str = "UPDATE record SET body = x'00'";

#[tokio::test]
async fn a_record_that_can_not_be_read_holds_up_no_sweep() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let heir = bench.consumer().await?;
    let silent = bench.consumer().await?;
    let mut message = Bench::message(0)?;
    message.on_crash = OnCrash::Dead;
    bench.send_message(&message).await?;
    meddle(&broker, SPOIL).await;
    bench.deliver(&silent, 1).await?;
    let (returned, dead) = (0, 1);
    assert_eq!(bench.reclaim(&heir).await?, Swept { returned, dead });
    let record = bench.record(message.id).await?;
    assert_eq!((record.state, record.task), (State::Dead, message.task));
    assert_eq!(bench.depth().await?.dead, 1);
    Ok(())
}

#[tokio::test]
async fn the_trouble_of_one_queue_holds_up_neither_another_nor_the_janitor() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let queues = [bench.queue.clone(), QueueName::new("other")?];
    let heir = bench.consumer_at(&queues).await?;
    let silent = bench.consumer_at(&queues).await?;
    let mut message = Bench::message(0)?;
    message.on_crash = OnCrash::Dead;
    bench.send_message(&message).await?;
    bench.send_to(&queues[1], 1).await?;
    bench.deliver(&silent, 2).await?;
    let no_dead =
        "CREATE TRIGGER no_dead BEFORE INSERT ON dead BEGIN SELECT RAISE(ABORT, 'none of it'); END";
    run(&broker, no_dead).await;
    let past = "INSERT INTO once (queue, key, holder, until) VALUES (1, 'k', x'', 1)";
    meddle(&broker, past).await;
    bench.pass(bench.lease() * 7 / 5, &[&heir]).await?;
    let error = heir.sweep().await.unwrap_err();
    assert!(error.to_string().contains("none of it"), "{error}");
    assert_eq!(bench.broker.depth(&queues[1]).await?.waiting, 1);
    assert_eq!(count(&broker, "SELECT count(*) FROM once").await, 0);
    // Nothing of the step that failed was done.
    assert_eq!(bench.depth().await?.in_flight, 1);
    Ok(())
}

#[tokio::test]
async fn a_record_that_can_not_be_read_fails_no_revocation_of_others() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let spoilt = bench.send(1).await?;
    meddle(&broker, SPOIL).await;
    let whole = bench.send(1).await?;
    let both = [spoilt[0], whole[0]];
    let what: Vec<Revocation> = both.map(Revocation::Id).into();
    bench.broker.revoke(&bench.queue, &what).await?;
    assert_eq!(bench.broker.mark_revoked(&bench.queue, &both).await?, whole);
    assert_eq!(bench.state(whole[0]).await?, Some(State::Revoked));
    Ok(())
}

/// Of these deliveries, that of the message `at` can not be written as a success.
async fn refuse_success(broker: &SqliteBroker, number: usize) {
    let sql = format!(
        "CREATE TRIGGER no_success BEFORE UPDATE ON record WHEN new.final = 1 AND instr(new.body, 'SUCCESS') \
         AND new.id = (SELECT id FROM chosen WHERE number = {number}) BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    );
    let step = move |tx: &mut Tx<'_>| tx.run(&sql, ()).map(drop);
    broker.link.write(step).await.unwrap();
}

#[tokio::test]
async fn a_verdict_that_can_not_be_written_takes_no_other_with_it() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let sent = bench.send(9).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 9).await?;
    run(&broker, "CREATE TABLE chosen (number INTEGER, id BLOB)").await;
    let id = sent[4];
    let choose =
        move |tx: &mut Tx<'_>| tx.run("INSERT INTO chosen VALUES (4, ?1)", [id.as_bytes()]);
    broker.link.write(choose).await?;
    refuse_success(&broker, 4).await;
    let mut verdicts: Vec<_> = got[..7].iter().map(done).collect();
    verdicts.extend(got[7..].iter().map(return_));
    bench.settle(&consumer, verdicts).await?;
    for (at, id) in sent[..7].iter().enumerate() {
        let expected = if at == 4 { State::Dead } else { State::Success };
        assert_eq!(bench.state(*id).await?, Some(expected), "{at}");
    }
    let record = bench.record(id).await?;
    let reason = record.error.unwrap_or(Failure::new("", "")).message;
    assert!(reason.contains("not this one"), "{reason}");
    let dead = bench.broker.dead(&bench.queue, 0, 10).await?;
    assert!(dead.len() == 1 && dead[0].reason == reason);
    // The session is whole: what was returned comes in its order.
    consumer.beat().await?;
    assert!(got.iter().all(|d| !d.lost.is_cancelled()));
    assert_eq!(bench.depth().await?.in_flight, 0);
    assert_eq!(ids(&bench.deliver(&consumer, 2).await?), sent[7..]);
    Ok(())
}

/// The file may have so many pages: 0 are as many as it has. Its writer alone goes by it.
async fn most_pages(broker: &SqliteBroker, most: u32) {
    let step = move |tx: &mut Tx<'_>| {
        let now: u32 = tx.one("PRAGMA page_count", (), |row| row.get(0))?;
        let most = if most == 0 { now } else { most };
        let sql = format!("PRAGMA max_page_count = {most}");
        tx.one(&sql, (), |_| Ok(()))
    };
    broker.link.write(step).await.unwrap();
}

/// A verdict that makes the file grow.
fn large(delivery: &Delivery) -> Result<Verdict, Error> {
    let mut verdict = done(delivery);
    let record = verdict.record.as_mut().expect("it is tracked");
    let result = format!("\"{}\"", "x".repeat(MAX_BYTES / 2));
    record.result = Some(serde_json::value::RawValue::from_string(result).unwrap());
    Ok(verdict)
}

/// As an outage is: nothing is dropped for it, and what was done by the worker is not done again.
#[tokio::test]
async fn verdicts_wait_for_room_on_a_full_disk_for_as_long_as_their_session_lives()
-> Result<(), Error> {
    for is_lost in [false, true] {
        let (broker, bench) = bench().await;
        let sent = bench.send(2).await?;
        let consumer = bench.consumer().await?;
        let got = bench.deliver(&consumer, 2).await?;
        most_pages(&broker, 0).await;
        let verdicts = vec![large(&got[0])?, done(&got[1])];
        let mut finish = pin!(bench.finish(&consumer, verdicts));
        for _ in 0..4 {
            let some_tries = Duration::from_millis(100);
            let waits = tokio::time::timeout(some_tries, finish.as_mut()).await;
            assert!(waits.is_err(), "{waits:?}");
            // Which costs the session nothing: a beat makes the database no larger.
            consumer.beat().await?;
        }
        assert_eq!(bench.state(sent[0]).await?, Some(State::Queued));
        let (mut applied, mut lost) = (2, 0);
        if is_lost {
            meddle(&broker, "UPDATE session SET owner = x'00'").await;
            (applied, lost) = (0, 2);
        } else {
            most_pages(&broker, 100_000).await;
        }
        assert_eq!(finish.await?, Finished { applied, lost });
        assert_eq!(got[0].lost.is_cancelled(), is_lost);
    }
    Ok(())
}

/// A neighbour that writes nothing keeps its lease and would judge those that lose every beat.
#[tokio::test]
async fn a_beat_beside_steps_that_fill_the_disk_counts() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let consumer = bench.consumer().await?;
    most_pages(&broker, 0).await;
    let free = keep_busy(&broker).await;
    let mut sends = Vec::new();
    for _ in 0..3 {
        let fill = |tx: &mut Tx<'_>| {
            let sql = "INSERT INTO once (queue, key, holder, until) VALUES (1, 'k', zeroblob(1000000), 0)";
            tx.run(sql, ())
        };
        sends.push(broker.link.begin(fill).await?);
    }
    let mut beat = pin!(consumer.beat());
    assert!(looked_at(beat.as_mut()).await.is_none());
    drop(free);
    beat.await?;
    for send in sends {
        let error = send.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("full"), "{error}");
    }
    Ok(())
}

/// What no rule names is tried a few times, and then the session is given up: what it held runs again, charged to nobody.
#[tokio::test]
async fn an_error_that_no_rule_names_ends_a_finish() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let sent = bench.send(2).await?;
    let heir = bench.consumer().await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    run(&broker, "ALTER TABLE record RENAME TO elsewhere").await;
    let verdicts = got.iter().map(done).collect();
    let error = bench.finish(&consumer, verdicts).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(got.iter().all(|d| d.lost.is_cancelled()));
    run(&broker, "ALTER TABLE elsewhere RENAME TO record").await;
    consumer.beat().await?;
    let (returned, dead) = (2, 0);
    assert_eq!(bench.reclaim(&heir).await?, Swept { returned, dead });
    let again = bench.deliver(&heir, 2).await?;
    assert_eq!(ids(&again), sent);
    assert!(again.iter().all(|d| d.crashes == 0));
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_set_back_holds_up_no_sweep() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    bench.send(1).await?;
    bench.advance(HOUR).await?;
    let heir = bench.consumer().await?;
    let silent = bench.consumer().await?;
    bench.deliver(&silent, 1).await?;
    meddle(&broker, "UPDATE store SET offset_ms = 0").await;
    heir.beat().await?;
    bench.pass(bench.lease() * 7 / 5, &[&heir]).await?;
    // From here on it may judge: no lease has more than its length left.
    heir.sweep().await?;
    let (returned, dead) = (1, 0);
    assert_eq!(bench.reclaim(&heir).await?, Swept { returned, dead });
    Ok(())
}

#[tokio::test]
async fn what_is_due_at_once_moves_in_steps_of_bounded_size() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let name = bench.queue.clone();
    let step = broker.link.write(move |tx| {
        let queue = tx.queue(&name)?;
        let message = Marked {
            body: Bytes::from(vec![0; MAX_BYTES * 3 / 5]),
            priority: 0,
            crashes: 0,
        };
        let due = tx.now() + 1_000;
        (0..5).try_for_each(|_| moves::push(tx, queue, &message, due))
    });
    step.await?;
    bench.advance(HOUR).await?;
    for left in [3, 1, 0] {
        let name = bench.queue.clone();
        let promote = move |tx: &mut Tx<'_>| {
            let queue = tx.queue(&name)?;
            moves::promote(tx, queue, 999)
        };
        broker.link.write(promote).await?;
        assert_eq!(bench.depth().await?.delayed, left);
    }
    Ok(())
}

#[tokio::test]
async fn session_numbers_are_given_again_once_they_are_used_up() -> Result<(), Error> {
    let (broker, _bench) = bench().await;
    let open = |tx: &mut Tx<'_>| {
        let opened = session::open(tx, &QueueName::default(), "n", 1_000, None)?;
        Ok(opened.key.id)
    };
    assert_eq!(broker.link.write(open).await?, 1);
    let used_up = broker.link.write(|tx| {
        let sql = "INSERT INTO session (id, queue, owner, node, lease_ms, deadline, since) \
                   VALUES (?1, 1, x'00', 'n', 1000, 0, 0)";
        tx.run(sql, [MAX_SESSIONS])?;
        let sql =
            "INSERT INTO held (tag, priority, crashes, suspect, body) VALUES (?1, 0, 0, 0, x'00')";
        tx.run(sql, [held_by(2).start() + 5])
    });
    used_up.await?;
    assert_eq!(broker.link.write(open).await?, 3);
    assert_eq!(broker.link.write(open).await?, 4);
    Ok(())
}

#[tokio::test]
async fn who_had_a_session_number_before_has_no_say_over_its_next_holder() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let sent = bench.send(2).await?;
    let before = bench.consumer().await?;
    let old = bench.deliver(&before, 1).await?;
    meddle(&broker, "DELETE FROM session").await;
    meddle(&broker, "DELETE FROM held").await;
    let next = bench.consumer().await?;
    let new = bench.deliver(&next, 1).await?;
    assert_eq!(count(&broker, "SELECT max(id) FROM session").await, 1);
    assert_eq!(old[0].receipt.tag, new[0].receipt.tag);
    let (applied, lost) = (0, 1);
    let late = bench.finish(&before, vec![done(&old[0])]).await?;
    assert_eq!(late, Finished { applied, lost });
    before.beat().await?;
    before.close().await?;
    next.beat().await?;
    assert!(!new[0].lost.is_cancelled());
    bench.settle(&next, vec![done(&new[0])]).await?;
    assert_eq!(bench.state(sent[1]).await?, Some(State::Success));
    Ok(())
}

#[tokio::test]
async fn who_had_a_session_number_before_claims_nothing_under_it() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    bench.send(3).await?;
    let before = bench.consumer().await?;
    let old = bench.deliver(&before, 1).await?;
    meddle(&broker, "DELETE FROM session").await;
    meddle(&broker, "DELETE FROM held").await;
    let next = bench.consumer().await?;
    let new = bench.deliver(&next, 1).await?;
    assert_eq!(old[0].receipt.tag, new[0].receipt.tag);
    let third = bench.deliver(&before, 1).await?;
    assert!(old[0].lost.is_cancelled() && !third[0].lost.is_cancelled());
    assert_eq!(count(&broker, "SELECT count(*) FROM session").await, 2);
    bench.settle(&next, vec![done(&new[0])]).await?;
    bench.settle(&before, vec![done(&third[0])]).await
}

#[tokio::test]
async fn a_row_out_of_bounds_is_refused_and_one_that_is_there_holds_up_no_other()
-> Result<(), Error> {
    let (broker, bench) = bench().await;
    let sent = bench.send(3).await?;
    let odd = "UPDATE ready SET priority = 300, crashes = -1 WHERE place = (SELECT min(place) FROM ready)";
    let refused = broker.link.write(move |tx| tx.run(odd, ())).await;
    assert!(refused.is_err());
    let lax = |tx: &mut Tx<'_>| tx.maybe("PRAGMA ignore_check_constraints = 1", (), |_| Ok(()));
    broker.link.write(lax).await?;
    // Told apart from the one before, which was compiled with its checks.
    let odd = "UPDATE ready SET crashes = -1, priority = 300 WHERE place = (SELECT min(place) FROM ready)";
    meddle(&broker, odd).await;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 3).await?;
    assert_eq!(ids(&got), sent);
    assert_eq!((got[0].priority, got[0].crashes), (9, 0));
    Ok(())
}

#[tokio::test]
async fn a_queue_whose_name_does_not_read_is_left_out() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    bench.send(1).await?;
    let name = bench.queue.clone();
    let odd = broker.link.write(move |tx| {
        tx.run("INSERT INTO queue (id, name) VALUES (77, 'two words')", ())?;
        let told = [Told::sent(&Bench::message(0)?)];
        for queue in [QueueId(77), tx.queue(&name)?] {
            super::stream::tell(tx, queue, None, &told)?;
        }
        Ok(())
    });
    odd.await?;
    assert_eq!(broker.queues().await?, std::slice::from_ref(&bench.queue));
    let page = broker
        .events(&EventPosition::oldest(), Duration::ZERO)
        .await?;
    assert_eq!(page.events.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_lease_that_is_over_is_in_force_no_more() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let open = async |lease: u64| {
        let step =
            move |tx: &mut Tx<'_>| session::open(tx, &QueueName::default(), "n", lease, None);
        broker.link.write(step).await
    };
    let first = open(1_000).await?;
    assert_eq!(open(7_000).await?.lease_ms, 1_000);
    bench.advance(Duration::from_millis(1_001)).await?;
    let second = open(50_000).await?;
    assert_eq!(second.lease_ms, 50_000);
    assert_ne!(first.key, second.key);
    let resign = move |tx: &mut Tx<'_>| session::resign(tx, second.key);
    broker.link.write(resign).await?;
    assert_eq!(open(9_000).await?.lease_ms, 9_000);
    Ok(())
}

#[tokio::test]
async fn a_batch_without_any_time_is_tried_once() -> Result<(), Error> {
    let (broker, bench) = bench().await;
    let out = [Bench::outgoing(&bench.queue, &Bench::message(0)?)?];
    broker.enqueue(&bench.queue, &out, Duration::ZERO).await?;
    assert_eq!(bench.depth().await?.waiting, 1);
    Ok(())
}
