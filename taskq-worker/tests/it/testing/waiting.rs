//! Waiting for a state.

use std::time::Duration;

use taskq_worker::testing::TestBroker;
use taskq_worker::{State, TaskId};

use super::tasks::{Diary, add, kit, refuse, sleep, third};

const MINUTE: Duration = Duration::from_secs(60);

#[taskq_worker::test(worker = kit)]
async fn a_state_on_the_way_is_seen(broker: TestBroker) {
    let id = broker.client().send(sleep::call(3_600)).await.unwrap().id();
    let beside = broker.clone();
    let drain = tokio::spawn(async move { beside.drain().await });
    let record = broker.wait_for(id, State::Started, MINUTE).await.unwrap();
    assert_eq!(record.worker.as_deref(), Some("test@localhost"));
    assert_eq!(broker.state::<Diary>().unwrap().read(), ["begins"]);
    let end = broker.wait_for(id, State::Success, MINUTE * 61).await;
    assert_eq!(end.unwrap().attempts, 1);
    assert_eq!(drain.await.unwrap().done, 1);
}

#[taskq_worker::test(worker = kit)]
async fn a_wait_in_vain_says_what_is_there(broker: TestBroker) {
    let call = add::call(1, 1).id("0198c0de-0000-7000-8000-000000000001".parse().unwrap());
    let id = broker.client().send(call).await.unwrap().id();
    let began = tokio::time::Instant::now();
    let error = broker
        .wait_for(id, State::Success, MINUTE)
        .await
        .unwrap_err();
    assert_eq!(began.elapsed(), MINUTE);
    insta::assert_snapshot!(error, @"kit.add 0198c0de-0000-7000-8000-000000000001 is QUEUED, not SUCCESS, after 60s; nothing runs by itself: `drain`, `step`, or spawn one of them");
    assert_eq!(error.record().map(|r| r.state), Some(State::Queued));
    assert_eq!(format!("{error:?}"), error.to_string());
}

#[taskq_worker::test(worker = kit)]
async fn what_has_ended_otherwise_is_told_at_once(broker: TestBroker) {
    let call =
        refuse::call("fail".to_owned()).id("0198c0de-0000-7000-8000-000000000002".parse().unwrap());
    let id = broker.run(call).await.id;
    let began = tokio::time::Instant::now();
    let error = broker
        .wait_for(id, State::Success, MINUTE)
        .await
        .unwrap_err();
    assert!(began.elapsed().is_zero());
    insta::assert_snapshot!(error, @"kit.refuse 0198c0de-0000-7000-8000-000000000002 is FAILURE, not SUCCESS (Broken: for good), and stays so");
    let nobody: TaskId = "0198c0de-0000-7000-8000-000000000003".parse().unwrap();
    let error = broker
        .wait_for(nobody, State::Success, MINUTE)
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"0198c0de-0000-7000-8000-000000000003 is not SUCCESS: there is no record of it; it was never sent, or ignores its result");
}

/// The real clock, and no sleep: it is told.
#[taskq_worker::test(start_paused = false, worker = kit)]
async fn it_works_by_a_running_clock(broker: TestBroker) {
    let id = broker.client().send(third::call()).await.unwrap().id();
    let beside = broker.clone();
    let drain = tokio::spawn(async move { beside.drain().await });
    broker.wait_for(id, State::Retry, MINUTE).await.unwrap();
    assert_eq!(drain.await.unwrap().retried, 1);
}
