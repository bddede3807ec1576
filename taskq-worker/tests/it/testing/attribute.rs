//! `#[taskq_worker::test]`.

use std::sync::Arc;
use std::time::Duration;

use taskq_worker::testing::TestBroker;

use super::tasks::{Diary, add, kit, note};

#[taskq_worker::test(worker = kit)]
async fn a_test_may_answer_an_error(broker: TestBroker) -> Result<(), taskq_worker::Error> {
    broker.client().send(add::call(1, 1)).await?;
    assert_eq!(broker.drain().await.done, 1);
    Ok(())
}

#[taskq_worker::test(worker = kit)]
async fn its_clock_stands(_broker: TestBroker) {
    let (now, real) = (tokio::time::Instant::now(), std::time::Instant::now());
    while real.elapsed() < Duration::from_millis(2) {
        tokio::task::yield_now().await;
    }
    assert_eq!(tokio::time::Instant::now(), now);
}

#[taskq_worker::test(start_paused = false, worker = kit)]
async fn its_clock_runs_if_it_is_to(_broker: TestBroker) {
    let now = tokio::time::Instant::now();
    while now.elapsed().is_zero() {
        tokio::task::yield_now().await;
    }
}

#[taskq_worker::test(worker = kit)]
#[should_panic(expected = "as wanted")]
async fn other_attributes_stay(_broker: TestBroker) {
    panic!("as wanted");
}

/// What one test sends no other sees.
#[tokio::test]
async fn brokers_are_apart() {
    let (one, other) = (super::tasks::broker(), super::tasks::broker());
    one.client()
        .send(note::call("a".to_owned(), None))
        .await
        .unwrap();
    assert_eq!(other.drain().await.total(), 0);
    assert!(other.sent().is_empty());
    assert_eq!(one.drain().await.done, 1);
    assert!(other.state::<Diary>().unwrap().read().is_empty());
}

#[test]
fn the_hooks_of_the_end_run_after_the_test() {
    let diary = Arc::new(Diary::default());
    let stops = Arc::clone(&diary);
    let builder = TestBroker::builder()
        .worker(move |w| kit(w).on_stop(move |_| async move { stops.note("stop") }));
    taskq_worker::testing::run_test(builder, true, async |broker: TestBroker| {
        broker.run(add::call(1, 1)).await.value();
    });
    assert_eq!(diary.read(), ["stop"]);
}
