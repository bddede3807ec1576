//! What the dispatcher promises, against a broker that does as it is told.

mod fake;
mod nobody;
mod once;
mod options;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::lane::{Answer, Job, Lane};
use super::{Dispatcher, Sent, Trouble};
use crate::error::{Error, ErrorKind};
use crate::id::QueueName;
use crate::message::Message;
use crate::outcome::Outcome;
use crate::signature::Signature;
use crate::state::State;
use crate::task::{Running, TaskDef};
use fake::Fake;

const LONG: Duration = Duration::from_secs(60);

/// A task whose code is known here, which nobody runs.
const fn known(name: &'static str) -> TaskDef {
    TaskDef::new(name, &[], |_, _| {
        Ok(Running::Blocking(Box::new(|| {
            Outcome::Reject("it is only sent here".into())
        })))
    })
}

/// A call that needs no look into the registry.
fn call() -> Signature<()> {
    Signature::of(&known("t").queue("q"))
}

/// Spawns a send of `signature` and waits until it has reached its lane.
async fn launch(
    dispatcher: &Dispatcher,
    signature: Signature<()>,
) -> tokio::task::JoinHandle<Result<Sent, Error>> {
    let dispatcher = dispatcher.clone();
    let sending = tokio::spawn(async move { dispatcher.send(signature).await });
    // One thread: after a yield the send stands in its lane's channel.
    tokio::task::yield_now().await;
    sending
}

#[tokio::test]
async fn one_by_one_no_send_waits_for_another() {
    let fake = Fake::closed();
    let dispatcher = Dispatcher::one_by_one(fake.clone(), LONG);
    let mut sends = Vec::new();
    for _ in 0..3 {
        sends.push(launch(&dispatcher, call()).await);
    }
    // All are under way before one is answered.
    let begun = async {
        for _ in 0..3 {
            fake.one_begins().await;
        }
    };
    tokio::time::timeout(LONG, begun).await.unwrap();
    fake.let_through(3);
    for send in sends {
        send.await.unwrap().unwrap();
    }
    assert_eq!(fake.sizes(), [1, 1, 1]);
}

#[tokio::test]
async fn what_arrives_while_a_batch_is_under_way_goes_together_in_the_next() {
    let fake = Fake::closed();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let first = launch(&dispatcher, call()).await;
    fake.one_begins().await;
    let mut rest = Vec::new();
    for _ in 0..7 {
        rest.push(launch(&dispatcher, call()).await);
    }
    fake.let_through(2);
    first.await.unwrap().unwrap();
    for sending in rest {
        sending.await.unwrap().unwrap();
    }
    assert_eq!(fake.sizes(), [1, 7]);
}

#[tokio::test]
async fn queues_do_not_wait_for_each_other() {
    let fake = Fake::closed();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let a = launch(&dispatcher, call().queue("a")).await;
    let b = launch(&dispatcher, call().queue("b")).await;
    fake.one_begins().await;
    fake.one_begins().await;
    fake.let_through(2);
    assert_eq!(a.await.unwrap().unwrap().queue.as_str(), "a");
    assert_eq!(b.await.unwrap().unwrap().queue.as_str(), "b");
}

#[tokio::test]
async fn a_batch_has_at_most_500_messages_and_keeps_their_order() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let calls: Vec<_> = (0..1_201).map(|_| call()).collect();
    let ids: Vec<_> = calls.iter().map(Signature::task_id).collect();
    let answers = dispatcher.send_many(calls).await;
    let sent: Vec<_> = answers.into_iter().map(|a| a.unwrap().id).collect();
    assert_eq!(sent, ids);
    assert_eq!(fake.ids(), ids);
    assert_eq!(fake.sizes(), [500, 500, 201]);
}

#[tokio::test]
async fn a_batch_has_at_most_1_mib_beyond_its_first() {
    let fake = Fake::closed();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let large = || call().args(&("x".repeat(400_000),));
    let opener = launch(&dispatcher, call()).await;
    fake.one_begins().await;
    let mut sends = vec![opener];
    for _ in 0..5 {
        sends.push(launch(&dispatcher, large()).await);
    }
    fake.let_through(100);
    for sending in sends {
        sending.await.unwrap().unwrap();
    }
    assert_eq!(fake.sizes(), [1, 3, 2]);
    assert!(
        dispatcher
            .send_many((0..4).map(|_| large()).collect())
            .await
            .iter()
            .all(Result::is_ok)
    );
    assert_eq!(fake.sizes(), [1, 3, 2, 3, 1]);
}

#[tokio::test]
async fn a_send_that_is_given_up_takes_no_other_with_it() {
    let fake = Fake::closed();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let (a, b, c) = (call(), call(), call());
    let (kept, waiting) = (a.task_id(), c.task_id());
    let under_way = launch(&dispatcher, a).await;
    fake.one_begins().await;
    let dropped = launch(&dispatcher, b).await;
    let last = launch(&dispatcher, c).await;
    under_way.abort();
    dropped.abort();
    assert!(under_way.await.unwrap_err().is_cancelled());
    assert!(dropped.await.unwrap_err().is_cancelled());
    fake.let_through(100);
    assert_eq!(last.await.unwrap().unwrap().id, waiting);
    // What had left was not called back; what had not left never did.
    assert_eq!(fake.ids(), [kept, waiting]);
}

#[tokio::test]
async fn each_of_many_is_answered_for_itself() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let huge = call().args(&("x".repeat(1 << 20),));
    let broken = call().queue("no spaces");
    let refused = call();
    *fake.refused.lock().unwrap() = Some(refused.task_id());
    let good = [call(), call()];
    let ids = good.each_ref().map(Signature::task_id);
    let [first, second] = good;
    let answers = dispatcher
        .send_many(vec![first, huge, broken, refused, second])
        .await;
    let kinds: Vec<_> = answers
        .iter()
        .map(|a| a.as_ref().err().map(Error::kind))
        .collect();
    assert_eq!(
        kinds,
        [
            None,
            Some(ErrorKind::TooLarge),
            Some(ErrorKind::Invalid),
            Some(ErrorKind::TooLarge),
            None
        ]
    );
    assert_eq!(fake.ids(), ids);
}

#[tokio::test]
async fn one_bad_message_does_not_fail_the_sends_it_travels_with() {
    let fake = Fake::closed();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let opener = launch(&dispatcher, call()).await;
    fake.one_begins().await;
    let bad = call();
    *fake.refused.lock().unwrap() = Some(bad.task_id());
    let bad = launch(&dispatcher, bad).await;
    let good = launch(&dispatcher, call()).await;
    fake.let_through(100);
    opener.await.unwrap().unwrap();
    assert_eq!(bad.await.unwrap().unwrap_err().kind(), ErrorKind::TooLarge);
    good.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_unclear_failure_is_told_to_all_and_repeated_for_none() {
    let fake = Fake::open();
    let gone = Error::new(ErrorKind::Unreachable, "fake://here went away");
    fake.script.lock().unwrap().push_back(Err(gone));
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let answers = dispatcher.send_many(vec![call(), call()]).await;
    assert!(answers.iter().all(|a| {
        a.as_ref()
            .is_err_and(|e| e.kind() == ErrorKind::Unreachable)
    }));
    assert_eq!(
        fake.begun.available_permits(),
        1,
        "a repeat might run them twice"
    );
}

#[tokio::test]
async fn a_send_ends_at_its_deadline_and_says_what_was_wrong() {
    let fake = Fake::closed();
    let dispatcher = Dispatcher::new(fake.clone(), Duration::from_millis(80));
    let first = launch(&dispatcher, call()).await;
    fake.one_begins().await;
    let behind = launch(&dispatcher, call()).await;
    for sending in [first, behind] {
        let error = sending.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().contains("fake://here"), "{error}");
    }
    // The broker is back: the next send passes.
    fake.let_through(100);
    dispatcher.send(call()).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_hangs_past_its_deadline_hangs_no_send() {
    let fake = Fake::closed();
    fake.hangs.store(true, Ordering::SeqCst);
    let dispatcher = Dispatcher::new(fake.clone(), Duration::from_millis(50));
    let sends = (0..3_000).map(|_| dispatcher.send(call()));
    let many = dispatcher.send_many(vec![call(), call()]);
    let (one_by_one, many) = tokio::join!(futures_util::future::join_all(sends), many);
    for answer in one_by_one.into_iter().chain(many) {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unreachable);
    }
    assert_eq!(
        fake.begun.available_permits(),
        1,
        "the lane gave up before the sends did"
    );
}

#[tokio::test]
async fn the_wait_in_a_full_lane_counts() {
    let fake = Fake::closed();
    let dispatcher = Dispatcher::new(fake.clone(), Duration::from_millis(150));
    let mut sends = Vec::new();
    for _ in 0..3_000 {
        sends.push(launch(&dispatcher, call()).await);
    }
    for sending in sends {
        assert_eq!(
            sending.await.unwrap().unwrap_err().kind(),
            ErrorKind::Unreachable
        );
    }
}

#[tokio::test]
async fn the_registry_says_queue_and_tracking_where_the_signature_does_not() {
    let fake = Fake::open();
    fake.publish(&known("quiet").queue("backstage").ignore_result(true));
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let send = |signature: Signature<()>| dispatcher.send(signature);
    let by_name = |name: &str| Signature::<()>::by_name(name);

    let sent = send(by_name("quiet")).await.unwrap();
    assert_eq!((sent.queue.as_str(), sent.tracked), ("backstage", false));
    let sent = send(by_name("quiet").queue("front").ignore_result(false))
        .await
        .unwrap();
    assert_eq!((sent.queue.as_str(), sent.tracked), ("front", true));
    let sent = send(by_name("unheard of")).await.unwrap();
    assert_eq!((sent.queue.as_str(), sent.tracked), ("celery", true));

    let batches = fake.batches.lock().unwrap();
    assert!(batches[0].1[0].record.is_none());
    assert!(
        Message::decode(&batches[0].1[0].body)
            .unwrap()
            .ignore_result
    );
    assert!(
        !Message::decode(&batches[1].1[0].body)
            .unwrap()
            .ignore_result
    );
    assert_eq!(
        batches[2].1[0].record.as_ref().unwrap().state,
        State::Queued
    );
}

#[tokio::test]
async fn many_sends_by_name_read_the_registry_once() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let sends = (0..50).map(|_| dispatcher.send(Signature::<()>::by_name("t")));
    assert!(
        futures_util::future::join_all(sends)
            .await
            .iter()
            .all(Result::is_ok)
    );
    assert_eq!(fake.reads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_registry_that_can_not_be_read_fails_the_send_at_its_deadline() {
    let fake = Fake::open();
    *fake.registry_down.lock().unwrap() = Some(Error::new(
        ErrorKind::Unreachable,
        "fake://registry is down",
    ));
    let dispatcher = Dispatcher::new(fake.clone(), Duration::from_millis(80));
    let error = dispatcher
        .send(Signature::<()>::by_name("t"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("fake://registry"), "{error}");
    assert!(
        fake.reads.load(Ordering::SeqCst) > 1,
        "it was tried again before the deadline"
    );
    assert!(fake.ids().is_empty(), "sent on a guess");
}

#[tokio::test]
async fn a_call_for_later_begins_as_scheduled() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let before = crate::clock::now_ms();
    dispatcher
        .send(call().countdown(Duration::from_secs(90)))
        .await
        .unwrap();
    dispatcher
        .send(call().eta(before + 3_600_000))
        .await
        .unwrap();
    dispatcher.send(call().eta(1)).await.unwrap();
    let batches = fake.batches.lock().unwrap();
    let record = |i: usize| batches[i].1[0].record.clone().unwrap();
    assert_eq!(record(0).state, State::Scheduled);
    assert!(record(0).due.unwrap() >= before + 90_000);
    assert_eq!(
        (record(1).state, record(1).due),
        (State::Scheduled, Some(before + 3_600_000))
    );
    assert_eq!((record(2).state, record(2).due), (State::Queued, None));
    let message = Message::decode(&batches[0].1[0].body).unwrap();
    assert!(message.enqueued_at.unwrap() >= before);
    assert_eq!(record(0).created, message.enqueued_at);
}

#[tokio::test]
async fn faults_of_the_signature_are_told_at_send() {
    let dispatcher = Dispatcher::new(Fake::open(), LONG);
    let no_array = dispatcher.send(call().args(&7)).await.unwrap_err();
    assert_eq!(no_array.kind(), ErrorKind::Invalid);
    let nameless = dispatcher
        .send(Signature::<()>::by_name(""))
        .await
        .unwrap_err();
    assert_eq!(nameless.kind(), ErrorKind::Invalid);
    let huge = dispatcher
        .send(call().args(&("x".repeat(1 << 20),)))
        .await
        .unwrap_err();
    assert_eq!(huge.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn an_idle_lane_ends_and_the_next_send_starts_a_new_one() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let queue = QueueName::new("q").unwrap();
    let idle = Duration::from_millis(1);
    let lane = Lane::with_idle(
        fake.clone(),
        queue.clone(),
        Arc::new(Trouble::default()),
        idle,
    );
    dispatcher
        .inner
        .lanes
        .as_ref()
        .unwrap()
        .lock()
        .unwrap()
        .insert(queue, lane.clone());
    lane.ended().await;
    let (answer, _answered) = tokio::sync::oneshot::channel::<Answer>();
    let job = Job {
        messages: Vec::new(),
        until: tokio::time::Instant::now(),
        answer,
    };
    assert!(
        lane.push(job).await.is_err(),
        "an ended lane hands jobs back"
    );
    dispatcher.send(call()).await.unwrap();
    assert_eq!(fake.sizes(), [1]);
}

#[tokio::test]
async fn the_last_dispatcher_takes_its_lanes_with_it() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    dispatcher.send(call()).await.unwrap();
    drop(dispatcher);
    // The lane holds the broker; only its end lets go of it.
    while Arc::strong_count(&fake) > 1 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn without_a_runtime_sending_is_refused_not_a_panic() {
    let dispatcher = Dispatcher::new(Fake::open(), LONG);
    let mut send = std::pin::pin!(dispatcher.send(call()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(answer) = send.as_mut().poll(&mut context) else {
        panic!("it waits for a runtime that is not there");
    };
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unsupported);
}
