//! How far a call has got, seen from its sender: over the memory broker and over Redis.

use std::sync::Arc;

use private_redis::RedisServer;
use taskq_client::{Client, Progress, SendOptions, Signature, State, TaskHandle};
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::task::Registry;
use taskq_worker::{CancellationToken, Context, TaskError, Worker, task};
use tokio::sync::Semaphore;
use tokio::time::{Duration, sleep, timeout};

use crate::running::PATIENCE;

/// Takes a step when the test lets it; the attempt before the last step fails once.
#[task(crate = taskq_worker, name = "steps.climb", max_retries = 1)]
async fn climb(ctx: Context, steps: u64) -> Result<u64, TaskError> {
    let gate = ctx.state::<Arc<Semaphore>>()?;
    for step in 1..=steps {
        ctx.progress(step, steps, &format!("attempt {}", ctx.attempt()));
        gate.acquire().await?.forget();
        if step + 1 == steps && ctx.attempt() == 1 {
            return Err(TaskError::retry_after(Duration::ZERO, "slipped"));
        }
    }
    Ok(steps)
}

/// What is read of it once it has got so far.
async fn reaches(handle: &TaskHandle<u64>, done: u64, note: &str) -> Progress {
    let asked = async {
        loop {
            let progress = handle.progress().await.unwrap();
            if let Some(progress) = progress.filter(|p| p.done == done)
                && progress.note.as_deref() == Some(note)
            {
                return progress;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("it gets so far")
}

async fn a_climb(client: Client, worker: taskq_worker::Builder) {
    let gate = Arc::new(Semaphore::new(0));
    let stop = CancellationToken::new();
    let worker = worker
        .registry(Registry::from_defs([&climb::DEF]).unwrap())
        .state(Arc::clone(&gate))
        .stop(stop.clone());
    let handle = client.send(climb::call(3)).await.unwrap();
    assert_eq!(handle.progress().await.unwrap(), None, "it has not begun");
    let worker = tokio::spawn(worker.build().unwrap().run());
    for (step, note) in [(1, "attempt 1"), (2, "attempt 1"), (1, "attempt 2")] {
        let progress = reaches(&handle, step, note).await;
        assert_eq!((progress.done, progress.total), (step, 3));
        assert_eq!(handle.state().await.unwrap(), Some(State::Started));
        gate.add_permits(1);
    }
    reaches(&handle, 2, "attempt 2").await;
    gate.add_permits(2);
    assert_eq!(handle.wait(PATIENCE).await.unwrap(), 3);
    assert_eq!(reaches(&handle, 3, "attempt 2").await.total, 3);
    stop.cancel();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_handle_tells_how_far_its_call_has_got() {
    let broker = Arc::new(MemoryBroker::new());
    let client = Client::builder().over(broker.clone());
    a_climb(client, Worker::builder().backend(broker)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_redis_too() {
    let server = RedisServer::start();
    let client = Client::connect(&server.url()).await.unwrap();
    a_climb(client, Worker::builder().url(server.url())).await;
}

#[tokio::test]
async fn what_keeps_no_record_tells_nothing() {
    let client = Client::builder().over(Arc::new(MemoryBroker::new()));
    let untracked = SendOptions::default().ignore_result(true);
    let handle = client.send_by_name("t", &(), &(), untracked).await.unwrap();
    assert_eq!(handle.progress().await.unwrap(), None);
    let handle = client.send(Signature::<u64>::by_name("t")).await.unwrap();
    assert_eq!(handle.progress().await.unwrap(), None);
}
