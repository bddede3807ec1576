//! The clock of a test.

use std::time::Duration;

use taskq_worker::clock::now_ms;
use taskq_worker::testing::{Drained, Ended, TestBroker};
use taskq_worker::{Context, State, TaskError, task};

use super::tasks::{self, Diary, add, kit, patient, sleep, third};

const HOUR: Duration = Duration::from_secs(3_600);

#[taskq_worker::test(worker = kit)]
async fn retries_and_delayed_calls_come_due(broker: TestBroker) {
    let client = broker.client();
    client.send(third::call()).await.unwrap();
    client.send(add::call(1, 1).countdown(HOUR)).await.unwrap();
    let at = now_ms() + 7_200_000;
    client.send(add::call(2, 2).eta(at)).await.unwrap();
    assert_eq!(
        broker.drain().await,
        Drained {
            retried: 1,
            ..Drained::default()
        }
    );
    broker.advance(Duration::from_secs(59)).await;
    assert_eq!(broker.drain().await.total(), 0);
    broker.advance(Duration::from_secs(1)).await;
    assert_eq!(
        broker.drain().await,
        Drained {
            retried: 1,
            ..Drained::default()
        }
    );
    broker.advance(HOUR).await;
    assert_eq!(
        broker.drain().await,
        Drained {
            done: 2,
            ..Drained::default()
        }
    );
    broker.advance(HOUR).await;
    assert_eq!(
        broker.drain().await,
        Drained {
            done: 1,
            ..Drained::default()
        }
    );
}

#[taskq_worker::test(worker = kit)]
async fn what_expires_is_revoked(broker: TestBroker) {
    let client = broker.client();
    client.send(add::call(1, 1).expires(HOUR)).await.unwrap();
    broker.advance(HOUR).await;
    assert_eq!(broker.drain().await.done, 1, "it is not over yet");
    // What is sent now expires by the same clock.
    let handle = client.send(add::call(1, 1).expires(HOUR)).await.unwrap();
    broker.advance(HOUR + Duration::from_millis(1)).await;
    assert_eq!(handle.state().await.unwrap(), Some(State::Revoked));
    assert_eq!(
        broker.drain().await,
        Drained {
            revoked: 1,
            ..Drained::default()
        }
    );
}

#[taskq_worker::test(worker = kit)]
async fn idempotency_keys_and_records_age(broker: TestBroker) {
    let client = broker.client();
    let call = || add::call(1, 1).idempotency_key("k", HOUR);
    let first = client.send(call()).await.unwrap().id();
    assert_eq!(client.send(call()).await.unwrap().id(), first);
    assert_eq!(broker.drain().await.done, 1);
    broker.advance(HOUR).await;
    assert_ne!(client.send(call()).await.unwrap().id(), first);
    assert_eq!(broker.sent().len(), 2);
    assert!(broker.record(first).await.is_some());
    broker.advance(HOUR * 24).await;
    assert!(broker.record(first).await.is_none(), "kept for 24 hours");
}

#[taskq_worker::test(worker = kit)]
async fn what_a_task_sleeps_takes_no_time(broker: TestBroker) {
    let real = std::time::Instant::now();
    let ran = broker.run(sleep::call(7_200)).await;
    assert!(real.elapsed() < HOUR);
    let record = ran.record.unwrap();
    let took = record.finished.unwrap() - record.started.unwrap();
    assert_eq!(took, 7_200_000, "its record tells the test's time");
}

#[taskq_worker::test(worker = kit)]
async fn time_limits_go_by_it(broker: TestBroker) {
    let ran = broker.run(patient::call()).await;
    assert_eq!(ran.value(), "Some(SoftTimeLimit)");
    let limit = Duration::from_secs(30);
    let ran = broker.run(sleep::call(60).time_limit(limit)).await;
    let Ended::Retry { reason, .. } = &ran.ended else {
        panic!("{ran}")
    };
    assert_eq!(
        reason,
        "TimeLimitExceeded: it ran longer than its time limit, 30s"
    );
    assert_eq!(broker.state::<Diary>().unwrap().read(), ["begins"]);
}

/// Beats its drum every minute.
#[task(name = "kit.drum")]
async fn drum(context: Context) -> Result<(), TaskError> {
    for beat in 1..=3 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        context.state::<Diary>()?.note(format!("{beat}"));
    }
    Ok(())
}

#[taskq_worker::test(worker = |w| w.registry(taskq_worker::task::Registry::from_defs([&drum::DEF]).unwrap()).state(Diary::default()))]
async fn it_goes_from_timer_to_timer_and_no_further(broker: TestBroker) {
    broker.client().send(drum::call()).await.unwrap();
    let beside = broker.clone();
    let drain = tokio::spawn(async move { beside.drain().await });
    let diary = broker.state::<Diary>().unwrap();
    broker.advance(Duration::from_secs(121)).await;
    assert_eq!(diary.read(), ["1", "2"]);
    assert!(!drain.is_finished());
    broker.advance(Duration::from_secs(59)).await;
    assert_eq!(drain.await.unwrap().done, 1);
}

/// Where time runs by itself it is stopped to be moved, and runs on from there.
#[tokio::test]
async fn a_running_clock_is_moved_too() {
    let broker = tasks::broker();
    broker
        .client()
        .send(add::call(1, 1).countdown(HOUR))
        .await
        .unwrap();
    let (before, real) = (now_ms(), std::time::Instant::now());
    broker.advance(HOUR).await;
    assert!(real.elapsed() < HOUR);
    assert!(now_ms() >= before + 3_600_000);
    assert_eq!(broker.drain().await.done, 1);
    let now = tokio::time::Instant::now();
    while now.elapsed().is_zero() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "a runtime with several threads can not be moved")]
async fn a_clock_of_several_threads_is_not_moved() {
    tasks::broker().advance(HOUR).await;
}

/// But for its clock, all works there.
#[tokio::test(flavor = "multi_thread")]
async fn on_several_threads_calls_run() {
    let broker = tasks::broker();
    assert_eq!(broker.run(add::call(2, 3)).await.value(), 5);
    broker.client().send(add::call(2, 3)).await.unwrap();
    assert_eq!(broker.drain().await.done, 1);
}
