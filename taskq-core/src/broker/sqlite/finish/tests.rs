//! How a batch is cut into steps, and what a repeat of one is.

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::SqliteBroker;
use super::super::counted::Only;
use super::super::open::Location;
use super::super::session::Key;
use super::*;
use crate::broker::conformance::{Bench, dead, done, ids, return_, snooze};
use crate::broker::{Delivery, Depth};
use crate::id::TaskId;

#[tokio::test]
async fn a_batch_that_was_committed_unseen_is_not_applied_again() -> Result<(), Error> {
    let broker = SqliteBroker::at(&Location::Memory)?;
    let bench = Bench::new(Only(broker.clone())).await?;
    bench.send(2).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 2).await?;
    let read = broker.link.read(|view| {
        view.one("SELECT id, owner FROM session WHERE id > 0", (), |row| {
            let (id, owner) = (row.get(0)?, Uuid::from_bytes(row.get(1)?).into());
            Ok(Key { id, owner })
        })
    });
    let session = Session {
        key: read.await?,
        generation: 0,
        claims: 1,
        finishes: 0,
        lost: CancellationToken::new(),
    };
    let batch = |number, tag: usize| {
        Arc::new(Batch {
            session: session.clone(),
            number,
            queue: bench.queue.clone(),
            node: "bench".into(),
            verdicts: vec![(tag as i64 + 1, done(&got[tag]))],
            refused: None,
            came_to: Mutex::default(),
        })
    };
    let apply = async |batch: &Arc<Batch>| {
        let again = batch.clone();
        broker.link.write(move |tx| again.apply(tx)).await
    };
    let (first, second) = (batch(1, 0), batch(2, 1));
    let (applied, lost) = (1, 0);
    for _ in 0..2 {
        assert!(apply(&first).await?);
        assert_eq!(first.came_to(), Finished { applied, lost });
    }
    assert!(apply(&second).await?);
    assert_eq!(bench.broker.totals(&bench.queue).await?.succeeded, 2);
    // Behind its successor it is not ours any more.
    assert!(!apply(&first).await?);
    assert!(!apply(&second).await?, "the session was given up");
    Ok(())
}

/// Sends messages of which two go in a step.
async fn send_large(bench: &Bench, n: usize) -> Result<Vec<TaskId>, Error> {
    let mut sent = Vec::new();
    for number in 0..n {
        let mut message = Bench::message(number)?;
        let args = vec!["x".repeat(MAX_BYTES * 3 / 5)];
        message.args = serde_json::value::to_raw_value(&args).ok();
        bench.send_message(&message).await?;
        sent.push(message.id);
    }
    Ok(sent)
}

/// What lies in the queue after `n` large messages were ended at once so, and in how many steps.
async fn ended(n: usize, end: fn(&Delivery) -> Verdict) -> Result<(Depth, i64), Error> {
    let broker = SqliteBroker::at(&Location::Memory)?;
    let bench = Bench::new(Only(broker.clone())).await?;
    let sent = send_large(&bench, n).await?;
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, n).await?;
    bench
        .settle(&consumer, got.iter().map(end).collect())
        .await?;
    let steps = broker
        .link
        .read(|view| view.one("SELECT sum(finishes) FROM session", (), |row| row.get(0)))
        .await?;
    let depth = bench.depth().await?;
    if depth.waiting > 0 {
        assert_eq!(ids(&bench.deliver(&consumer, n).await?), sent);
    }
    Ok((depth, steps))
}

#[tokio::test]
async fn what_a_batch_moves_is_moved_in_steps_of_bounded_size() -> Result<(), Error> {
    let (depth, steps) = ended(5, return_).await?;
    assert_eq!((depth.waiting, steps), (5, 3));
    let (depth, steps) = ended(5, |d| snooze(d, Duration::from_secs(60))).await?;
    assert_eq!((depth.delayed, steps), (5, 3));
    let (depth, steps) = ended(5, |d| dead(d, "no task of that name")).await?;
    assert_eq!((depth.dead, steps), (5, 3));
    // What is over moves nowhere.
    let (depth, steps) = ended(5, done).await?;
    assert_eq!((depth.in_flight, steps), (0, 1));
    Ok(())
}

#[tokio::test]
async fn what_is_returned_in_several_batches_keeps_its_order() -> Result<(), Error> {
    let broker = SqliteBroker::at(&Location::Memory)?;
    let bench = Bench::new(Only(broker)).await?;
    let mut sent = bench.send(900).await?;
    sent.extend(bench.send(900).await?);
    let consumer = bench.consumer().await?;
    let got = bench.deliver(&consumer, 1_700).await?;
    // Every seventh is done, and they come in another order than they were claimed.
    let verdict = |(at, delivery): (usize, &Delivery)| match at % 7 {
        0 => done(delivery),
        _ => return_(delivery),
    };
    let mut verdicts: Vec<Verdict> = got.iter().enumerate().map(verdict).collect();
    verdicts.rotate_left(500);
    bench.settle(&consumer, verdicts).await?;
    let kept = |at: usize| at >= 1_700 || !at.is_multiple_of(7);
    let left: Vec<TaskId> = (0..1_800)
        .filter(|at| kept(*at))
        .map(|at| sent[at])
        .collect();
    assert_eq!(ids(&bench.deliver(&consumer, left.len()).await?), left);
    Ok(())
}
