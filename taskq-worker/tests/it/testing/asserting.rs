//! What was sent, and what is said when it was not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde_json::json;
use taskq_client::SendOptions;
use taskq_worker::testing::{Expected, TestBroker};
use taskq_worker::{assert_enqueued, refute_enqueued};

use super::tasks::{self, add, kit, note, third};

const HOUR: Duration = Duration::from_secs(3_600);

async fn some_were_sent(broker: &TestBroker) {
    let client = broker.client();
    client
        .send(note::call("hello".to_owned(), None))
        .await
        .unwrap();
    let to_ana = note::call("hello".to_owned(), Some("ana".to_owned()));
    client
        .send(to_ana.countdown(HOUR).priority(3))
        .await
        .unwrap();
    client.send(add::call(2, 3).queue("math")).await.unwrap();
}

/// What the assertion says.
fn failing(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("it must fail");
    panic.downcast_ref::<String>().expect("text").clone()
}

#[taskq_worker::test(worker = kit)]
async fn what_was_sent_is_found(broker: TestBroker) {
    some_were_sent(&broker).await;
    let sent = assert_enqueued!(broker, note("hello".to_owned(), None));
    assert_eq!(
        (sent.len(), sent[0].queue.as_str(), sent[0].due),
        (1, "notes", None)
    );
    assert_enqueued!(
        broker,
        tasks::note("hello".to_owned(), Some("ana".to_owned())),
        queue = "notes",
        within = HOUR,
        after = HOUR,
        priority = 3,
        times = 1,
    );
    assert_enqueued!(broker, note, times = 2);
    assert_enqueued!(broker, crate::testing::tasks::add, queue = "math");
    assert_enqueued!(broker, "kit.add", args = &[2, 3]);
    assert_enqueued!(broker, "kit.add", kwargs = &json!({"b": 3, "a": 2}));
    refute_enqueued!(broker, third);
    refute_enqueued!(broker, add(3, 2));
    refute_enqueued!(broker, add(2, 3), queue = "celery");
    refute_enqueued!(
        broker,
        note("hello".to_owned(), Some("ana".to_owned())),
        within = HOUR / 2
    );
    refute_enqueued!(broker, note, times = 1);
}

#[taskq_worker::test(worker = kit)]
async fn it_counts_for_nothing_how_the_arguments_were_written(broker: TestBroker) {
    let client = broker.client();
    let options = || SendOptions::default().queue("notes");
    let named = json!({"to": null, "what": "a"});
    client
        .send_by_name("kit.note", (), named, options())
        .await
        .unwrap();
    assert_enqueued!(broker, note("a".to_owned(), None));
    client
        .send_by_name("kit.note", ("b",), json!({"to": "c"}), options())
        .await
        .unwrap();
    assert_enqueued!(broker, note("b".to_owned(), Some("c".to_owned())));
    assert_enqueued!(broker, "kit.note", args = &["b", "c"]);
    // Of what is not known here, place and name are all there is.
    client
        .send_by_name("far.away", (1,), json!({"x": 2}), options())
        .await
        .unwrap();
    assert_enqueued!(broker, "far.away");
    refute_enqueued!(broker, "far.away", args = &[1]);
}

#[taskq_worker::test(worker = kit)]
async fn what_has_run_was_sent_all_the_same(broker: TestBroker) {
    some_were_sent(&broker).await;
    broker.drain().await;
    assert_enqueued!(broker, add(2, 3));
    broker.advance(HOUR / 2).await;
    assert_enqueued!(broker, note, within = HOUR, after = HOUR);
}

#[taskq_worker::test(worker = kit)]
async fn what_is_missing_is_told_with_what_was_there(broker: TestBroker) {
    let nothing = failing(|| drop(assert_enqueued!(broker, add(1, 2))));
    insta::assert_snapshot!(nothing, @r#"
        it was not enqueued
          expected: kit.add(a = 1, b = 2)
          sent: nothing
        "#);
    some_were_sent(&broker).await;
    let other = failing(|| {
        drop(assert_enqueued!(
            broker,
            note("hello".to_owned(), Some("ben".to_owned())),
            queue = "mail",
            within = HOUR / 2
        ));
    });
    insta::assert_snapshot!(other, @r#"
        it was not enqueued
          expected: kit.note(what = "hello", to = "ben") to the queue mail, due within 1800s
          sent: 3
          - kit.note(what = "hello") to the queue notes, due at once
              to is left out, not "ben"
              it went to the queue notes, not mail
          - kit.note(what = "hello", to = "ana") to the queue notes, due after 3600s
              to is "ana", not "ben"
              it went to the queue notes, not mail
              it is due after 3600s, not within 1800s
          - kit.add(a = 2, b = 3) to the queue math, due at once
        "#);
    let early = failing(|| {
        drop(assert_enqueued!(
            broker,
            add(2, 3),
            after = HOUR,
            priority = 1
        ))
    });
    insta::assert_snapshot!(early, @r#"
        it was not enqueued
          expected: kit.add(a = 2, b = 3), of priority 1, not due before 3600s
          sent: 3
          - kit.add(a = 2, b = 3) to the queue math, due at once
              it is due at once, not after 3600s
              its priority is 0, not 1
          - kit.note(what = "hello") to the queue notes, due at once
          - kit.note(what = "hello", to = "ana") to the queue notes, due after 3600s
        "#);
    let times = failing(|| drop(assert_enqueued!(broker, note, times = 3)));
    insta::assert_snapshot!(times, @r#"
        it was enqueued 2 times, not 3 times
          expected: kit.note(…), 3 times
          sent: 3
          = kit.note(what = "hello") to the queue notes, due at once
          = kit.note(what = "hello", to = "ana") to the queue notes, due after 3600s
          - kit.add(a = 2, b = 3) to the queue math, due at once
        "#);
    let nothing_like_it = failing(|| drop(assert_enqueued!(broker, third)));
    insta::assert_snapshot!(nothing_like_it, @r#"
        it was not enqueued
          expected: kit.third(…)
          sent: 3
          - kit.note(what = "hello") to the queue notes, due at once
          - kit.note(what = "hello", to = "ana") to the queue notes, due after 3600s
          - kit.add(a = 2, b = 3) to the queue math, due at once
        "#);
}

#[taskq_worker::test(worker = kit)]
async fn what_should_not_be_there_is_told(broker: TestBroker) {
    some_were_sent(&broker).await;
    let once = failing(|| refute_enqueued!(broker, add(2, 3)));
    insta::assert_snapshot!(once, @r#"
        it was enqueued, and should not be
          expected: kit.add(a = 2, b = 3)
          sent: 3
          = kit.add(a = 2, b = 3) to the queue math, due at once
          - kit.note(what = "hello") to the queue notes, due at once
          - kit.note(what = "hello", to = "ana") to the queue notes, due after 3600s
        "#);
    let twice = failing(|| refute_enqueued!(broker, note));
    insta::assert_snapshot!(twice, @r#"
        it was enqueued 2 times, and should not be
          expected: kit.note(…)
          sent: 3
          = kit.note(what = "hello") to the queue notes, due at once
          = kit.note(what = "hello", to = "ana") to the queue notes, due after 3600s
          - kit.add(a = 2, b = 3) to the queue math, due at once
        "#);
}

#[taskq_worker::test(worker = kit)]
async fn a_long_list_is_cut_and_so_are_long_arguments(broker: TestBroker) {
    for n in 0..25 {
        broker.client().send(add::call(n, n)).await.unwrap();
    }
    broker
        .client()
        .send(note::call("long ".repeat(100), None))
        .await
        .unwrap();
    let text = failing(|| drop(assert_enqueued!(broker, note("x".to_owned(), None))));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3 + 1 + 20 + 1, "{text}");
    assert!(lines[3].len() < 200 && lines[3].contains('…'), "{text}");
    assert_eq!(lines.last(), Some(&"  and 6 more"));
}

#[taskq_worker::test(worker = kit)]
async fn arguments_that_are_no_list_are_a_mistake_of_the_test(broker: TestBroker) {
    let wrong = Expected::task("kit.add").args(&json!({"a": 2}));
    let error = broker.find_enqueued(&wrong).unwrap_err();
    insta::assert_snapshot!(error, @r#"
        `args` does not serialize to a JSON array
          expected: kit.add()
          sent: nothing
        "#);
    let error = broker
        .find_none_enqueued(&Expected::task("kit.add").kwargs(&[2]))
        .unwrap_err();
    insta::assert_snapshot!(error, @r#"
        `kwargs` does not serialize to a JSON object
          expected: kit.add()
          sent: nothing
        "#);
}
