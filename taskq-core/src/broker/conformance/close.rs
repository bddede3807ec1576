//! How a consumer ends: nothing is lost by it, and nobody is charged for it.

use super::{Bench, done, ids};
use crate::broker::Depth;
use crate::error::Error;
use crate::message::OnCrash;
use crate::state::State;

/// What is still held at the end goes back, before what waits, in order, without a crash.
pub async fn what_is_held_at_close_goes_back_uncharged_in_order(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(6).await?;
    let (leaving, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&leaving, 2).await?;
    let got = bench.deliver(&leaving, 1).await?;
    leaving.close().await?;
    bench.reclaim(&heir).await?;
    let again = bench.deliver(&heir, 6).await?;
    assert_eq!(ids(&again), sent);
    assert!(again.iter().all(|d| d.crashes == 0 && !d.suspect));
    drop(got);
    Ok(())
}

/// A consumer that holds nothing leaves nothing, and there is nothing to sweep after it.
pub async fn a_clean_close_leaves_nothing(bench: Bench) -> Result<(), Error> {
    bench.send(2).await?;
    let (leaving, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&leaving, 2).await?;
    bench
        .settle(&leaving, got.iter().map(done).collect())
        .await?;
    leaving.retire().await?;
    leaving.close().await?;
    assert_eq!(bench.depth().await?, Depth::default());
    let swept = bench.reclaim(&heir).await?;
    assert_eq!((swept.returned, swept.dead), (0, 0));
    Ok(())
}

/// What is said after the end counts for nothing.
pub async fn the_verdict_of_a_closed_consumer_does_not_count(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let (leaving, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&leaving, 1).await?;
    leaving.close().await?;
    if let Ok(finished) = bench.finish(&leaving, vec![done(&got[0])]).await {
        assert_eq!(finished.applied, 0);
    }
    assert_eq!(bench.state(sent[0]).await?, Some(State::Queued));
    bench.reclaim(&heir).await?;
    bench.deliver(&heir, 1).await?;
    Ok(())
}

/// `on_crash = "dead"` is at most once: what was begun and not finished is DEAD, however its process ended.
pub async fn on_crash_dead_is_dead_even_after_a_close(bench: Bench) -> Result<(), Error> {
    let mut message = Bench::message(0)?;
    message.on_crash = OnCrash::Dead;
    bench.send_message(&message).await?;
    let (leaving, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&leaving, 1).await?;
    leaving.retire().await?;
    leaving.close().await?;
    bench.reclaim(&heir).await?;
    bench.nothing_for(&heir).await?;
    assert_eq!(bench.state(message.id).await?, Some(State::Dead));
    assert_eq!(bench.depth().await?.dead, 1);
    Ok(())
}

/// Once the stop has begun nothing new comes.
pub async fn a_retired_consumer_claims_nothing(bench: Bench) -> Result<(), Error> {
    let consumer = bench.consumer().await?;
    bench.send(3).await?;
    let got = bench.deliver(&consumer, 1).await?;
    consumer.retire().await?;
    bench.nothing_for(&consumer).await?;
    assert_eq!(bench.depth().await?.waiting, 2);
    bench.settle(&consumer, vec![done(&got[0])]).await
}

/// During the stop beats go on, and verdicts count.
pub async fn a_retired_consumer_still_finishes(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let (leaving, sweeper) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&leaving, 2).await?;
    leaving.retire().await?;
    leaving.retire().await?;
    bench.pass(bench.lease() * 2, &[&leaving, &sweeper]).await?;
    assert_eq!(sweeper.sweep().await?.returned, 0);
    assert!(!got[0].lost.is_cancelled());
    bench
        .settle(&leaving, got.iter().map(done).collect())
        .await?;
    leaving.close().await?;
    for id in sent {
        assert_eq!(bench.state(id).await?, Some(State::Success));
    }
    Ok(())
}

/// Killed in the middle of its stop, a consumer charges nobody, however often that happens.
pub async fn a_retired_consumer_that_dies_is_charged_no_crash(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(3).await?;
    let heir = bench.consumer().await?;
    for _ in 0..4 {
        let dying = bench.consumer().await?;
        bench.deliver(&dying, 3).await?;
        dying.retire().await?;
        assert_eq!(bench.reclaim(&heir).await?.returned, 3);
    }
    let got = bench.deliver(&heir, 3).await?;
    assert_eq!(ids(&got), sent);
    assert!(got.iter().all(|d| d.crashes == 0));
    Ok(())
}
