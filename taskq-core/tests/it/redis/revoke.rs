//! Revocation and purge, as Redis sees them: what they read, what they leave, and what a sick key costs.

use std::time::Duration;

use private_redis::RedisServer;
use taskq_core::broker::redis::RedisBroker;
use taskq_core::broker::{Broker, Control, Inspect, Results};
use taskq_core::revocation::Revocation;
use taskq_core::{Message, State, TaskId};

use super::{SECOND, consumer, deliver, done, outgoing, queue};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn by_id(id: TaskId) -> [Revocation; 1] {
    [Revocation::Id(id)]
}

/// The set is read once after each change, and by nobody whose queue never had one.
#[tokio::test]
async fn what_is_revoked_is_read_once_for_each_change() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let monitor = server.monitor();
    let reads = || {
        let requests = monitor.requests();
        let reads = requests.iter().filter(|r| r.is("ZRANGE"));
        reads.filter(|r| r.names("}:revoked")).count()
    };
    let claim_one = async || {
        broker.enqueue(&q, &[outgoing(&q)], SECOND).await.unwrap();
        let got = deliver(&consumer, 1).await;
        consumer.finish(&q, vec![done(&got[0])]).await.unwrap();
    };
    claim_one().await;
    assert_eq!(reads(), 0);
    for change in 1..=3 {
        broker.revoke(&q, &by_id(TaskId::random())).await.unwrap();
        for _ in 0..3 {
            claim_one().await;
        }
        assert_eq!(reads(), change);
    }
}

/// The key goes when the last of it is past its time, though nobody looks.
#[tokio::test]
async fn what_is_revoked_leaves_with_its_time() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    broker.revoke(&q, &by_id(TaskId::random())).await.unwrap();
    broker.advance(DAY * 5).await.unwrap();
    broker.revoke(&q, &by_id(TaskId::random())).await.unwrap();
    broker.advance(DAY * 5).await.unwrap();
    assert_eq!(server.command("EXISTS taskq:{q}:revoked"), ":1");
    assert_eq!(broker.revoked(&q).await.unwrap().iter().count(), 1);
    broker.advance(DAY * 3).await.unwrap();
    assert_eq!(server.command("EXISTS taskq:{q}:revoked"), ":0");
}

/// A set that can not be read holds up its own queue; what was claimed there waits, and is handed out once it can be.
#[tokio::test]
async fn a_set_that_can_not_be_read_holds_up_its_queue_alone_and_loses_nothing() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (sick, well) = (queue("sick"), queue("well"));
    let consumer = consumer(&broker, &[&sick, &well]).await;
    let sent = [outgoing(&sick), outgoing(&sick)];
    broker.enqueue(&sick, &sent, SECOND).await.unwrap();
    broker.revoke(&sick, &by_id(sent[0].id)).await.unwrap();
    let key = "taskq:{sick}:revoked";
    assert_eq!(server.command(&format!("RENAME {key} aside")), "+OK");
    assert_eq!(server.command(&format!("SET {key} x")), "+OK");
    for _ in 0..5 {
        let out = outgoing(&well);
        broker
            .enqueue(&well, std::slice::from_ref(&out), SECOND)
            .await
            .unwrap();
        let got = deliver(&consumer, 1).await;
        assert_eq!(got[0].queue, well);
        consumer.finish(&well, vec![done(&got[0])]).await.unwrap();
    }
    let refused = broker.revoke(&sick, &by_id(TaskId::random())).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains(key), "{refused}");
    assert_eq!(server.command(&format!("RENAME aside {key}")), "+OK");
    let got = deliver(&consumer, 2).await;
    let covered = got.iter().filter(|d| {
        let message = Message::decode(&d.body).unwrap();
        d.revoked.covers(&message)
    });
    assert_eq!(covered.count(), 1);
    assert!(got.iter().all(|d| d.queue == sick));
}

/// What was claimed and not handed out yet knows of what was revoked since.
#[tokio::test]
async fn what_was_claimed_and_kept_back_hears_of_a_revocation() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let out = outgoing(&q);
    // The call that claims it is dropped before it answers: the next one answers the same.
    let claim = consumer.claim(1, SECOND);
    let sent = broker.enqueue(&q, std::slice::from_ref(&out), SECOND);
    tokio::select! {
        biased;
        _ = async { sent.await.unwrap(); while broker.depth(&q).await.unwrap().in_flight == 0 { tokio::task::yield_now().await; } } => {}
        got = claim => { assert_eq!(got.unwrap().len(), 1); return; }
    }
    broker.revoke(&q, &by_id(out.id)).await.unwrap();
    let got = deliver(&consumer, 1).await;
    let message = Message::decode(&got[0].body).unwrap();
    assert!(got[0].revoked.covers(&message));
}

/// A full server can be relieved of what waits there.
#[tokio::test]
async fn a_full_server_takes_revocations_and_can_be_purged() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let sent: Vec<_> = (0..5).map(|_| outgoing(&q)).collect();
    broker.enqueue(&q, &sent, SECOND).await.unwrap();
    assert_eq!(server.command("CONFIG SET maxmemory 1"), "+OK");
    broker.revoke(&q, &by_id(sent[0].id)).await.unwrap();
    assert_eq!(
        broker.mark_revoked(&q, &[sent[0].id]).await.unwrap(),
        [sent[0].id]
    );
    assert_eq!(broker.purge(&q, 999).await.unwrap(), 5);
    let record = broker.record(sent[4].id, Some(&q)).await.unwrap().unwrap();
    assert_eq!(record.state, State::Revoked);
}

/// Messages that are equal to the byte, and marked ones beside bare ones, are all purged, each once.
#[tokio::test]
async fn equal_messages_are_purged_one_by_one() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let out = outgoing(&q);
    for _ in 0..3 {
        broker.push_raw(&q, 0, &out.body).await.unwrap();
    }
    let marked = [b"02", &out.body[..]].concat();
    broker.push_raw(&q, 0, &marked).await.unwrap();
    assert_eq!(broker.purge(&q, 2).await.unwrap(), 2);
    assert_eq!(broker.depth(&q).await.unwrap().waiting, 2);
    assert_eq!(broker.purge(&q, 999).await.unwrap(), 2);
    assert_eq!(broker.totals(&q).await.unwrap().revoked, 4);
    assert_eq!(server.command("EXISTS taskq:{q}:ready"), ":0");
}
