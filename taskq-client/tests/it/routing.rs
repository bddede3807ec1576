//! Which queue a call goes to.

use taskq_client::{Client, ErrorKind, PublishedTask, SendOptions, Signature};
use taskq_core::Outcome;
use taskq_core::broker::Broker;
use taskq_core::task::{Running, TaskDef};

use crate::stage::{LONG, Stage, card};

const OWN: TaskDef = TaskDef::new("shop.pay", &[], |_, _| {
    Ok(Running::Blocking(Box::new(|| {
        Outcome::Reject("it is only sent here".into())
    })))
})
.queue("own");

async fn client() -> Client {
    let (stage, _) = Stage::new();
    let published = [PublishedTask::from(&OWN)];
    stage
        .register(&card("w1@here"), &published, LONG)
        .await
        .unwrap();
    Client::builder()
        .route("shop.?ay*", "first")
        .and_then(|b| b.route("shop.*", "second"))
        .and_then(|b| b.route("[lm]ogistics", "third"))
        .unwrap()
        .over(stage)
}

async fn goes_to(client: &Client, call: Signature<()>) -> String {
    let sent = client.send(call.clone()).await.unwrap();
    let among_many = client.send_many(vec![call]).await.remove(0).unwrap();
    assert_eq!(sent.queue(), among_many.queue());
    sent.queue().unwrap().to_string()
}

#[tokio::test]
async fn the_first_route_that_fits_counts() {
    let client = client().await;
    for (task, queue) in [
        ("shop.pay", "first"),
        ("shop.say.it/aloud", "first"),
        ("shop.refund", "second"),
        ("logistics", "third"),
        ("my.logistics", "celery"),
        ("logistics.more", "celery"),
        ("Shop.pay", "celery"),
        ("unrouted", "celery"),
    ] {
        assert_eq!(
            goes_to(&client, Signature::by_name(task)).await,
            queue,
            "{task}"
        );
    }
}

#[tokio::test]
async fn a_route_beats_the_tasks_own_queue_and_yields_to_the_callers() {
    let routed = client().await;
    let (stage, unrouted) = Stage::new();
    let published = [PublishedTask::from(&OWN)];
    stage
        .register(&card("w1@here"), &published, LONG)
        .await
        .unwrap();
    let calls = || [Signature::of(&OWN), Signature::by_name("shop.pay")];
    for call in calls() {
        assert_eq!(goes_to(&routed, call).await, "first");
    }
    for call in calls() {
        assert_eq!(goes_to(&unrouted, call).await, "own");
    }
    for call in calls() {
        assert_eq!(goes_to(&routed, call.queue("mine")).await, "mine");
    }
    let options = SendOptions::default().queue("mine");
    let sent = routed.send_by_name("shop.pay", (), (), options).await;
    assert_eq!(sent.unwrap().queue().unwrap().as_str(), "mine");
    let sent = routed
        .send_by_name("shop.pay", (), (), SendOptions::default())
        .await;
    assert_eq!(sent.unwrap().queue().unwrap().as_str(), "first");
}

#[test]
fn a_route_that_is_none_is_refused_with_its_reason() {
    for (pattern, queue, word) in [
        ("shop.[", "q", "[\" → \"q\""),
        ("shop.***", "q", "wildcards"),
        ("", "q", "empty pattern"),
        ("shop.*", "no spaces", "no queue name"),
    ] {
        let error = Client::builder().route(pattern, queue).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(word), "{error}");
    }
}
