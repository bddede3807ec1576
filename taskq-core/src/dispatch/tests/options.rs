//! Where the options of a message come from.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fake::Fake;
use super::{LONG, known};
use crate::dispatch::Dispatcher;
use crate::error::ErrorKind;
use crate::message::{Message, OnCrash};
use crate::signature::Signature;
use crate::task::TaskDef;

const MINUTE: Duration = Duration::from_secs(60);

const CAREFUL: TaskDef = known("careful")
    .queue("slow")
    .track_started(true)
    .expires(MINUTE)
    .max_crashes(7)
    .on_crash(OnCrash::Dead)
    .time_limit(MINUTE)
    .soft_time_limit(Duration::from_secs(50))
    .priority(6);

/// What arrives at the broker when `signature` is sent while `CAREFUL` is published.
async fn arrives(signature: Signature<()>) -> Message {
    let fake = Fake::open();
    fake.publish(&CAREFUL);
    Dispatcher::new(fake.clone(), LONG)
        .send(signature)
        .await
        .unwrap();
    only(&fake)
}

fn only(fake: &Arc<Fake>) -> Message {
    let batches = fake.batches.lock().unwrap();
    assert_eq!(batches.len(), 1);
    Message::decode(&batches[0].1[0].body).unwrap()
}

/// The sentence with which `signature` is refused; nothing of it arrives.
async fn refused(signature: Signature<()>) -> String {
    let fake = Fake::open();
    fake.publish(&CAREFUL);
    let error = Dispatcher::new(fake.clone(), LONG)
        .send(signature)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(fake.ids().is_empty());
    error.to_string()
}

fn by_name() -> Signature<()> {
    Signature::by_name("careful")
}

#[tokio::test]
async fn a_call_has_the_options_of_its_task_with_and_without_its_code() {
    for call in [Signature::of(&CAREFUL), by_name()] {
        let message = arrives(call).await;
        assert!(message.track_started);
        assert_eq!(
            message.expires.unwrap() - message.enqueued_at.unwrap(),
            60_000
        );
        assert_eq!(message.max_crashes, Some(7));
        assert_eq!(message.on_crash, OnCrash::Dead);
        assert_eq!(message.priority, 6);
        // Who runs it knows its limits, and may be told others.
        assert_eq!((message.time_limit, message.soft_time_limit), (None, None));
    }
}

#[tokio::test]
async fn what_the_caller_chose_wins() {
    for call in [Signature::of(&CAREFUL), by_name()] {
        let call = call
            .track_started(false)
            .expires(2 * MINUTE)
            .max_crashes(1)
            .on_crash(OnCrash::Requeue)
            .time_limit(3 * MINUTE)
            .soft_time_limit(2 * MINUTE)
            .priority(0);
        let message = arrives(call).await;
        assert!(!message.track_started);
        assert_eq!(
            message.expires.unwrap() - message.enqueued_at.unwrap(),
            120_000
        );
        assert_eq!(message.max_crashes, Some(1));
        assert_eq!(message.on_crash, OnCrash::Requeue);
        assert_eq!(message.time_limit, Some(180_000));
        assert_eq!(message.soft_time_limit, Some(120_000));
        assert_eq!(message.priority, 0);
    }
    let at = crate::clock::now_ms() + 5_000;
    let message = arrives(by_name().expires_at(at)).await;
    assert_eq!(message.expires, Some(at));
    let message = arrives(by_name().expires(Duration::MAX)).await;
    assert_eq!(message.expires, Some(u64::MAX));
}

#[tokio::test]
async fn a_task_nobody_published_has_the_defaults() {
    let message = arrives(Signature::by_name("unheard of")).await;
    assert!(!message.track_started && !message.ignore_result);
    assert_eq!((message.expires, message.max_crashes), (None, None));
    assert_eq!(message.on_crash, OnCrash::Requeue);
}

#[tokio::test]
async fn a_call_made_from_its_code_asks_nobody() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let sent = dispatcher
        .send(Signature::<()>::of(&CAREFUL))
        .await
        .unwrap();
    assert_eq!(sent.queue.as_str(), "slow");
    assert_eq!(fake.reads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_expiry_that_is_not_after_the_call_is_due_is_refused() {
    let now = crate::clock::now_ms();
    let call = || Signature::<()>::by_name("plain");
    for (hasty, word) in [
        (call().expires(MINUTE).countdown(MINUTE), "not due before"),
        (
            call().countdown(2 * MINUTE).expires(MINUTE),
            "not due before",
        ),
        (
            call().eta(now + 9_000).expires_at(now + 9_000),
            "not due before",
        ),
        (
            call().eta(now + 3_600_000).expires(MINUTE),
            "not due before",
        ),
        (call().expires(Duration::ZERO), "never run"),
        (call().expires_at(1_000), "never run"),
        (by_name().countdown(MINUTE), "its task's own `expires`"),
    ] {
        let sentence = refused(hasty).await;
        assert!(sentence.contains(word), "{sentence}");
        assert!(sentence.contains("expires at"), "{sentence}");
    }
    arrives(
        call()
            .countdown(MINUTE)
            .expires(MINUTE + Duration::from_millis(1)),
    )
    .await;
    arrives(call().eta(now + 9_000).expires_at(now + 9_001)).await;
    // An eta that has passed means at once; its expiry is judged where it runs.
    arrives(call().eta(1_000).expires_at(1_001)).await;
}

#[tokio::test]
async fn the_first_record_knows_when_it_expires() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let at = crate::clock::now_ms() + 60_000;
    let call = Signature::<()>::by_name("plain").expires_at(at);
    dispatcher.send(call).await.unwrap();
    let batches = fake.batches.lock().unwrap();
    assert_eq!(batches[0].1[0].record.as_ref().unwrap().expires, Some(at));
}

#[tokio::test]
async fn started_needs_a_record_to_stand_in() {
    let sentence = refused(by_name().track_started(true).ignore_result(true)).await;
    assert!(sentence.contains("choose one"), "{sentence}");
    // Who wants no record gets no STARTED of the task's own.
    let message = arrives(by_name().ignore_result(true)).await;
    assert!(message.ignore_result && !message.track_started);
}

#[tokio::test]
async fn a_crash_limit_goes_from_1_to_9() {
    for limit in [0, 10] {
        let sentence = refused(by_name().max_crashes(limit)).await;
        assert!(sentence.contains("from 1 to 9"), "{sentence}");
    }
}

#[tokio::test]
async fn time_limits_that_could_not_be_kept_are_refused() {
    let call = || Signature::<()>::by_name("plain");
    for (call, words) in [
        (call().time_limit(Duration::ZERO), "`time_limit` is 0ns"),
        (
            call().soft_time_limit(Duration::from_micros(9)),
            "`soft_time_limit` is 9µs",
        ),
        (
            call().time_limit(MINUTE).soft_time_limit(MINUTE),
            "must be under `time_limit`, 60000 ms",
        ),
        (
            by_name().soft_time_limit(MINUTE),
            "must be under the task's own `time_limit`, 60000 ms",
        ),
        (
            Signature::of(&CAREFUL).soft_time_limit(MINUTE),
            "must be under the task's own `time_limit`, 60000 ms",
        ),
    ] {
        let sentence = refused(call).await;
        assert!(sentence.contains(words), "{sentence}");
    }
    // A hard limit under the task's own soft one comes first: nothing is wrong with that.
    let message = arrives(by_name().time_limit(MINUTE / 2)).await;
    assert_eq!(message.time_limit, Some(30_000));
}

#[tokio::test]
async fn the_priority_decides_where_a_call_waits() {
    for (call, priority) in [
        (by_name(), 6),
        (Signature::of(&CAREFUL), 6),
        (by_name().priority(9), 9),
        (Signature::by_name("plain"), 0),
    ] {
        let fake = Fake::open();
        fake.publish(&CAREFUL);
        let dispatcher = Dispatcher::new(fake.clone(), LONG);
        dispatcher.send(call).await.unwrap();
        let batches = fake.batches.lock().unwrap();
        let sent = &batches[0].1[0];
        assert_eq!(sent.priority, priority);
        assert_eq!(Message::decode(&sent.body).unwrap().priority, priority);
    }
    let sentence = refused(by_name().priority(10)).await;
    assert!(sentence.contains("from 0 to 9"), "{sentence}");
}

#[tokio::test]
async fn monitors_are_told_when_a_call_is_due() {
    for (call, is_due) in [(by_name().countdown(MINUTE / 2), true), (by_name(), false)] {
        let fake = Fake::open();
        fake.publish(&CAREFUL);
        let dispatcher = Dispatcher::new(fake.clone(), LONG);
        dispatcher.send(call).await.unwrap();
        let batches = fake.batches.lock().unwrap();
        let sent = &batches[0].1[0];
        let told = sent.event.as_ref().unwrap().eta;
        assert_eq!(told, sent.record.as_ref().unwrap().due);
        assert_eq!(told.is_some(), is_due);
    }
}
