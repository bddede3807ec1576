//! Queues that come and go while a claim waits: judged by what the server was asked, and by its clock.

use super::bell::{BLOCK_US, blocked, is_wait, one};
use super::*;

/// A claim that waits is broken off, so that it is not the end of its block that brings a new queue, or lets go of one:
/// of some tries, one at least.
#[tokio::test]
async fn a_claim_that_waits_is_broken_off() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (a, b) = (queue("a"), queue("b"));
    let consumer = consumer(&broker, &[&a]).await;
    let monitor = server.monitor();
    let (mut attached, mut detached) = (false, false);
    for _ in 0..20 {
        let claim = one(&consumer);
        blocked(&server, 1).await;
        let since = monitor.requests().len();
        let began = waits(&monitor, &["a"], 0);
        consumer.attach(b.clone().into()).await.unwrap();
        let with_b = next_wait(&monitor, since, &["a", "b"]).await;
        attached |= with_b - began < BLOCK_US / 2;
        let since = monitor.requests().len();
        blocked(&server, 1).await;
        consumer.detach(&b).await.unwrap();
        let without_b = next_wait(&monitor, since, &["a"]).await;
        detached |= without_b - with_b < BLOCK_US / 2;
        broker.enqueue(&a, &[outgoing(&a)], SEND).await.unwrap();
        let delivery = claim.await.unwrap();
        consumer.finish(&a, vec![done(&delivery)]).await.unwrap();
        if attached && detached {
            return;
        }
    }
    panic!("attached at once: {attached}, detached at once: {detached}");
}

fn is_wait_for(request: &private_redis::Request, queues: &[&str]) -> bool {
    let bells = request.words.len().saturating_sub(2);
    let names = |q: &&str| request.names(&format!("{{{q}}}:bell"));
    is_wait(request) && bells == queues.len() && queues.iter().all(names)
}

/// When the last wait for these bells began.
fn waits(monitor: &private_redis::Monitor, queues: &[&str], since: usize) -> u64 {
    let requests = monitor.requests();
    let waits = requests[since..].iter().filter(|r| is_wait_for(r, queues));
    waits.map(|r| r.at_us).max().expect("a wait")
}

async fn next_wait(monitor: &private_redis::Monitor, since: usize, queues: &[&str]) -> u64 {
    let until = Instant::now() + 30 * SECOND;
    loop {
        let requests = monitor.requests();
        if let Some(wait) = requests[since..].iter().find(|r| is_wait_for(r, queues)) {
            return wait.at_us;
        }
        assert!(Instant::now() < until, "nobody waits for {queues:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
