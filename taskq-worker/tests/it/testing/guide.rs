//! What docs/guides/testing.md shows, run: every block of it stands here, line by line.

use taskq_client::{Revocation, RevokeOptions};

use std::sync::Mutex;
use std::time::Duration;

use taskq_worker::testing::{Drained, Ended, Fault, TestBroker};
use taskq_worker::{Builder, Context, State, TaskError, assert_enqueued, refute_enqueued, task};

/// What the tasks share: here it stands for the shop's database.
#[derive(Default)]
struct Shop {
    paid: Mutex<Vec<u32>>,
}

/// The bank answers at the second attempt.
#[task(name = "shop.pay", queue = "money", max_retries = 5)]
async fn pay(context: Context, order: u32) -> Result<(), TaskError> {
    if context.attempt() == 1 {
        return Err(TaskError::retry_after(
            Duration::from_secs(60),
            "the bank does not answer",
        ));
    }
    context.state::<Shop>()?.paid.lock().unwrap().push(order);
    context
        .send(receipt::call(order).countdown(Duration::from_secs(3_600)))
        .await?;
    Ok(())
}

#[task(name = "shop.receipt", queue = "mail")]
async fn receipt(order: u32) -> String {
    format!("Order {order} is paid.")
}

/// What the worker of these tests has around its tasks, as its `main` has.
fn shop(worker: Builder) -> Builder {
    worker.state(Shop::default())
}

#[taskq_worker::test(worker = shop)]
async fn a_payment_is_tried_again_and_sends_a_receipt(broker: TestBroker) {
    broker.client().send(pay::call(7)).await.unwrap();

    let ran = broker.step().await.unwrap();
    assert!(matches!(ran.ended, Ended::Retry { .. }), "{ran}");
    refute_enqueued!(broker, receipt);

    broker.advance(Duration::from_secs(60)).await;
    assert_eq!(
        broker.drain().await,
        Drained {
            done: 1,
            ..Drained::default()
        }
    );
    assert_eq!(*broker.state::<Shop>().unwrap().paid.lock().unwrap(), [7]);
    assert_enqueued!(
        broker,
        receipt(7),
        queue = "mail",
        after = Duration::from_secs(3_600)
    );
}

#[taskq_worker::test(worker = shop)]
async fn the_receipt_names_the_order(broker: TestBroker) {
    assert_eq!(
        broker.run(receipt::call(7)).await.value(),
        "Order 7 is paid."
    );
}

#[taskq_worker::test(worker = shop)]
async fn in_the_end_all_is_done(broker: TestBroker) {
    let calls = (1..=3).map(pay::call).collect();
    broker.client().send_many(calls).await;

    let drained = broker.drain_all().await;
    assert_eq!(
        drained,
        Drained {
            retried: 3,
            done: 6,
            ..Drained::default()
        }
    );
}

#[taskq_worker::test(inline, worker = shop)]
async fn what_is_sent_has_run(broker: TestBroker) {
    let handle = broker.client().send(receipt::call(7)).await.unwrap();
    assert_eq!(handle.state().await.unwrap(), Some(State::Success));
}

#[tokio::test]
async fn a_test_that_has_a_runtime_already() {
    let broker = TestBroker::builder().worker(shop).build().unwrap();
    broker.run(receipt::call(7)).await.value();
    broker.stop().await; // the hooks of the end
}

#[taskq_worker::test]
async fn a_call_that_nobody_took_in_time_is_revoked(broker: TestBroker) {
    let hour = Duration::from_secs(3_600);
    broker
        .client()
        .send(receipt::call(7).expires(hour))
        .await
        .unwrap();
    broker.advance(hour + Duration::from_millis(1)).await;
    assert_eq!(broker.drain().await.revoked, 1);
}

#[task(name = "shop.export", track_started)]
async fn export() {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
}

#[taskq_worker::test]
async fn an_export_says_that_it_runs(broker: TestBroker) {
    let id = broker.client().send(export::call()).await.unwrap().id();
    let beside = broker.clone();
    let drain = tokio::spawn(async move { beside.drain().await });

    broker
        .wait_for(id, State::Started, Duration::from_secs(1))
        .await
        .unwrap();
    broker.advance(Duration::from_secs(3_600)).await;
    broker
        .wait_for(id, State::Success, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(drain.await.unwrap().done, 1);
}

#[taskq_worker::test]
async fn an_export_that_nobody_wants_is_cut_off(broker: TestBroker) {
    let id = broker.client().send(export::call()).await.unwrap().id();
    let beside = broker.clone();
    let drain = tokio::spawn(async move { beside.drain().await });
    broker
        .wait_for(id, State::Started, Duration::from_secs(1))
        .await
        .unwrap();

    let terminate = RevokeOptions {
        terminate: true,
        ..RevokeOptions::default()
    };
    let revoked = broker
        .client()
        .revoke(&[Revocation::Id(id)], terminate)
        .await
        .unwrap();
    assert_eq!(revoked.terminated, [id]);
    assert_eq!(drain.await.unwrap().revoked, 1);
}

#[taskq_worker::test(worker = shop)]
async fn a_crash_pays_twice(broker: TestBroker) {
    broker.client().send(pay::call(7)).await.unwrap();
    broker.drain().await; // the bank does not answer
    broker.advance(Duration::from_secs(60)).await;

    broker.inject(Fault::CrashBeforeFinish);
    assert_eq!(broker.drain().await.crashed, 1);
    broker.advance(broker.lease()).await;
    assert_eq!(broker.drain().await.done, 1);

    // Twice! The task should ask the database whether the order is paid.
    assert_eq!(
        *broker.state::<Shop>().unwrap().paid.lock().unwrap(),
        [7, 7]
    );
}

#[taskq_worker::test(start_paused = false)]
async fn by_a_clock_that_runs(broker: TestBroker) {
    broker
        .client()
        .send(receipt::call(7).countdown(Duration::from_secs(60)))
        .await
        .unwrap();
    broker.advance(Duration::from_secs(60)).await; // moved all the same
    assert_eq!(broker.drain().await.done, 1);
}

/// The guide shows what is run here, and nothing else.
#[test]
fn the_guide_shows_what_runs() {
    let guide = include_str!("../../../../docs/guides/testing.md");
    // How the lines are broken is this file's affair.
    let words = |text: &str| {
        text.split_whitespace()
            .collect::<String>()
            .replace(",)", ")")
            .replace(",}", "}")
    };
    let here = words(include_str!("guide.rs"));
    let blocks: Vec<&str> = guide
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(blocks.len() >= 7, "{} blocks", blocks.len());
    for block in blocks {
        assert!(here.contains(&words(block)), "not run anywhere:\n{block}");
    }
}
