//! Faults, and what tasks make of them.

use std::time::Duration;

use taskq_worker::message::OnCrash;
use taskq_worker::testing::{Drained, Ended, Fault, TestBroker};
use taskq_worker::{ErrorKind, State};

use super::tasks::{Diary, add, kit, note, sleep};

fn call() -> taskq_worker::Signature<()> {
    note::call("ran".to_owned(), None)
}

fn crashed() -> Drained {
    Drained {
        crashed: 1,
        ..Drained::default()
    }
}

fn done() -> Drained {
    Drained {
        done: 1,
        ..Drained::default()
    }
}

#[taskq_worker::test(worker = kit)]
async fn what_a_crashed_worker_held_comes_back_after_its_lease(broker: TestBroker) {
    let id = broker.client().send(call()).await.unwrap().id();
    broker.inject(Fault::CrashAfterClaim);
    assert_eq!(broker.drain().await, crashed());
    let diary = broker.state::<Diary>().unwrap();
    assert!(diary.read().is_empty(), "it had not begun");
    broker
        .advance(broker.lease() - Duration::from_millis(1))
        .await;
    assert_eq!(broker.drain().await.total(), 0, "it is still held");
    broker.advance(Duration::from_millis(1)).await;
    assert_eq!(broker.drain().await, done());
    assert_eq!(diary.read(), ["ran"]);
    let record = broker.record(id).await.unwrap();
    assert_eq!((record.attempts, record.crashes), (1, 1));
}

#[taskq_worker::test(worker = kit)]
async fn what_ran_before_the_crash_runs_again(broker: TestBroker) {
    broker.client().send(call()).await.unwrap();
    broker.inject(Fault::CrashBeforeFinish);
    let ran = broker.step().await.unwrap();
    assert_eq!(ran.to_string(), "kit.note, attempt 1: its worker crashed");
    assert_eq!(broker.drain_all().await, done());
    assert_eq!(broker.state::<Diary>().unwrap().read(), ["ran", "ran"]);
}

#[taskq_worker::test(worker = kit)]
async fn a_crash_half_way_drops_the_run(broker: TestBroker) {
    broker.client().send(sleep::call(60)).await.unwrap();
    broker.inject(Fault::CrashDuring(Duration::from_secs(30)));
    assert_eq!(broker.drain().await, crashed());
    assert_eq!(broker.drain_all().await, done());
    let diary = broker.state::<Diary>().unwrap().read();
    assert_eq!(diary, ["begins", "begins", "ends"]);
    // What has ended by then does not crash.
    broker.client().send(sleep::call(10)).await.unwrap();
    broker.inject(Fault::CrashDuring(Duration::from_secs(30)));
    assert_eq!(broker.drain().await, done());
}

#[taskq_worker::test(worker = kit)]
async fn a_task_that_crashes_its_worker_each_time_is_dead(broker: TestBroker) {
    let id = broker.client().send(call()).await.unwrap().id();
    for _ in 0..3 {
        broker.inject(Fault::CrashBeforeFinish);
    }
    assert_eq!(
        broker.drain_all().await,
        Drained {
            crashed: 3,
            ..Drained::default()
        }
    );
    let record = broker.record(id).await.unwrap();
    assert_eq!((record.state, record.crashes), (State::Dead, 3));
}

#[taskq_worker::test(worker = kit)]
async fn at_most_once_is_not_run_again(broker: TestBroker) {
    let once = call().on_crash(OnCrash::Dead);
    let id = broker.client().send(once).await.unwrap().id();
    broker.inject(Fault::CrashBeforeFinish);
    assert_eq!(broker.drain_all().await, crashed());
    assert_eq!(broker.record(id).await.unwrap().state, State::Dead);
    assert_eq!(broker.state::<Diary>().unwrap().read(), ["ran"]);
}

#[taskq_worker::test(worker = kit)]
async fn a_fault_meets_the_task_it_is_meant_for(broker: TestBroker) {
    broker.inject_into("kit.note", Fault::CrashAfterClaim);
    assert_eq!(broker.run(add::call(1, 1)).await.value(), 2);
    assert_eq!(broker.run(call()).await.ended, Ended::Crashed);
    assert_eq!(broker.drain_all().await, done());
}

#[taskq_worker::test(worker = kit)]
async fn a_message_that_is_delivered_twice_runs_twice_at_once_and_counts_once(broker: TestBroker) {
    let client = broker.client();
    let id = client.send(sleep::call(60)).await.unwrap().id();
    // Others wait at other queues, and in front of them.
    client.send(call().priority(9)).await.unwrap();
    broker.inject_into("kit.sleep", Fault::DuplicateDelivery);
    let began = tokio::time::Instant::now();
    assert_eq!(
        broker.drain().await,
        Drained {
            done: 2,
            ..Drained::default()
        }
    );
    assert_eq!(began.elapsed(), Duration::from_secs(60));
    let mut diary = broker.state::<Diary>().unwrap().read();
    diary.retain(|what| what != "ran");
    assert_eq!(diary, ["begins", "begins", "ends", "ends"]);
    let record = broker.record(id).await.unwrap();
    assert_eq!((record.state, record.crashes), (State::Success, 0));
    let celery = "celery".parse().unwrap();
    let totals = broker.backend().totals(&celery).await.unwrap();
    assert_eq!((totals.succeeded, totals.crashed), (1, 0));
    assert_eq!(broker.drain_all().await.total(), 0);
}

#[taskq_worker::test(worker = kit)]
async fn a_call_that_is_delivered_twice_is_the_one_that_was_taken(broker: TestBroker) {
    let first = call().queue("celery").priority(9);
    broker.client().send(first).await.unwrap();
    broker.inject(Fault::DuplicateDelivery);
    let ran = broker.run(sleep::call(60)).await;
    assert_eq!(ran.to_string(), "kit.sleep, attempt 1: SUCCESS");
    assert_eq!(ran.record.unwrap().id, ran.id);
    let diary = broker.state::<Diary>().unwrap();
    assert_eq!(diary.read(), ["begins", "begins", "ends", "ends"]);
    assert_eq!(broker.drain().await, done());
    assert_eq!(diary.read()[4..], ["ran"]);
}

#[taskq_worker::test(worker = kit)]
#[should_panic(expected = "kit.note is never delivered twice: it runs at most once")]
async fn at_most_once_is_not_delivered_twice(broker: TestBroker) {
    broker.inject(Fault::DuplicateDelivery);
    broker.run(call().on_crash(OnCrash::Dead)).await;
}

#[taskq_worker::test(worker = kit)]
async fn a_lost_answer_is_an_error_and_the_call_runs(broker: TestBroker) {
    let client = broker.client();
    broker.inject(Fault::LostReply);
    let error = client.send(call()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_transient());
    client.send(call()).await.unwrap();
    assert_eq!(
        broker.drain().await.done,
        2,
        "whoever repeats it sends it twice"
    );
    let once = || call().idempotency_key("k", Duration::from_secs(60));
    broker.inject(Fault::LostReply);
    client.send(once()).await.unwrap_err();
    client.send(once()).await.unwrap();
    assert_eq!(broker.drain().await.done, 1, "with a key, once");
}

#[taskq_worker::test(worker = kit)]
#[should_panic(expected = "use `inject`")]
async fn a_lost_answer_is_no_fault_of_a_task(broker: TestBroker) {
    broker.inject_into("kit.note", Fault::LostReply);
}
