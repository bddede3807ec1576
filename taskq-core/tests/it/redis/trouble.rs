//! Trouble that must stay where it is: one queue's, one connection's, one message's.

use taskq_core::broker::{Control, Order};
use taskq_core::control::{Command, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

/// A wire that can go mute: what is open then stays open, but nothing passes any more; new connections are carried.
async fn wire(port: u16) -> (String, watch::Sender<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let muted = watch::Sender::new(0);
    let told = muted.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut muted = told.subscribe();
            let born = *muted.borrow_and_update();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    () = async { drop(muted.wait_for(|n| *n > born).await) } => {
                        std::future::pending::<()>().await;
                    }
                }
            });
        }
    });
    (format!("redis://{address}/0"), muted)
}

/// Another port of the same machine is soon taken for the broker's.
#[tokio::test]
async fn who_is_no_redis_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            drop(client.write_all(answer).await);
            // Not reset before it is read.
            let mut asked = [0; 64];
            while client.read(&mut asked).await.is_ok_and(|n| n > 0) {}
        }
    });
    let broker = RedisBroker::new(&url).unwrap();
    let error = broker.workers().await.unwrap_err().to_string();
    assert!(
        error.contains("is no Redis: check host and port"),
        "{error}"
    );
    let q = queue("q");
    let sent = broker.enqueue(&q, &[outgoing(&q)], 3 * SECOND).await;
    let error = sent.unwrap_err().to_string();
    assert!(
        error.contains("is no Redis: check host and port"),
        "{error}"
    );
}

/// One that takes the connection and never answers may be none either.
#[tokio::test]
async fn who_never_answers_is_asked_after() {
    // Connections wait in its queue.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    let broker = RedisBroker::new(&url).unwrap();
    let error = broker.workers().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let error = error.to_string();
    assert!(error.contains("is Redis running there?"), "{error}");
}

/// A connection that went mute is not waited for a second time, also when its caller gave up first.
#[tokio::test]
async fn a_mute_connection_is_replaced() {
    let server = RedisServer::start();
    let (url, mute) = wire(server.port()).await;
    let broker = RedisBroker::new(&url).unwrap();
    let q = queue("q");
    broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
    // Of some tries one at least: a machine that stands still may miss any of them.
    for late in 0..5 {
        mute.send_modify(|n| *n += 1);
        let error = broker
            .enqueue(&q, &[outgoing(&q)], SECOND / 5)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        // Sooner than a link gives up by itself.
        let next = broker.enqueue(&q, &[outgoing(&q)], 3 * SECOND).await;
        if next.is_ok() {
            let direct = RedisBroker::new(&server.url()).unwrap();
            let waiting = direct.depth(&q).await.unwrap().waiting;
            // What came late may have come nevertheless.
            assert!((2..=2 + late).contains(&waiting), "{waiting}");
            return;
        }
    }
    panic!("it is waited for until it gives up by itself");
}

/// A worker that stops while a sweeper has its store in hand must not hide it from the next sweeper.
#[tokio::test]
async fn a_close_does_not_strand_what_is_being_given_back() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let options = |lease| ConsumerOptions {
        queues: vec![q.clone().into()],
        order: Order::default(),
        lease,
        node: "w".into(),
    };
    let held = broker.consume(options(SECOND)).await.unwrap();
    let sent = outgoing(&q);
    broker
        .enqueue(&q, std::slice::from_ref(&sent), SEND)
        .await
        .unwrap();
    deliver(&held, 1).await;
    // What take does, by a sweeper that dies before it gives.
    let keys = server.command("EVAL \"return redis.call('KEYS','taskq:{q}:session:*')[1]\" 0");
    assert!(keys.starts_with('$'), "{keys}");
    let renamed = "EVAL \"local s=redis.call('KEYS','taskq:{q}:session:*')[1] \
        local id=string.match(s,'[^:]+$') redis.call('RENAME',s,'taskq:{q}:orphan:'..id) \
        redis.call('ZADD','taskq:{q}:leases',1,id) return 'done'\" 0";
    assert_eq!(server.command(renamed), "$4");
    drop(held.close().await);
    let heir = broker.consume(options(SECOND)).await.unwrap();
    let until = Instant::now() + 30 * SECOND;
    loop {
        heir.beat().await.unwrap();
        heir.sweep().await.unwrap();
        let got = heir.claim(1, Duration::ZERO).await.unwrap();
        if let Some(delivery) = got.first() {
            assert_eq!(Message::decode(&delivery.body).unwrap().id, sent.id);
            break;
        }
        assert!(Instant::now() < until, "the message never came back");
        tokio::time::sleep(SECOND / 10).await;
    }
}

/// A message that is due in half a billion years waits for itself alone.
#[tokio::test]
async fn a_far_eta_holds_up_no_other() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let mut far = outgoing(&q);
    far.due = Due::At(u64::MAX);
    broker
        .enqueue(&q, &[outgoing(&q), far, outgoing(&q)], SEND)
        .await
        .unwrap();
    let depth = broker.depth(&q).await.unwrap();
    assert_eq!((depth.waiting, depth.delayed), (2, 1));
    let mut longest = outgoing(&q);
    longest.due = Due::In(Duration::MAX);
    broker.enqueue(&q, &[longest], SEND).await.unwrap();
    let got = deliver(&consumer, 2).await;
    let snooze = Verdict {
        end: End::Snooze(Duration::MAX),
        ..done(&got[0])
    };
    let finished = consumer
        .finish(&q, vec![snooze, done(&got[1])])
        .await
        .unwrap();
    assert_eq!(finished.applied, 2);
    assert_eq!(broker.depth(&q).await.unwrap().delayed, 3);
}

/// What can not be finished is not claimed either.
#[tokio::test]
async fn a_queue_that_can_not_be_finished_is_not_claimed_from() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    for _ in 0..5 {
        broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
    }
    let got = deliver(&consumer, 1).await;
    assert_eq!(server.command("SET taskq:{q}:dead x"), "+OK");
    let finishing = tokio::spawn({
        let (consumer, q, verdict) = (consumer.clone(), q.clone(), done(&got[0]));
        async move { consumer.finish(&q, vec![verdict]).await }
    });
    let until = Instant::now() + 30 * SECOND;
    while !errors(&server).contains("MISTYPED") {
        assert!(Instant::now() < until, "no finish was refused");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The claim that crossed the refusal may bring some; no later one does, however often it is asked.
    let (mut claimed, until) = (0, Instant::now() + 3 * SECOND);
    while Instant::now() < until {
        let got = consumer.claim(1, Duration::ZERO).await;
        claimed += got.map_or(0, |deliveries| deliveries.len());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(claimed <= 1, "{claimed} were claimed");
    assert_eq!(server.command("DEL taskq:{q}:dead"), ":1");
    assert_eq!(finishing.await.unwrap().unwrap().applied, 1);
    deliver(&consumer, 4 - claimed).await;
}

/// A queue that can not be closed keeps no other from being closed.
#[tokio::test]
async fn each_queue_is_closed_by_itself() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (sick, well) = (queue("a-sick"), queue("b-well"));
    let first = consumer(&broker, &[&sick, &well]).await;
    broker
        .enqueue(&well, &[outgoing(&well)], SEND)
        .await
        .unwrap();
    deliver(&first, 1).await;
    assert_eq!(server.command("RENAME taskq:{a-sick}:leases aside"), "+OK");
    assert_eq!(server.command("SET taskq:{a-sick}:leases x"), "+OK");
    assert!(first.close().await.is_err());
    assert_eq!(server.command("KEYS taskq:{b-well}:session:*"), "*0");
    assert_eq!(server.command("KEYS taskq:{b-well}:orphan:*"), "*1");
}

/// One queue whose lost session can not be resigned costs the others no beat.
#[tokio::test]
async fn each_queue_beats_by_itself() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (sick, well) = (queue("a-sick"), queue("b-well"));
    let consumer = consumer(&broker, &[&sick, &well]).await;
    // A claim finds one session lost; before its resignation can be confirmed, its queue gets into trouble.
    let astray = "EVAL \"local s=redis.call('KEYS','taskq:{a-sick}:session:*')[1] \
        return redis.call('HSET',s,'c',7)\" 0";
    assert_eq!(server.command(astray), ":0");
    drop(consumer.claim(2, Duration::ZERO).await);
    assert_eq!(server.command("RENAME taskq:{a-sick}:leases aside"), "+OK");
    assert_eq!(server.command("SET taskq:{a-sick}:leases x"), "+OK");
    let put_back = "EVAL \"local id=redis.call('ZRANGE','taskq:{b-well}:leases',0,0)[1] \
        redis.call('ZADD','taskq:{b-well}:leases',1,id) return 'done'\" 0";
    assert_eq!(server.command(put_back), "$4");
    drop(consumer.beat().await);
    assert_eq!(server.command("ZCOUNT taskq:{b-well}:leases 2 +inf"), ":1");
}

/// A stop that finds no session open has nothing to mark, and says so.
#[tokio::test]
async fn retiring_without_a_session_succeeds() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    assert_eq!(server.command("FLUSHALL"), "+OK");
    consumer.beat().await.unwrap();
    consumer.retire().await.unwrap();
    assert!(consumer.claim(1, SECOND).await.unwrap().is_empty());
    assert_eq!(server.command("KEYS taskq:{q}:session:*"), "*0");
    consumer.close().await.unwrap();
}

/// Suspects run one at a time, but one right after the other: each that ends rings for the next.
#[tokio::test]
async fn suspects_follow_each_other() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (empty, q) = (queue("empty"), queue("q"));
    let consumer = consumer(&broker, &[&empty, &q]).await;
    for _ in 0..200 {
        let message = Message::new("test.task").encode().unwrap();
        let marked = format!("02{}", String::from_utf8(message).unwrap()).replace('"', "\\\"");
        let pushed = server.command(&format!("LPUSH taskq:{{q}}:suspects \"{marked}\""));
        assert!(pushed.starts_with(':'), "{pushed}");
    }
    let mut got = deliver(&consumer, 1).await;
    let mut soon = 0;
    for _ in 0..199 {
        assert!(got[0].suspect);
        let began = Instant::now();
        // The claim waits while the suspect ends.
        let verdicts = vec![done(&got[0])];
        let (next, finished) =
            tokio::join!(consumer.claim(1, SECOND), consumer.finish(&q, verdicts));
        assert_eq!(finished.unwrap().applied, 1);
        got = next.unwrap();
        if got.is_empty() {
            got = deliver(&consumer, 1).await;
        }
        soon += usize::from(began.elapsed() < SECOND / 10);
        assert!(
            consumer.claim(1, Duration::ZERO).await.unwrap().is_empty(),
            "two at a time"
        );
    }
    // Found only by asking now and then, they take the better part of a second each. A machine may stand still for some.
    assert!(soon >= 50, "{soon} of 199 came soon");
}

/// Two records of one batch that can not be written, for two keys: each costs its own task, and the batch ends.
#[tokio::test]
async fn several_records_that_can_not_be_written_end_their_batch() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    for id in [
        "0198c0de-0000-7000-8000-000000000000",
        "0198c0df-0000-7000-8000-000000000000",
    ] {
        let mut message = Message::new("test.task");
        message.id = id.parse().unwrap();
        let out = Outgoing {
            id: message.id,
            body: Bytes::from(message.encode().unwrap()),
            record: None,
            ..outgoing(&q)
        };
        broker.enqueue(&q, &[out], SEND).await.unwrap();
        let second = message.id.created_second().unwrap();
        let set = format!("SET taskq:{{q}}:records:{second} x");
        assert_eq!(server.command(&set), "+OK");
    }
    let got = deliver(&consumer, 2).await;
    let finishing = consumer.finish(&q, got.iter().map(done).collect());
    let finished = tokio::time::timeout(30 * SECOND, finishing).await;
    assert_eq!(finished.expect("it ends").unwrap().applied, 2);
    assert_eq!(broker.depth(&q).await.unwrap().dead, 2);
}

/// A suspect gets its turn, whichever queue it is in and however busy the worker is.
#[tokio::test]
async fn suspects_of_all_queues_get_their_turn_under_load() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let queues = [queue("a"), queue("b"), queue("c")];
    let consumer = consumer(&broker, &[&queues[0], &queues[1], &queues[2]]).await;
    for q in &queues {
        let message = Message::new("test.task").encode().unwrap();
        let marked = format!("02{}", String::from_utf8(message).unwrap()).replace('"', "\\\"");
        let pushed = server.command(&format!("LPUSH taskq:{{{q}}}:suspects \"{marked}\""));
        assert!(pushed.starts_with(':'), "{pushed}");
    }
    let mut suspects = 0;
    for _ in 0..20 {
        for q in &queues {
            let batch: Vec<Outgoing> = (0..5).map(|_| outgoing(q)).collect();
            broker.enqueue(q, &batch, SEND).await.unwrap();
        }
        let got = consumer.claim(9, SECOND).await.unwrap();
        suspects += got.iter().filter(|d| d.suspect).count();
        for q in &queues {
            let ended = got.iter().filter(|d| d.queue == *q).map(done).collect();
            consumer.finish(q, ended).await.unwrap();
        }
    }
    assert_eq!(suspects, 3);
}

/// A connection that is seldom used and broke meanwhile costs no answer and no close.
#[tokio::test]
async fn what_is_seldom_said_is_said_again() {
    let mut server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let request = Request {
        id: "1".into(),
        reply_to: "taskq:0:reply:x".into(),
        destination: Vec::new(),
        command: Command::Ping,
    };
    let reply = Reply {
        id: "1".into(),
        node: "w1@here".into(),
        body: "pong".into(),
        notices: Vec::new(),
    };
    broker.reply(&request, reply.clone()).await.unwrap();
    consumer.retire().await.unwrap();
    server.restart();
    broker.reply(&request, reply).await.unwrap();
    consumer.close().await.unwrap();
}
