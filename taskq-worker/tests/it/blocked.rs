//! A task that blocks the whole runtime costs its neighbours nothing but time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{Broker, Consumer, ConsumerOptions, Inspect, Order};
use taskq_worker::task::{Registry, Running, TaskDef};
use taskq_worker::{CancellationToken, Message, Outcome, State, Worker};

use crate::bench::{celery, json, send, until};
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD};

#[derive(Clone, Default)]
struct Hold(Arc<AtomicBool>);

/// Blocks the thread that polls it, as no async function should.
static BLOCKS: TaskDef = TaskDef::new("blocks", &[], |context, _| {
    let (hold, gate) = (
        context.state::<Hold>().unwrap(),
        context.state::<Gate>().unwrap(),
    );
    Ok(Running::Async(Box::pin(async move {
        gate.let_go(1);
        while hold.0.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Outcome::Done(json(json!("at last")))
    })))
});

#[test]
fn a_blocked_runtime_keeps_its_leases_and_still_stops() {
    let flaky = Flaky::default();
    let (broker, faults) = (flaky.inner.clone(), Arc::clone(&flaky.faults));
    let (hold, gate, stop) = (Hold::default(), Gate::default(), CancellationToken::new());
    hold.0.store(true, Ordering::SeqCst);
    let worker = Worker::builder()
        .backend(Arc::new(flaky))
        .registry(Registry::from_defs([&BLOCKS, &HELD]).unwrap())
        .lease(Duration::from_secs(1))
        .grace(Duration::ZERO)
        .state(hold.clone())
        .state(gate.clone())
        .stop(stop.clone())
        .build()
        .unwrap();
    // The tasks' runtime has one thread, and a task that blocks it.
    let tasks = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let worker = tasks.spawn(worker.run());
    let here = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    here.block_on(async {
        let neighbour = send(&broker, Message::new("held")).await;
        gate.runs(1).await;
        let blocks = send(&broker, Message::new("blocks")).await;
        until(async || (broker.depth(&celery()).await.unwrap().in_flight == 2).then_some(())).await;
        // More than a lease of beats, counted, not slept; a sweeper that may rob finds nothing.
        let options = ConsumerOptions {
            queues: vec![celery().into()],
            order: Order::default(),
            lease: Duration::from_secs(1),
            node: "rival".into(),
        };
        let rival = broker.consume(options).await.unwrap();
        let before = faults.beats.load(Ordering::SeqCst);
        until(async || {
            rival.beat().await.unwrap();
            (faults.beats.load(Ordering::SeqCst) >= before + 12).then_some(())
        })
        .await;
        assert_eq!(rival.sweep().await.unwrap(), Default::default());
        assert_eq!(broker.workers().await.unwrap().len(), 1, "still registered");
        assert_eq!(broker.depth(&celery()).await.unwrap().in_flight, 2);

        // The stop gives both back while the thread is still blocked.
        rival.close().await.unwrap();
        stop.cancel();
        until(async || {
            let depth = broker.depth(&celery()).await.unwrap();
            (depth.waiting == 2 && depth.in_flight == 0).then_some(())
        })
        .await;
        until(async || broker.workers().await.unwrap().is_empty().then_some(())).await;
        hold.0.store(false, Ordering::SeqCst);
        worker.await.unwrap().unwrap();

        // Neither was charged with a crash, neither has an end.
        let rival = rival_of(&broker).await;
        let back = rival.claim(2, Duration::ZERO).await.unwrap();
        assert_eq!(back.len(), 2);
        assert!(back.iter().all(|d| d.crashes == 0));
        for id in [neighbour, blocks] {
            let record = taskq_worker::broker::Results::record(&broker, id, None).await;
            assert_eq!(record.unwrap().unwrap().state, State::Queued);
        }
    });
    tasks.shutdown_background();
}

async fn rival_of(broker: &MemoryBroker) -> Arc<dyn Consumer> {
    let options = ConsumerOptions {
        queues: vec![celery().into()],
        order: Order::default(),
        lease: Duration::from_secs(1),
        node: "rival".into(),
    };
    broker.consume(options).await.unwrap()
}
