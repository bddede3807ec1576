//! What is sent runs at once.

use std::time::Duration;

use taskq_worker::State;
use taskq_worker::testing::TestBroker;

use super::tasks::{Diary, Mailer, add, forward, kit, note, order, sleep, third};

#[taskq_worker::test(inline, worker = kit)]
async fn a_send_answers_when_the_call_has_run(broker: TestBroker) {
    let handle = broker.client().send(add::call(2, 3)).await.unwrap();
    assert_eq!(handle.state().await.unwrap(), Some(State::Success));
    assert_eq!(handle.wait(Duration::ZERO).await.unwrap(), 5);
    assert!(broker.step().await.is_none(), "nothing is left");
}

#[taskq_worker::test(inline, worker = kit)]
async fn what_a_task_sends_runs_right_after_it(broker: TestBroker) {
    broker
        .client()
        .send(order::call("tea".to_owned()))
        .await
        .unwrap();
    let diary = broker.state::<Diary>().unwrap();
    assert_eq!(diary.read(), ["order", "ordered", "tea"]);
    broker.run(order::call("rum".to_owned())).await.value();
    assert_eq!(diary.read()[3..], ["order", "ordered", "rum"]);
}

#[taskq_worker::test(inline, worker = kit)]
async fn what_is_delayed_runs_when_its_time_comes(broker: TestBroker) {
    let client = broker.client();
    let minute = Duration::from_secs(60);
    client
        .send(note::call("late".to_owned(), None).countdown(minute * 2))
        .await
        .unwrap();
    client
        .send(note::call("soon".to_owned(), None).countdown(minute))
        .await
        .unwrap();
    let handle = client.send(third::call()).await.unwrap();
    assert_eq!(handle.state().await.unwrap(), Some(State::Retry));
    let began = tokio::time::Instant::now();
    broker.advance(minute * 2).await;
    assert_eq!(began.elapsed(), minute * 2);
    assert_eq!(broker.state::<Diary>().unwrap().read(), ["soon", "late"]);
    assert_eq!(handle.wait(Duration::ZERO).await.unwrap(), 3);
}

#[taskq_worker::test(inline, worker = kit)]
async fn a_batch_runs_whole_however_long_it_takes(broker: TestBroker) {
    let calls = vec![sleep::call(7_200), sleep::call(7_200)];
    let handles = broker.client().send_many(calls).await;
    for handle in handles {
        assert_eq!(handle.unwrap().state().await.unwrap(), Some(State::Success));
    }
}

/// The task sends through the very client, to the very queue, that is answering the test.
#[taskq_worker::test(inline, worker = kit)]
async fn a_task_that_shares_the_tests_client_does_not_wait_for_itself(broker: TestBroker) {
    let mailer = broker.state::<Mailer>().unwrap();
    mailer.with(broker.client());
    let began = tokio::time::Instant::now();
    let calls = vec![forward::call("a".to_owned()), forward::call("b".to_owned())];
    for handle in broker.client().send_many(calls).await {
        assert_eq!(handle.unwrap().state().await.unwrap(), Some(State::Success));
    }
    let diary = broker.state::<Diary>().unwrap();
    assert_eq!(
        diary.read(),
        ["forward", "forwarded", "forward", "forwarded", "a", "b"]
    );
    broker.run(forward::call("c".to_owned())).await.value();
    assert_eq!(diary.read()[6..], ["forward", "forwarded", "c"]);
    assert_eq!(began.elapsed(), Duration::ZERO);
}
