//! What only Redis can do to us: keys of another type, forgotten scripts, an empty server, one that is gone.

mod attach;
mod bell;
mod dead;
mod questions;
mod retention;
mod revoke;
mod strict;
mod trouble;
mod watch;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use private_redis::RedisServer;
use taskq_core::broker::redis::RedisBroker;
use taskq_core::broker::{
    Broker, Consumer, ConsumerOptions, Delivery, Depth, Due, End, Inspect, Order, Outgoing,
    Results, Verdict,
};
use taskq_core::{ErrorKind, Message, QueueName, Record, State, TaskId, clock};

const SECOND: Duration = Duration::from_secs(1);

/// What a send has that is to succeed, or to be refused: long enough for a machine that stands still now and then.
const SEND: Duration = Duration::from_secs(60);

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn outgoing(queue: &QueueName) -> Outgoing {
    let message = Message::new("test.task");
    Outgoing {
        id: message.id,
        body: Bytes::from(message.encode().unwrap()),
        priority: 0,
        due: Due::Now,
        record: Some(Record::new(message.id, &message.task, queue, State::Queued)),
        once: None,
        event: None,
    }
}

async fn consumer(broker: &RedisBroker, queues: &[&QueueName]) -> Arc<dyn Consumer> {
    let queues = queues.iter().map(|q| (*q).clone().into()).collect();
    let options = ConsumerOptions {
        queues,
        order: Order::default(),
        lease: 10 * SECOND,
        node: "w".into(),
    };
    broker.consume(options).await.unwrap()
}

/// Claims until `n` deliveries have come.
async fn deliver(consumer: &Arc<dyn Consumer>, n: usize) -> Vec<Delivery> {
    let (mut got, until) = (Vec::new(), Instant::now() + 30 * SECOND);
    while got.len() < n {
        assert!(
            Instant::now() < until,
            "{} of {n} deliveries came",
            got.len()
        );
        if let Ok(more) = consumer.claim(n - got.len(), SECOND).await {
            got.extend(more);
        }
    }
    got
}

fn done(delivery: &Delivery) -> Verdict {
    let message = Message::decode(&delivery.body).unwrap();
    Verdict {
        receipt: delivery.receipt,
        end: End::Done,
        record: Some(Record::new(
            message.id,
            &message.task,
            &delivery.queue,
            State::Success,
        )),
        event: None,
    }
}

async fn state(broker: &RedisBroker, id: TaskId) -> Option<State> {
    broker.record(id, None).await.unwrap().map(|r| r.state)
}

/// A key of the wrong type stops its own queue only; the error names the key, and nothing is lost once it is gone.
#[tokio::test]
async fn a_mistyped_key_is_named_and_costs_nothing() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    for (key, verb) in [
        ("ready", "SET"),
        ("ready:5", "SET"),
        ("delayed", "SET"),
        ("records", "SET"),
    ] {
        let name = queue(&format!("bad-{}", key.replace(':', "-")));
        let full = format!("taskq:{{{name}}}:{key}");
        assert_eq!(server.command(&format!("{verb} {full} x")), "+OK");
        // A message on its way to that key, behind one that is not.
        let mut message = outgoing(&name);
        match key {
            "ready:5" => message.priority = 5,
            "delayed" => message.due = Due::In(SECOND * 60),
            _ => {}
        }
        let batch = [outgoing(&name), message];
        let error = broker.enqueue(&name, &batch, SEND).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongType, "{error}");
        assert!(
            error.to_string().contains(&full),
            "{error} does not name {full}"
        );
        assert_eq!(server.command(&format!("DEL {full}")), ":1");
        let depth = broker.depth(&name).await.unwrap();
        assert_eq!(depth, Depth::default(), "{key}");
        broker.enqueue(&name, &batch, SEND).await.unwrap();
        let depth = broker.depth(&name).await.unwrap();
        assert_eq!(depth.waiting + depth.delayed, 2, "{key}");
    }
}

#[tokio::test]
async fn a_queue_in_trouble_holds_up_no_other() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (sick, well) = (queue("sick"), queue("well"));
    let consumer = consumer(&broker, &[&sick, &well]).await;
    let waiting = outgoing(&sick);
    broker
        .enqueue(&sick, std::slice::from_ref(&waiting), SEND)
        .await
        .unwrap();
    assert_eq!(server.command("RENAME taskq:{sick}:ready aside"), "+OK");
    assert_eq!(server.command("SET taskq:{sick}:ready x"), "+OK");
    for _ in 0..3 {
        broker
            .enqueue(&well, &[outgoing(&well)], SEND)
            .await
            .unwrap();
        let got = deliver(&consumer, 1).await;
        assert_eq!(got[0].queue, well);
        consumer.finish(&well, vec![done(&got[0])]).await.unwrap();
    }
    assert_eq!(server.command("DEL taskq:{sick}:ready"), ":1");
    assert_eq!(server.command("RENAME aside taskq:{sick}:ready"), "+OK");
    let got = deliver(&consumer, 1).await;
    assert_eq!(Message::decode(&got[0].body).unwrap().id, waiting.id);
}

/// While `delayed` has the wrong type a finish is repeated, not given up, and applied once it can be.
#[tokio::test]
async fn a_finish_waits_for_its_queue_to_be_mended() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let sent = outgoing(&q);
    broker
        .enqueue(&q, std::slice::from_ref(&sent), SEND)
        .await
        .unwrap();
    let got = deliver(&consumer, 1).await;
    assert_eq!(server.command("SET taskq:{q}:delayed x"), "+OK");
    let finishing = tokio::spawn({
        let (consumer, q, verdict) = (consumer.clone(), q.clone(), done(&got[0]));
        async move { consumer.finish(&q, vec![verdict]).await }
    });
    // Refused at least once: the server has counted the script's error.
    let until = Instant::now() + 30 * SECOND;
    while !errors(&server).contains("MISTYPED") {
        assert!(Instant::now() < until, "no finish was refused");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!finishing.is_finished());
    assert_eq!(state(&broker, sent.id).await, Some(State::Queued));
    assert_eq!(server.command("DEL taskq:{q}:delayed"), ":1");
    assert_eq!(finishing.await.unwrap().unwrap().applied, 1);
    assert_eq!(state(&broker, sent.id).await, Some(State::Success));
}

fn errors(server: &RedisServer) -> String {
    let mut text = String::new();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(b"INFO errorstats\r\nQUIT\r\n").unwrap();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// A record that can not be written takes its own task to the dead set, and no other.
#[tokio::test]
async fn a_record_that_can_not_be_written_costs_only_its_own_tasks() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let (mut bad, good) = (outgoing(&q), outgoing(&q));
    // Of another second, so that its bucket is another key.
    bad.id = "0198c0de-0000-7000-8000-000000000000".parse().unwrap();
    let mut message = Message::new("test.task");
    message.id = bad.id;
    bad.body = Bytes::from(message.encode().unwrap());
    bad.record = None;
    broker
        .enqueue(&q, &[bad.clone(), good.clone()], SEND)
        .await
        .unwrap();
    let got = deliver(&consumer, 2).await;
    let second = bad.id.created_second().unwrap();
    assert_eq!(
        server.command(&format!("SET taskq:{{q}}:records:{second} x")),
        "+OK"
    );
    let finished = consumer
        .finish(&q, got.iter().map(done).collect())
        .await
        .unwrap();
    assert_eq!((finished.applied, finished.lost), (2, 0));
    assert_eq!(state(&broker, good.id).await, Some(State::Success));
    let dead = broker.dead(&q, 0, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(Message::decode(&dead[0].body).unwrap().id, bad.id);
    assert!(
        dead[0].reason.contains(&format!("records:{second}")),
        "{}",
        dead[0].reason
    );
    assert_eq!(
        server.command(&format!("DEL taskq:{{q}}:records:{second}")),
        ":1"
    );
    assert_eq!(state(&broker, bad.id).await, Some(State::Dead));
    assert_eq!(broker.depth(&q).await.unwrap().in_flight, 0);
}

#[tokio::test]
async fn a_server_that_forgot_its_scripts_is_told_them_again() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    for _ in 0..3 {
        let sent = outgoing(&q);
        assert_eq!(server.command("SCRIPT FLUSH"), "+OK");
        broker
            .enqueue(&q, std::slice::from_ref(&sent), SEND)
            .await
            .unwrap();
        assert_eq!(server.command("SCRIPT FLUSH"), "+OK");
        let got = deliver(&consumer, 1).await;
        assert_eq!(server.command("SCRIPT FLUSH"), "+OK");
        consumer.finish(&q, vec![done(&got[0])]).await.unwrap();
        assert_eq!(server.command("SCRIPT FLUSH"), "+OK");
        consumer.beat().await.unwrap();
        assert_eq!(state(&broker, sent.id).await, Some(State::Success));
    }
}

/// An emptied server has lost our session: its verdict does not count, and work goes on under a new one.
#[tokio::test]
async fn after_a_flushall_work_goes_on() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
    let got = deliver(&consumer, 1).await;
    assert_eq!(server.command("FLUSHALL"), "+OK");
    consumer.beat().await.unwrap();
    assert!(got[0].lost.is_cancelled());
    let finished = consumer.finish(&q, vec![done(&got[0])]).await.unwrap();
    assert_eq!((finished.applied, finished.lost), (0, 1));
    let sent = outgoing(&q);
    broker
        .enqueue(&q, std::slice::from_ref(&sent), SEND)
        .await
        .unwrap();
    let got = deliver(&consumer, 1).await;
    consumer.finish(&q, vec![done(&got[0])]).await.unwrap();
    consumer.beat().await.unwrap();
    assert_eq!(state(&broker, sent.id).await, Some(State::Success));
    assert_eq!(broker.queues().await.unwrap(), [q]);
}

/// A server that is gone: a send says so, naming the address, at its deadline and not much later; then work goes on.
#[tokio::test]
async fn a_server_that_is_gone_is_named_and_waited_for() {
    let mut server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    server.kill();
    let asked = Instant::now();
    let error = broker
        .enqueue(&q, &[outgoing(&q)], SECOND)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(
        error
            .to_string()
            .contains(&format!("127.0.0.1:{}", server.port())),
        "{error}"
    );
    // Generous: what must not happen is a hang.
    assert!(asked.elapsed() < 20 * SECOND, "{:?}", asked.elapsed());
    assert!(consumer.claim(1, SECOND).await.is_err());
    assert_eq!(
        broker.workers().await.unwrap_err().kind(),
        ErrorKind::Unreachable
    );
    server.restart();
    let sent = outgoing(&q);
    broker
        .enqueue(&q, std::slice::from_ref(&sent), SEND)
        .await
        .unwrap();
    let got = deliver(&consumer, 1).await;
    assert_eq!(Message::decode(&got[0].body).unwrap().id, sent.id);
}

/// A server that answers nothing (a stopped process) does not hang a send either.
#[tokio::test]
async fn a_mute_server_does_not_hang_a_send() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let broker = RedisBroker::new(&format!("redis://{address}/0")).unwrap();
    let q = queue("q");
    let asked = Instant::now();
    let error = broker
        .enqueue(&q, &[outgoing(&q)], SECOND)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(asked.elapsed() < 20 * SECOND, "{:?}", asked.elapsed());
}

/// At `maxmemory` a send is refused with the remedy, and finishing goes on.
#[tokio::test]
async fn a_full_server_refuses_sends_and_lets_work_end() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let sent = [outgoing(&q), outgoing(&q)];
    broker.enqueue(&q, &sent, SEND).await.unwrap();
    let got = deliver(&consumer, 1).await;
    assert_eq!(server.command("CONFIG SET maxmemory 1"), "+OK");
    let error = broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("out of memory"), "{error}");
    consumer.beat().await.unwrap();
    assert_eq!(
        consumer
            .finish(&q, vec![done(&got[0])])
            .await
            .unwrap()
            .applied,
        1
    );
    let got = deliver(&consumer, 1).await;
    assert_eq!(
        consumer
            .finish(&q, vec![done(&got[0])])
            .await
            .unwrap()
            .applied,
        1
    );
    assert_eq!(broker.depth(&q).await.unwrap().waiting, 0);
    assert_eq!(server.command("CONFIG SET maxmemory 0"), "+OK");
    broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
}

/// The oldest of all lists counts, bare and marked, and with it gone the next one does.
#[tokio::test]
async fn the_age_of_the_oldest_waiting_message_is_told() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let hour = 3_600_000;
    let older = |hours: u64, priority: u8| {
        let mut message = Message::new("test.task");
        message.enqueued_at = Some(clock::now_ms() - hours * hour);
        Outgoing {
            id: message.id,
            body: Bytes::from(message.encode().unwrap()),
            priority,
            ..outgoing(&q)
        }
    };
    // In hours, which no delay of this test comes near.
    let age = async || {
        let depth = broker.depth(&q).await.unwrap();
        depth.oldest_ms.map(|ms| ms / hour)
    };
    assert_eq!(age().await, None);
    let sent = [older(2, 0), outgoing(&q)];
    broker.enqueue(&q, &sent, SEND).await.unwrap();
    assert_eq!(age().await, Some(2));
    let consumer = consumer(&broker, &[&q]).await;
    let got = deliver(&consumer, 1).await;
    assert_eq!(age().await, Some(0));
    let back = Verdict {
        end: End::Return,
        record: None,
        ..done(&got[0])
    };
    consumer.finish(&q, vec![back]).await.unwrap();
    assert_eq!(age().await, Some(2));
    broker.enqueue(&q, &[older(5, 7)], SEND).await.unwrap();
    assert_eq!(age().await, Some(5));
    assert_eq!(deliver(&consumer, 3).await.len(), 3);
    assert_eq!(age().await, None);
}
