use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use taskq_core::broker::Inspect;
use taskq_core::broker::sqlite::SqliteBroker;

use super::{Place, all_ended, consume, eventually, finish, queue, send, work_off};

/// Who writes without a break, on a connection of its own as another process has it and on the worker's own, keeps no
/// beat from coming in time. That it goes before what waits: `a_beat_goes_before_all_that_waits`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_without_a_break_cost_no_session() {
    let place = Place::new();
    let (ours, worker) = consume(&place.database()).await;
    let mut kept = send(&ours, 50).await.unwrap();
    let held = worker.claim(50, Duration::ZERO).await.unwrap();
    let other = SqliteBroker::open(place.database()).unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..16)
        .map(|n| {
            let broker = if n % 4 == 0 { &ours } else { &other }.clone();
            let enough = enough.clone();
            tokio::spawn(async move {
                let mut sent = Vec::new();
                while !enough.load(Ordering::SeqCst) {
                    sent.extend(send(&broker, 20).await.unwrap());
                }
                sent
            })
        })
        .collect();
    // Each beat is asked for while the senders have the file between them, and answered in the middle of it.
    let written = async || other.totals(&queue()).await.unwrap().sent;
    for _ in 0..40 {
        let before = written().await;
        eventually("they write", async || written().await > before).await;
        worker.beat().await.unwrap();
        assert!(held.iter().all(|d| !d.lost.is_cancelled()));
    }
    enough.store(true, Ordering::SeqCst);
    for sender in senders {
        kept.extend(sender.await.unwrap());
    }
    assert_eq!(finish(&*worker, &held).await.unwrap(), 50);
    worker.close().await.unwrap();
    let depth = ours.depth(&queue()).await.unwrap();
    assert_eq!(depth.waiting as usize, kept.len() - 50);
    let after = work_off(&place.database()).await;
    all_ended(&after, &kept.into_iter().collect()).await;
}
