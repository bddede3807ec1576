//! What the lease promises: the living keep what they hold, the silent lose it, and nobody judges in haste.

use super::{Bench, done, ids};
use crate::broker::{ConsumerOptions, Finished, Order, Swept};
use crate::error::Error;
use crate::state::State;

/// As long as it beats, a session keeps its deliveries, however long they run and whoever sweeps.
pub async fn a_beating_session_outlives_many_leases(bench: Bench) -> Result<(), Error> {
    bench.send(3).await?;
    let (worker, sweeper) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&worker, 3).await?;
    for _ in 0..30 {
        bench.pass(bench.lease() / 5, &[&worker, &sweeper]).await?;
        assert_eq!(sweeper.sweep().await?, Swept::default());
    }
    assert!(got.iter().all(|d| !d.lost.is_cancelled()));
    bench.settle(&worker, got.iter().map(done).collect()).await
}

/// A session that is silent for less than its lease keeps its deliveries.
pub async fn nobody_sweeps_within_the_lease(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let (worker, sweeper) = (bench.consumer().await?, bench.consumer().await?);
    bench.pass(bench.lease() * 2, &[&worker, &sweeper]).await?;
    let got = bench.deliver(&worker, 1).await?;
    bench.pass(bench.lease() * 4 / 5, &[&sweeper]).await?;
    assert_eq!(sweeper.sweep().await?, Swept::default());
    worker.beat().await?;
    assert!(!got[0].lost.is_cancelled());
    bench.settle(&worker, vec![done(&got[0])]).await
}

/// What a silent session held comes back once its lease is past: before what waits, in order.
pub async fn silence_past_the_lease_gives_back_in_order(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(7).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&silent, 2).await?;
    bench.deliver(&silent, 2).await?;
    let swept = bench.reclaim(&heir).await?;
    assert_eq!(
        swept,
        Swept {
            returned: 4,
            dead: 0
        }
    );
    assert_eq!(ids(&bench.deliver(&heir, 7).await?), sent);
    assert_eq!(bench.state(sent[0]).await?, Some(State::Queued));
    Ok(())
}

/// A session that held more than one call can carry is given back whole, in order.
pub async fn many_deliveries_are_given_back(bench: Bench) -> Result<(), Error> {
    let mut sent = bench.send(900).await?;
    sent.extend(bench.send(900).await?);
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    bench.deliver(&silent, 1_800).await?;
    assert_eq!(bench.reclaim(&heir).await?.returned, 1_800);
    assert_eq!(bench.depth().await?.in_flight, 0);
    assert_eq!(ids(&bench.deliver(&heir, 1_800).await?), sent);
    Ok(())
}

/// A session that was given up learns it by its next beat: its deliveries are cancelled.
pub async fn a_lost_session_hears_of_it(bench: Bench) -> Result<(), Error> {
    bench.send(2).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&silent, 2).await?;
    bench.reclaim(&heir).await?;
    silent.beat().await?;
    for delivery in &got {
        assert!(delivery.lost.is_cancelled());
    }
    Ok(())
}

/// After a loss the same consumer claims again, and what it claims then is its own.
pub async fn after_a_loss_the_consumer_begins_anew(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(1).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let old = bench.deliver(&silent, 1).await?;
    bench.reclaim(&heir).await?;
    silent.beat().await?;
    let new = bench.deliver(&silent, 1).await?;
    assert_eq!(ids(&new), sent);
    assert!(!new[0].lost.is_cancelled());
    let finished = bench.finish(&silent, vec![done(&old[0])]).await?;
    assert_eq!(
        finished,
        Finished {
            applied: 0,
            lost: 1
        }
    );
    bench.settle(&silent, vec![done(&new[0])]).await?;
    assert_eq!(bench.state(sent[0]).await?, Some(State::Success));
    Ok(())
}

/// Who is past its own lease judges nobody.
pub async fn a_sweeper_past_its_own_lease_may_not_sweep(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let (worker, sweeper) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&worker, 1).await?;
    bench.pass(bench.lease() * 2, &[&worker, &sweeper]).await?;
    bench.advance(bench.lease() * 3).await?;
    assert_eq!(sweeper.sweep().await?, Swept::default());
    worker.beat().await?;
    assert!(!got[0].lost.is_cancelled());
    bench.settle(&worker, vec![done(&got[0])]).await
}

/// After a silence of all, the first one to beat again must not take the others for dead.
pub async fn after_an_outage_the_first_one_back_robs_nobody(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let (worker, first) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&worker, 1).await?;
    bench.pass(bench.lease() * 2, &[&worker, &first]).await?;
    bench.advance(bench.lease() * 3).await?;
    first.beat().await?;
    assert_eq!(first.sweep().await?, Swept::default());
    bench.pass(bench.lease() * 3 / 5, &[&first]).await?;
    assert_eq!(first.sweep().await?, Swept::default());
    worker.beat().await?;
    assert!(!got[0].lost.is_cancelled());
    bench.settle(&worker, vec![done(&got[0])]).await
}

/// A consumer that has just begun knows nothing of the others' beats, and judges nobody.
pub async fn a_newcomer_may_not_sweep_at_once(bench: Bench) -> Result<(), Error> {
    bench.send(1).await?;
    let worker = bench.consumer().await?;
    let got = bench.deliver(&worker, 1).await?;
    bench.advance(bench.lease() * 3).await?;
    let newcomer = bench.consumer().await?;
    newcomer.beat().await?;
    assert_eq!(newcomer.sweep().await?, Swept::default());
    worker.beat().await?;
    bench.settle(&worker, vec![done(&got[0])]).await
}

/// Whoever stays silent after an outage is swept once another has been in contact for a lease.
pub async fn after_an_outage_the_dead_are_swept_in_the_end(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let (silent, heir) = (bench.consumer().await?, bench.consumer().await?);
    let got = bench.deliver(&silent, 2).await?;
    bench.advance(bench.lease() * 3).await?;
    heir.beat().await?;
    assert_eq!(bench.reclaim(&heir).await?.returned, 2);
    assert_eq!(ids(&bench.deliver(&heir, 2).await?), sent);
    drop(got);
    Ok(())
}

/// A consumer that nobody swept goes on after a pause of any length: its deliveries are still its own.
pub async fn alone_after_a_long_pause_nothing_is_lost(bench: Bench) -> Result<(), Error> {
    let sent = bench.send(2).await?;
    let alone = bench.consumer().await?;
    let got = bench.deliver(&alone, 1).await?;
    bench.advance(bench.lease() * 20).await?;
    assert_eq!(alone.sweep().await?, Swept::default());
    alone.beat().await?;
    assert!(!got[0].lost.is_cancelled());
    let more = bench.deliver(&alone, 1).await?;
    bench
        .settle(&alone, vec![done(&got[0]), done(&more[0])])
        .await?;
    for id in sent {
        assert_eq!(bench.state(id).await?, Some(State::Success));
    }
    Ok(())
}

/// All consumers of a queue go by one lease: the first one's.
pub async fn the_first_workers_lease_is_in_force(bench: Bench) -> Result<(), Error> {
    let first = bench.consumer().await?;
    let options = ConsumerOptions {
        queues: vec![bench.queue.clone().into()],
        order: Order::default(),
        lease: bench.lease() * 2,
        node: "bench".into(),
    };
    let second = bench.broker.consume(options).await?;
    assert_eq!(first.lease(), bench.lease());
    assert_eq!(second.lease(), bench.lease());
    Ok(())
}
