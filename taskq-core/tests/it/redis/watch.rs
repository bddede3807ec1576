//! What a wait over Redis asks for, and when.

use private_redis::Request;
use taskq_core::broker::{Wanted, Watch};

use super::*;

/// A watch looks again by itself after this long.
const LOOK_US: u64 = 1_000_000;

fn is_look(request: &Request) -> bool {
    let key = |i: usize| request.words.get(i).map_or("", String::as_str);
    request.is("EVALSHA") && key(3).ends_with(":waiters") && key(4).contains(":records:")
}

async fn waiting(broker: &RedisBroker, within: Duration) -> Box<dyn Watch> {
    let wanted = Wanted {
        id: Message::new("test.task").id,
        queue: Some(queue("q")),
    };
    broker.watch(vec![wanted], within).await.unwrap()
}

/// What ends before a client's subscription stands is published to nobody: the client looks again as soon as it stands.
#[tokio::test]
async fn a_new_subscription_is_followed_by_a_look() {
    let server = RedisServer::start();
    // A script that the server does not know is asked for twice.
    let first = RedisBroker::new(&server.url()).unwrap();
    let known = waiting(&first, Duration::ZERO).await.next().await;
    assert!(known.unwrap().is_none());
    let mut shortest = u64::MAX;
    // On a busy machine a subscription may take longer than the second after which a watch looks by itself.
    for _ in 0..20 {
        let monitor = server.monitor();
        let broker = RedisBroker::new(&server.url()).unwrap();
        let mut watch = waiting(&broker, 2 * SECOND).await;
        assert!(watch.next().await.unwrap().is_none());
        let looks: Vec<u64> = monitor
            .requests()
            .iter()
            .filter(|r| is_look(r))
            .map(|r| r.at_us)
            .collect();
        shortest = looks
            .windows(2)
            .map(|two| two[1] - two[0])
            .chain([shortest])
            .min()
            .unwrap();
        if shortest < LOOK_US / 2 {
            return;
        }
    }
    panic!("no look follows another sooner than after {shortest} µs");
}

/// A wait of one client that ends soon does not cut short another one of it for the same task.
#[tokio::test]
async fn of_two_waits_the_longer_one_stays_known() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let id = Message::new("test.task").id;
    let wanted = || {
        vec![Wanted {
            id,
            queue: Some(queue("q")),
        }]
    };
    let deadline = || -> Option<u64> {
        let get = format!("redis.call('HGET','taskq:{{q}}:waiters','{id}')");
        let entry = server.command(&format!(
            "EVAL \"return redis.status_reply({get} or '')\" 0"
        ));
        let (deadline, _) = entry.strip_prefix('+')?.split_once(':')?;
        deadline.parse().ok()
    };
    let mut long = broker.watch(wanted(), 60 * SECOND).await.unwrap();
    let registered = async {
        loop {
            if let Some(deadline) = deadline() {
                return deadline;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let first = tokio::select! {
        first = registered => first,
        end = long.next() => panic!("it is never registered: {end:?}"),
    };
    let mut short = broker.watch(wanted(), SECOND / 10).await.unwrap();
    assert!(short.next().await.unwrap().is_none());
    drop(short);
    assert!(
        deadline().is_some_and(|now| now >= first),
        "{:?} {first}",
        deadline()
    );
}

/// Who waits for a bare id asks all queues; one of them in trouble does not hide what another has.
#[tokio::test]
async fn a_queue_in_trouble_hides_no_result_of_another() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let out = outgoing(&q);
    broker
        .enqueue(&q, std::slice::from_ref(&out), SEND)
        .await
        .unwrap();
    assert_eq!(server.command("SADD taskq:queues a z"), ":2");
    for key in ["taskq:{a}:waiters", "taskq:{z}:waiters"] {
        assert_eq!(server.command(&format!("SET {key} x")), "+OK");
    }
    let worker = consumer(&broker, &[&q]).await;
    let got = deliver(&worker, 1).await;
    worker.finish(&q, vec![done(&got[0])]).await.unwrap();
    let wanted = vec![Wanted {
        id: out.id,
        queue: None,
    }];
    let mut watch = broker.watch(wanted, 60 * SECOND).await.unwrap();
    let record = watch.next().await.unwrap().expect("its record");
    assert_eq!((record.id, record.state), (out.id, State::Success));
}
