//! Revocation and purge, as Redis sees them: what they read, what they leave, and what a sick key costs.

use std::time::Duration;

use private_redis::RedisServer;
use taskq_core::broker::redis::RedisBroker;
use taskq_core::broker::{Broker, Control, Delivery, End, Inspect, Results, RevokeCause, Verdict};
use taskq_core::event::Attempt;
use taskq_core::revocation::Revocation;
use taskq_core::{Message, Record, State, TaskId};

use super::{SEND, consumer, deliver, done, outgoing, queue};

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
        broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
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
    broker.enqueue(&sick, &sent, SEND).await.unwrap();
    broker.revoke(&sick, &by_id(sent[0].id)).await.unwrap();
    let key = "taskq:{sick}:revoked";
    assert_eq!(server.command(&format!("RENAME {key} aside")), "+OK");
    assert_eq!(server.command(&format!("SET {key} x")), "+OK");
    for _ in 0..5 {
        let out = outgoing(&well);
        broker
            .enqueue(&well, std::slice::from_ref(&out), SEND)
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
    let sent: Vec<_> = (0..5).map(|_| outgoing(&q)).collect();
    // The connection that claims is there before the server stops to read.
    broker.enqueue(&q, &sent[..1], SEND).await.unwrap();
    let got = deliver(&consumer, 1).await;
    consumer.finish(&q, vec![done(&got[0])]).await.unwrap();
    broker.enqueue(&q, &sent[1..], SEND).await.unwrap();
    // A claim of four is written, and its caller goes away before it is answered.
    let mut tries = 0;
    while broker.depth(&q).await.unwrap().in_flight == 0 {
        tries += 1;
        assert!(tries < 100, "no claim was sent");
        server.pause();
        tokio::select! {
            biased;
            got = consumer.claim(4, Duration::ZERO) => panic!("a server that is stopped answers {got:?}"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        server.resume();
    }
    // The next one has room for one of them: three are kept back.
    let first = consumer.claim(1, Duration::ZERO).await.unwrap();
    let in_flight = broker.depth(&q).await.unwrap().in_flight;
    assert_eq!((first.len(), in_flight), (1, 4));
    let what: Vec<_> = sent[1..].iter().map(|o| Revocation::Id(o.id)).collect();
    broker.revoke(&q, &what).await.unwrap();
    let monitor = server.monitor();
    let kept = consumer.claim(4, Duration::ZERO).await.unwrap();
    let claims = monitor
        .requests()
        .iter()
        .filter(|r| r.is("EVALSHA"))
        .count();
    assert_eq!((kept.len(), claims), (3, 0), "these were claimed before");
    for delivery in kept {
        let message = Message::decode(&delivery.body).unwrap();
        assert!(delivery.revoked.covers(&message));
    }
}

/// What whoever revoked it has told is told by no empty entry behind it.
#[tokio::test]
async fn a_finish_that_has_nothing_to_tell_tells_nothing() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let sent = [outgoing(&q), outgoing(&q)];
    broker.enqueue(&q, &sent, SEND).await.unwrap();
    let ids = sent.each_ref().map(|out| out.id);
    broker.revoke(&q, &ids.map(Revocation::Id)).await.unwrap();
    let got = deliver(&consumer, 2).await;
    assert_eq!(broker.mark_revoked(&q, &ids[..1]).await.unwrap(), ids[..1]);
    let entries = || server.command("XLEN taskq:{q}:events");
    let finish = async |delivery: &Delivery| {
        let message = Message::decode(&delivery.body).unwrap();
        let record = Record::new(message.id, &message.task, &q, State::Revoked);
        let verdict = Verdict {
            receipt: delivery.receipt,
            end: End::Revoked(RevokeCause::Requested),
            record: Some(record),
            event: Some(Attempt {
                message: message.into(),
                received: None,
                started: None,
                runtime: None,
                said: None,
                traceback: None,
            }),
        };
        consumer.finish(&q, vec![verdict]).await.unwrap();
    };
    let before = entries();
    finish(&got[0]).await;
    assert_eq!(entries(), before);
    // Of the other nobody has told it.
    finish(&got[1]).await;
    assert_ne!(entries(), before);
}

/// A full server can be relieved of what waits there.
#[tokio::test]
async fn a_full_server_takes_revocations_and_can_be_purged() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let sent: Vec<_> = (0..5).map(|_| outgoing(&q)).collect();
    broker.enqueue(&q, &sent, SEND).await.unwrap();
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
