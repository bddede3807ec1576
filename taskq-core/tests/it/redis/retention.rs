//! What is past its time goes, and what is kept has a bound.

use taskq_core::broker::{Control, Once, Wanted};
use taskq_core::event::{EventPosition, Told};
use taskq_core::fleet::WorkerCard;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The number that a command answers.
fn number(server: &RedisServer, command: &str) -> u64 {
    let answer = server.command(command);
    let number = answer.strip_prefix(':').and_then(|n| n.parse().ok());
    number.unwrap_or_else(|| panic!("{command} answers {answer}"))
}

fn used_memory(server: &RedisServer) -> u64 {
    server.info("used_memory").parse().unwrap()
}

fn named(task: &str, padding: usize) -> (Message, Outgoing) {
    let mut message = Message::new(task);
    message
        .headers
        .insert("padding".into(), "x".repeat(padding));
    let out = Outgoing {
        id: message.id,
        body: message.encode().unwrap().into(),
        priority: 0,
        due: Due::Now,
        record: None,
        once: None,
        event: Some(Told::sent(&message)),
    };
    (message, out)
}

/// An id that tells no time.
fn of_version_4(id: TaskId) -> TaskId {
    let mut text = id.to_string();
    text.replace_range(14..15, "4");
    text.parse().unwrap()
}

fn dead(delivery: &Delivery) -> Verdict {
    Verdict {
        end: End::Dead {
            state: State::Dead,
            reason: "no".into(),
        },
        ..done(delivery)
    }
}

/// Everything that is kept, 2,000 times; answers how much memory it took at its height.
async fn load(server: &RedisServer, broker: &RedisBroker, worker: &Arc<dyn Consumer>) -> u64 {
    let q = queue("q");
    for _ in 0..20 {
        let mut batch = Vec::new();
        for n in 0..100 {
            let mut out = outgoing(&q);
            if n % 3 == 0 {
                out.id = of_version_4(out.id);
            }
            out.once = (n % 10 == 0).then(|| Once {
                key: out.id.to_string(),
                held_for: 2 * DAY,
            });
            out.due = if n % 7 == 0 {
                Due::In(SECOND)
            } else {
                Due::Now
            };
            batch.push(out);
        }
        broker.enqueue(&q, &batch, SEND).await.unwrap();
        let wanted = batch.iter().map(|m| Wanted {
            id: m.id,
            queue: Some(q.clone()),
        });
        // Its client dies, without a runtime in its last moment: nobody takes these waiters out.
        let mut watch = broker.watch(wanted.collect(), 60 * SECOND).await.unwrap();
        let looked = tokio::time::timeout(SECOND / 10, watch.next()).await;
        assert!(looked.is_err());
        let dies = std::thread::spawn(move || drop(watch));
        dies.join().unwrap();
    }
    broker.advance(2 * SECOND).await.unwrap();
    let got = deliver(worker, 2000).await;
    assert!(number(server, "HLEN taskq:{q}:waiters") > 0);
    let verdicts = got.iter().enumerate().map(|(n, d)| match n % 2 {
        0 => done(d),
        _ => dead(d),
    });
    worker.finish(&q, verdicts.collect()).await.unwrap();
    used_memory(server)
}

/// After a load and past all retention, memory is back where it was after the load before, and what keys are left are
/// those that every queue has.
#[tokio::test]
async fn past_all_retention_memory_is_back_at_its_baseline() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let worker = consumer(&broker, &[&queue("q")]).await;
    let (mut before, mut lowest) = (None, u64::MAX);
    for _ in 0..3 {
        let loaded = load(&server, &broker, &worker).await;
        broker.advance(8 * DAY).await.unwrap();
        for _ in 0..60 {
            worker.beat().await.unwrap();
            worker.sweep().await.unwrap();
        }
        // What every queue has, and its session.
        let owned = ["bell", "events", "leases", "meta", "resumed", "totals"];
        let left = server.keys();
        for key in &left {
            let of_queue = key.strip_prefix("taskq:{q}:");
            let known = of_queue.is_some_and(|k| owned.contains(&k) || k.starts_with("session:"));
            assert!(known || key == "taskq:queues", "{key} is left: {left:?}");
        }
        let rests = used_memory(&server);
        let load = loaded.saturating_sub(rests);
        assert!(load > 500_000, "{loaded} -> {rests}");
        // The first time, connections and scripts were new.
        if let Some(before) = before {
            assert!(
                rests < before + load / 10,
                "{before} -> {loaded} -> {rests}"
            );
        }
        lowest = lowest.min(rests);
        before = Some(lowest);
    }
}

/// Records leave with a sweep as soon as their day is over; the TTL of their bucket is only the backstop.
#[tokio::test]
async fn a_sweep_drops_records_when_their_day_is_over() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let worker = consumer(&broker, &[&q]).await;
    broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
    let got = deliver(&worker, 1).await;
    worker.finish(&q, vec![done(&got[0])]).await.unwrap();
    let buckets = |server: &RedisServer| {
        let keys = server.keys();
        keys.iter().filter(|k| k.contains(":records:")).count()
    };
    broker.advance(DAY - 60 * SECOND).await.unwrap();
    worker.sweep().await.unwrap();
    assert_eq!(buckets(&server), 1);
    broker.advance(120 * SECOND).await.unwrap();
    assert_eq!(buckets(&server), 1, "its TTL is not over");
    worker.sweep().await.unwrap();
    assert_eq!(buckets(&server), 0);
    assert_eq!(server.command("EXISTS taskq:{q}:records"), ":0");
}

/// The dead set is bounded by bytes: the oldest leave.
#[tokio::test]
async fn the_dead_take_64_mib_at_most() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let worker = consumer(&broker, &[&q]).await;
    for n in 0..80 {
        let (_, out) = named(&format!("t{n}"), 1_000_000);
        broker.enqueue(&q, &[out], SEND).await.unwrap();
        let got = deliver(&worker, 1).await;
        worker.finish(&q, vec![dead(&got[0])]).await.unwrap();
    }
    let kept = broker.dead(&q, 0, 1000).await.unwrap();
    assert!((60..=67).contains(&kept.len()), "{} are kept", kept.len());
    let newest = Message::decode(&kept[0].body).unwrap();
    assert_eq!(newest.task, "t79");
    let bytes = server.command("HGET taskq:{q}:meta dead_bytes");
    assert!(bytes.starts_with('$'), "{bytes}");
    // Emptied from outside, the count starts anew.
    drop(server.command("DEL taskq:{q}:dead"));
    worker.sweep().await.unwrap();
    let (_, out) = named("last", 10);
    broker.enqueue(&q, &[out], SEND).await.unwrap();
    let got = deliver(&worker, 1).await;
    worker.finish(&q, vec![dead(&got[0])]).await.unwrap();
    assert_eq!(broker.dead(&q, 0, 1000).await.unwrap().len(), 1);
}

/// Events are bounded by bytes, however many are told.
#[tokio::test]
async fn events_take_32_mib_at_most() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let text: Box<serde_json::value::RawValue> =
        serde_json::value::to_raw_value(&["x".repeat(1_000)]).unwrap();
    for _ in 0..900 {
        let batch: Vec<Outgoing> = (0..60)
            .map(|_| {
                let mut message = Message::new("t");
                message.args = Some(text.clone());
                Outgoing {
                    body: Bytes::from_static(b"{}"),
                    event: Some(Told::sent(&message)),
                    record: None,
                    ..outgoing(&q)
                }
            })
            .collect();
        broker.enqueue(&q, &batch, SEND).await.unwrap();
        drop(server.command("DEL taskq:{q}:ready"));
    }
    let used = number(&server, "MEMORY USAGE taskq:{q}:events");
    assert!((20 << 20..36 << 20).contains(&used), "{used} bytes");
    assert_eq!(broker.totals(&q).await.unwrap().sent, 54_000);
}

/// A subscription that breaks loses no result: it is made again, and what came meanwhile is found by looking.
#[tokio::test]
async fn a_lost_subscription_loses_no_result() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let worker = consumer(&broker, &[&q]).await;
    let batch: Vec<Outgoing> = (0..20).map(|_| outgoing(&q)).collect();
    broker.enqueue(&q, &batch, SEND).await.unwrap();
    let wanted = batch.iter().map(|m| Wanted {
        id: m.id,
        queue: None,
    });
    let mut watch = broker.watch(wanted.collect(), 60 * SECOND).await.unwrap();
    let finishing = async {
        for delivery in deliver(&worker, 20).await {
            drop(server.command("CLIENT KILL TYPE pubsub"));
            worker.finish(&q, vec![done(&delivery)]).await.unwrap();
        }
    };
    let waiting = async {
        let mut ids = std::collections::BTreeSet::new();
        while let Some(record) = watch.next().await.unwrap() {
            assert!(ids.insert(record.id), "each once");
        }
        ids.len()
    };
    let (answered, ()) = tokio::join!(waiting, finishing);
    assert_eq!(answered, 20);
    drop(watch);
    let until = Instant::now() + 30 * SECOND;
    while server.command("EXISTS taskq:{q}:waiters") != ":0" {
        assert!(Instant::now() < until, "waiters are left");
        tokio::time::sleep(SECOND / 100).await;
    }
}

/// A reader of a stream that sweeps emptied missed nothing; one of a stream that is another one did.
#[tokio::test]
async fn a_quiet_day_is_nothing_missed() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let worker = consumer(&broker, &[&q]).await;
    let (_, out) = named("t", 1);
    broker.enqueue(&q, &[out], SEND).await.unwrap();
    let read = broker
        .events(&EventPosition::oldest(), Duration::ZERO)
        .await;
    let read = read.unwrap();
    assert_eq!((read.events.len(), read.missed), (1, false));

    broker.advance(2 * DAY).await.unwrap();
    worker.sweep().await.unwrap();
    assert_eq!(server.command("XLEN taskq:{q}:events"), ":0");
    let quiet = broker.events(&read.next, Duration::ZERO).await.unwrap();
    assert_eq!((quiet.events.len(), quiet.missed), (0, false));
    let (_, out) = named("t", 1);
    broker.enqueue(&q, &[out], SEND).await.unwrap();
    // A key of another type is the trouble of its own queue.
    drop(server.command("SADD taskq:queues other"));
    drop(server.command("SET taskq:{other}:events 1"));
    let more = broker.events(&quiet.next, Duration::ZERO).await.unwrap();
    assert_eq!(more.events.len(), 1);

    drop(server.command("DEL taskq:{q}:events"));
    let lost = broker.events(&more.next, Duration::ZERO).await.unwrap();
    assert!(lost.missed);
}

/// However unevenly queues fill, their events come in the order of time, over all pages.
#[tokio::test]
async fn events_of_several_queues_come_in_order() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (one, two) = (queue("one"), queue("two"));
    for q in [&one, &two, &one] {
        for _ in 0..25 {
            let (_, out) = named("t", 1);
            broker.enqueue(q, &[out], SEND).await.unwrap();
        }
        // Without a gap no wrong order could be seen.
        tokio::time::sleep(SECOND / 200).await;
    }
    let mut position = EventPosition::oldest();
    let mut times = Vec::new();
    loop {
        let page = broker.events(&position, Duration::ZERO).await.unwrap();
        if page.events.is_empty() {
            break;
        }
        times.extend(page.events.iter().map(|event| event.at));
        position = page.next;
    }
    assert_eq!(times.len(), 75);
    assert!(times.is_sorted(), "{times:?}");
}

/// A pause of a queue that nobody has used yet is found.
#[tokio::test]
async fn a_paused_queue_is_listed() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    broker.pause(&queue("nobody"), "ana", "").await.unwrap();
    assert_eq!(broker.queues().await.unwrap(), [queue("nobody")]);
}

/// A worker whose connection broke while it ran takes its leave all the same.
#[tokio::test]
async fn a_broken_connection_hinders_no_leave() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let card = WorkerCard {
        id: "id-1".into(),
        node: "w1@host".into(),
        host: "host".into(),
        pid_space: String::new(),
        pid: 1,
        queues: vec![queue("q")],
        slots: 1,
        tasks: Vec::new(),
        started: 0,
        lease_ms: 60_000,
        version: "0".into(),
        active: 0,
        processed: 0,
        stopping: false,
        renewed: 0,
    };
    broker.register(&card, &[], 60 * SECOND).await.unwrap();
    drop(server.command("CLIENT KILL TYPE normal SKIPME yes"));
    broker.withdraw("id-1").await.unwrap();
    assert!(broker.workers().await.unwrap().is_empty());
}
