//! Purging a queue, whoever sends meanwhile.

use std::time::Duration;

use taskq_client::{QueueName, SendOptions, Signature, State};

use crate::stage::Stage;

fn calls(n: usize, queue: &str) -> Vec<Signature<i64>> {
    (0..n)
        .map(|n| Signature::by_name("math.square").args(&[n]).queue(queue))
        .collect()
}

#[tokio::test]
async fn a_purge_ends_all_that_was_there() {
    let (_, client) = Stage::new();
    let sent = client.send_many(calls(2_500, "q")).await;
    let late = SendOptions::default()
        .queue("q")
        .countdown(Duration::from_secs(3_600));
    let delayed = client.send_by_name("t", (), (), late).await.unwrap();
    let queue = QueueName::new("q").unwrap();
    assert_eq!(client.purge(&queue).await.unwrap(), 2_501);
    assert_eq!(client.depth(&queue).await.unwrap().waiting, 0);
    let last = sent.last().unwrap().as_ref().unwrap();
    assert_eq!(last.state().await.unwrap(), Some(State::Revoked));
    assert_eq!(delayed.state().await.unwrap(), Some(State::Revoked));
    assert_eq!(client.purge(&queue).await.unwrap(), 0);
}

#[tokio::test]
async fn who_sends_meanwhile_can_not_keep_a_purge_going() {
    let (stage, client) = Stage::new();
    for sent in client.send_many(calls(1_500, "q")).await {
        sent.unwrap();
    }
    let queue = QueueName::new("q").unwrap();
    *stage.at_purge.lock().unwrap() = Some((client.clone(), 1_500));
    assert_eq!(client.purge(&queue).await.unwrap(), 1_500);
    let left = client.depth(&queue).await.unwrap().waiting;
    assert_eq!(left, 2 * 1_500, "two calls were made, and each was sent to");
}
