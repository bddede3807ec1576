//! Idempotency keys: each sender is told the id that holds its key, whichever batch it travelled in.

use std::time::Duration;

use super::fake::Fake;
use super::{LONG, call, launch};
use crate::dispatch::Dispatcher;
use crate::error::ErrorKind;
use crate::signature::Signature;

const HOUR: Duration = Duration::from_secs(3_600);

fn keyed(key: &str) -> Signature<()> {
    call().idempotency_key(key, HOUR)
}

#[tokio::test]
async fn the_key_and_its_time_reach_the_broker() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    dispatcher.send(keyed("k")).await.unwrap();
    dispatcher.send(call()).await.unwrap();
    let batches = fake.batches.lock().unwrap();
    let once = batches[0].1[0].once.as_ref().unwrap();
    assert_eq!((once.key.as_str(), once.held_for), ("k", HOUR));
    assert!(batches[1].1[0].once.is_none());
}

#[tokio::test]
async fn who_comes_second_is_answered_with_the_first() {
    let dispatcher = Dispatcher::new(Fake::open(), LONG);
    let first = dispatcher.send(keyed("k")).await.unwrap();
    let again = keyed("k");
    assert_ne!(first.id, again.task_id());
    assert_eq!(dispatcher.send(again).await.unwrap(), first);
    let other = keyed("other");
    let own = other.task_id();
    assert_eq!(dispatcher.send(other).await.unwrap().id, own);
}

#[tokio::test]
async fn among_many_each_learns_its_own_holder() {
    let dispatcher = Dispatcher::new(Fake::open(), LONG);
    let held = dispatcher.send(keyed("a")).await.unwrap().id;
    let broken = call().queue("no spaces");
    let calls = vec![call(), keyed("a"), broken, keyed("b"), call(), keyed("b")];
    let own: Vec<_> = calls.iter().map(Signature::task_id).collect();
    let answers: Vec<_> = dispatcher
        .send_many(calls)
        .await
        .into_iter()
        .map(|answer| answer.map(|sent| sent.id).ok())
        .collect();
    let expected = [
        Some(own[0]),
        Some(held),
        None,
        Some(own[3]),
        Some(own[4]),
        Some(own[3]),
    ];
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn sends_that_share_a_batch_do_not_share_their_answers() {
    let fake = Fake::closed();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let opener = launch(&dispatcher, keyed("a")).await;
    fake.one_begins().await;
    let (plain, twin, other) = (call(), keyed("a"), keyed("b"));
    let own = [plain.task_id(), other.task_id()];
    let sends = [
        launch(&dispatcher, plain).await,
        launch(&dispatcher, twin).await,
        launch(&dispatcher, other).await,
    ];
    fake.let_through(2);
    let held = opener.await.unwrap().unwrap().id;
    let mut ids = Vec::new();
    for sending in sends {
        ids.push(sending.await.unwrap().unwrap().id);
    }
    assert_eq!(ids, [own[0], held, own[1]]);
    assert_eq!(fake.sizes(), [1, 3]);
}

#[tokio::test]
async fn a_batch_that_is_sent_one_by_one_keeps_its_holders() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let held = dispatcher.send(keyed("a")).await.unwrap().id;
    let bad = call();
    *fake.refused.lock().unwrap() = Some(bad.task_id());
    let answers = dispatcher.send_many(vec![bad, keyed("a")]).await;
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(answers[1].as_ref().unwrap().id, held);
}

#[tokio::test]
async fn keys_and_times_out_of_bounds_are_refused() {
    let fake = Fake::open();
    let dispatcher = Dispatcher::new(fake.clone(), LONG);
    let day = Duration::from_secs(86_400);
    let ok = [
        call().idempotency_key("k", Duration::from_secs(1)),
        call().idempotency_key("k".repeat(256), 30 * day),
    ];
    for call in ok {
        dispatcher.send(call).await.unwrap();
    }
    let sent = fake.ids().len();
    for (call, word) in [
        (call().idempotency_key("", HOUR), "1 to 256"),
        (call().idempotency_key("k".repeat(257), HOUR), "257 bytes"),
        (
            call().idempotency_key("k", Duration::from_millis(999)),
            "1 s to 30 days",
        ),
        (
            call().idempotency_key("k", 30 * day + Duration::from_millis(1)),
            "1 s to 30 days",
        ),
    ] {
        let error = dispatcher.send(call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(fake.ids().len(), sent);
}
