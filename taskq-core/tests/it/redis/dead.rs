//! The dead set and the search on Redis: sizes kept true, keys of a wrong type, a full server, places of many messages.

use taskq_core::broker::{Control, DeadHandle, MAX_SEARCHED, Place};

use super::*;

fn dead(delivery: &Delivery) -> Verdict {
    let end = End::Dead {
        state: State::Dead,
        reason: "no".into(),
    };
    let record = done(delivery).record.map(|r| Record {
        state: State::Dead,
        ..r
    });
    Verdict {
        end,
        record,
        ..done(delivery)
    }
}

/// Sends `n` messages and ends them as dead; answers their handles, newest first.
async fn bury(broker: &RedisBroker, at: &QueueName, n: usize) -> Vec<DeadHandle> {
    let batch: Vec<_> = (0..n).map(|_| outgoing(at)).collect();
    broker.enqueue(at, &batch, 30 * SECOND).await.unwrap();
    let worker = consumer(broker, &[at]).await;
    let got = deliver(&worker, n).await;
    let verdicts = got.iter().map(dead).collect();
    worker.finish(at, verdicts).await.unwrap();
    worker.close().await.unwrap();
    let dead = broker.dead(at, 0, 1_000).await.unwrap();
    dead.into_iter().map(|d| d.handle).collect()
}

/// `dead_bytes` is the size of what lies there, whatever leaves.
#[tokio::test]
async fn the_size_of_the_dead_set_is_kept_true() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("dead");
    let handles = bury(&broker, &at, 250).await;
    let eval = |script: &str| server.command(&format!("EVAL \"{script}\" 0"));
    let counted = || eval("return tonumber(redis.call('HGET', 'taskq:{dead}:meta', 'dead_bytes'))");
    let lies = || {
        eval(
            "local n = 0 for _, e in ipairs(redis.call('ZRANGE', 'taskq:{dead}:dead', 0, -1)) do n = n + #e end return n",
        )
    };
    assert_ne!(lies(), ":0");
    assert_eq!(counted(), lies());
    // More than one script takes.
    assert_eq!(broker.replay(&at, &handles[..120]).await.unwrap(), 120);
    assert_eq!(counted(), lies());
    assert_eq!(broker.discard(&at, &handles[100..240]).await.unwrap(), 120);
    assert_eq!(counted(), lies());
    assert_eq!(broker.discard(&at, &handles).await.unwrap(), 10);
    assert_eq!(counted(), lies());
    let depth = broker.depth(&at).await.unwrap();
    assert_eq!((depth.dead, depth.waiting), (0, 120));
}

/// A record of its own is gone when its bucket says QUEUED: readers ask both.
#[tokio::test]
async fn a_replay_leaves_no_second_record() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("dead");
    let handles = bury(&broker, &at, 1).await;
    let owns = || server.command("EVAL \"return #redis.call('KEYS', 'taskq:{dead}:record:*')\" 0");
    assert_eq!(owns(), ":1");
    assert_eq!(broker.replay(&at, &handles).await.unwrap(), 1);
    assert_eq!(owns(), ":0");
}

/// Another message of the same id may wait for a far time, under a record of its own alone: a replay is not that one's.
#[tokio::test]
async fn a_replay_leaves_a_record_under_way_alone() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("dead");
    let handles = bury(&broker, &at, 1).await;
    let body = broker.dead(&at, 0, 1).await.unwrap()[0].body.clone();
    let id = Message::decode(&body).unwrap().id;
    // What the first one left has run off, or was evicted.
    for key in server.keys() {
        if key.starts_with("taskq:{dead}:record:") || key.starts_with("taskq:{dead}:records:") {
            assert_eq!(server.command(&format!("DEL {key}")), ":1");
        }
    }
    let week = 7 * 24 * 3_600 * SECOND;
    let due = clock::now_ms() + u64::try_from(week.as_millis()).unwrap();
    let record = Record {
        due: Some(due),
        ..Record::new(id, "test.task", &at, State::Scheduled)
    };
    let again = Outgoing {
        id,
        body,
        due: Due::At(due),
        record: Some(record),
        ..outgoing(&at)
    };
    broker.enqueue(&at, &[again], SEND).await.unwrap();
    let second = id.created_second().unwrap();
    // Its bucket runs off long before it is due.
    let bucket = format!("HDEL taskq:{{dead}}:records:{second} {id}");
    assert_eq!(server.command(&bucket), ":1");
    assert_eq!(broker.replay(&at, &handles).await.unwrap(), 1);
    let stands = broker.record(id, Some(&at)).await.unwrap().unwrap();
    assert_eq!((stands.state, stands.due), (State::Scheduled, Some(due)));
}

/// A key of a wrong type is named, and nothing is moved.
#[tokio::test]
async fn a_mistyped_key_stops_a_replay_whole() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("dead");
    let handles = bury(&broker, &at, 2).await;
    for key in ["ready:9", "events", "totals", "records"] {
        let full = format!("taskq:{{dead}}:{key}");
        let is_there = server.command(&format!("RENAME {full} aside")) == "+OK";
        assert_eq!(server.command(&format!("SET {full} x")), "+OK");
        let error = broker.replay(&at, &handles).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongType, "{error}");
        assert!(error.to_string().contains(&full), "{error}");
        assert_eq!(server.command(&format!("DEL {full}")), ":1");
        if is_there {
            assert_eq!(server.command(&format!("RENAME aside {full}")), "+OK");
        }
        let depth = broker.depth(&at).await.unwrap();
        assert_eq!((depth.dead, depth.waiting), (2, 0), "{key}");
    }
    assert_eq!(broker.replay(&at, &handles).await.unwrap(), 2);
}

/// A full server takes no replay, whole, and lets the dead be dropped.
#[tokio::test]
async fn a_full_server_refuses_replays_and_drops_the_dead() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("dead");
    let handles = bury(&broker, &at, 2).await;
    server.set("maxmemory", "1");
    let error = broker.replay(&at, &handles).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let depth = broker.depth(&at).await.unwrap();
    assert_eq!((depth.dead, depth.waiting), (2, 0));
    assert_eq!(broker.discard(&at, &handles[..1]).await.unwrap(), 1);
    server.set("maxmemory", "0");
    assert_eq!(broker.replay(&at, &handles).await.unwrap(), 1);
}

/// What lies in the store of a session that is being given back is on its way.
#[tokio::test]
async fn what_is_being_given_back_is_found() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("orphan");
    let sent = outgoing(&at);
    broker
        .enqueue(&at, std::slice::from_ref(&sent), SEND)
        .await
        .unwrap();
    let worker = consumer(&broker, &[&at]).await;
    deliver(&worker, 1).await;
    let place = async || {
        let found = broker.find(&at, sent.id).await.unwrap();
        assert!(found.complete);
        found.place.map(|(place, _)| place)
    };
    assert_eq!(place().await, Some(Place::Held));
    let moved = "local s = redis.call('KEYS', 'taskq:{orphan}:session:*')[1] \
                 redis.call('RENAME', s, (string.gsub(s, ':session:', ':orphan:'))) return 1";
    assert_eq!(server.command(&format!("EVAL \"{moved}\" 0")), ":1");
    assert_eq!(place().await, Some(Place::Returning));
}

/// Messages of about a megabyte, sent to a queue.
async fn send_large(broker: &RedisBroker, at: &QueueName, n: usize, due: Due) {
    let padding = serde_json::value::to_raw_value(&["x".repeat(1_000_000)]).unwrap();
    for _ in 0..n {
        let mut message = Message::new("test.large");
        message.args = Some(padding.clone());
        let large = Outgoing {
            id: message.id,
            body: message.encode().unwrap().into(),
            due,
            record: None,
            ..outgoing(at)
        };
        broker.enqueue(at, &[large], 30 * SECOND).await.unwrap();
    }
}

/// What is due next is listed up to 16 MiB: behind that nothing is read.
#[tokio::test]
async fn a_list_of_what_is_due_ends_by_its_bytes() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("late");
    send_large(&broker, &at, 40, Due::In(3_600 * SECOND)).await;
    let listed = broker.delayed(&at, 1_000).await.unwrap();
    let bytes: usize = listed.iter().map(|d| d.body.len()).sum();
    assert!((16 << 20..20 << 20).contains(&bytes), "{bytes}");
    assert!(listed.is_sorted_by_key(|d| d.due));
    let seven = broker.delayed(&at, 7).await.unwrap();
    assert!(
        seven
            .iter()
            .map(|d| &d.body)
            .eq(listed[..7].iter().map(|d| &d.body))
    );
    assert!(broker.delayed(&at, 0).await.unwrap().is_empty());
}

/// What a session holds is looked through up to 64 MiB, and that is said.
#[tokio::test]
async fn a_search_in_a_session_ends_by_its_bytes_and_says_so() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("held");
    let worker = consumer(&broker, &[&at]).await;
    for (n, complete) in [(10, true), (80, false)] {
        send_large(&broker, &at, n, Due::Now).await;
        deliver(&worker, n).await;
        let found = broker.find(&at, TaskId::random()).await.unwrap();
        assert_eq!((found.place, found.complete), (None, complete), "{n}");
    }
}

/// Of more messages than the bound allows both ends are looked at, and what lies between is said to be unseen.
#[tokio::test]
async fn a_search_in_a_long_list_looks_at_both_ends_and_says_so() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("long");
    let mut ids = Vec::new();
    while ids.len() < MAX_SEARCHED + 2_000 {
        let batch: Vec<_> = (0..999)
            .map(|_| Outgoing {
                record: None,
                ..outgoing(&at)
            })
            .collect();
        broker.enqueue(&at, &batch, 30 * SECOND).await.unwrap();
        ids.extend(batch.iter().map(|out| out.id));
    }
    let last = ids.len() - 1;
    for n in [
        0,
        7,
        MAX_SEARCHED / 2 - 1,
        last - MAX_SEARCHED / 2 + 1,
        last,
    ] {
        let found = broker.find(&at, ids[n]).await.unwrap();
        let ahead = n as u64;
        assert_eq!(
            found.place.map(|(place, _)| place),
            Some(Place::Waiting { ahead }),
            "{n}"
        );
    }
    for n in [MAX_SEARCHED / 2, last - MAX_SEARCHED / 2] {
        let found = broker.find(&at, ids[n]).await.unwrap();
        assert!(found.place.is_none() && !found.complete, "{n}");
    }
}

/// Large messages are looked through a part at a time, in the delayed set too.
#[tokio::test]
async fn a_search_among_large_messages_finds_each() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let at = queue("large");
    let mut ids = Vec::new();
    for n in 0..130_u64 {
        let mut message = Message::new("test.task");
        message.headers.insert("pad".into(), "x".repeat(50_000));
        let out = Outgoing {
            id: message.id,
            body: message.encode().unwrap().into(),
            due: Due::At(4_000_000_000_000 + n),
            record: None,
            ..outgoing(&at)
        };
        broker.enqueue(&at, &[out], 30 * SECOND).await.unwrap();
        ids.push(message.id);
    }
    for (n, id) in ids.iter().enumerate().step_by(43) {
        let found = broker.find(&at, *id).await.unwrap();
        let due = 4_000_000_000_000 + n as u64;
        assert!(found.complete);
        assert_eq!(
            found.place.map(|(place, _)| place),
            Some(Place::Delayed { due })
        );
    }
}
