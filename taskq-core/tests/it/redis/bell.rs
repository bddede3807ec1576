//! The bell: who wakes, when, and what an idle process costs. Judged by what the server was asked, and when, by its clock.

use private_redis::{Monitor, Request};
use taskq_core::broker::Control;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;

/// A block lasts this long if nothing ends it.
pub(super) const BLOCK_US: u64 = 1_000_000;

fn is_claim(request: &Request) -> bool {
    let key = |i: usize| request.words.get(i).map_or("", String::as_str);
    request.is("EVALSHA") && key(3).contains(":session:") && key(5).ends_with(":suspects")
}

fn is_enqueue(request: &Request) -> bool {
    request.is("EVALSHA")
        && request
            .words
            .get(3)
            .is_some_and(|k| k.contains(":producer:"))
}

pub(super) fn is_wait(request: &Request) -> bool {
    request.is("BZPOPMIN")
}

/// How long a wait may last by itself.
fn limit_us(wait: &Request) -> u64 {
    let seconds: f64 = wait.words.last().unwrap().parse().unwrap();
    Duration::from_secs_f64(seconds)
        .as_micros()
        .try_into()
        .unwrap()
}

/// The wait that ended at `at_us` or was under way then, of the connection that this claim came through.
fn wait_before<'a>(requests: &'a [Request], client: &str, at_us: u64) -> &'a Request {
    let mut waits = requests.iter().filter(|r| is_wait(r) && r.client == client);
    waits.rfind(|r| r.at_us <= at_us).expect("a wait")
}

pub(super) async fn blocked(server: &RedisServer, n: usize) {
    let wanted = format!("blocked_clients:{n}\r");
    until(|| info(server, "clients").contains(&wanted)).await;
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + 30 * SECOND;
    while !is_so() {
        assert!(Instant::now() < until, "it did not come to that");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn info(server: &RedisServer, section: &str) -> String {
    let mut text = String::new();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let ask = format!("INFO {section}\r\nQUIT\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Claims one message, however long it takes.
pub(super) fn one(consumer: &Arc<dyn Consumer>) -> JoinHandle<Delivery> {
    let consumer = consumer.clone();
    tokio::spawn(async move { deliver(&consumer, 1).await.remove(0) })
}

/// Runs whatever comes, one at a time, and tells of it.
fn serve(consumer: Arc<dyn Consumer>, told: mpsc::UnboundedSender<Delivery>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while !told.is_closed() {
            for delivery in consumer.claim(1, SECOND).await.unwrap() {
                let verdicts = vec![done(&delivery)];
                consumer.finish(&delivery.queue, verdicts).await.unwrap();
                drop(told.send(delivery));
            }
        }
    })
}

/// What came while a round of a test went on, and the connections that waited when its message was sent.
struct Woken {
    requests: Vec<Request>,
    sent_us: u64,
}

impl Woken {
    /// Judges from the first send after `since` on.
    fn since(monitor: &Monitor, since: usize) -> Self {
        let requests = monitor.requests();
        let sent = requests[since..]
            .iter()
            .find(|r| is_enqueue(r))
            .expect("a send");
        let sent_us = sent.at_us;
        Self { requests, sent_us }
    }

    /// The waits that were under way when the message was sent.
    fn waits(&self) -> Vec<&Request> {
        let mut last: std::collections::BTreeMap<&str, &Request> = Default::default();
        let earlier = self.requests.iter().filter(|r| r.at_us <= self.sent_us);
        for wait in earlier.filter(|r| is_wait(r)) {
            last.insert(&wait.client, wait);
        }
        last.into_values().collect()
    }

    /// Whether all waits were young when it was sent: only then does it prove something that they ended before their time.
    fn proves(&self) -> bool {
        let young = |wait: &&Request| self.sent_us - wait.at_us < BLOCK_US / 2;
        self.waits().iter().all(young)
    }
}

#[tokio::test]
async fn one_message_wakes_one_of_ten() {
    const SENT: usize = 50;
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let (told, mut came) = mpsc::unbounded_channel();
    for _ in 0..10 {
        serve(consumer(&broker, &[&q]).await, told.clone());
    }
    blocked(&server, 10).await;
    let monitor = server.monitor();
    for _ in 0..SENT {
        broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
        came.recv().await.unwrap();
    }
    let requests = monitor.requests();
    let first = requests.iter().find(|r| is_enqueue(r)).unwrap().at_us;
    let took_us = requests.last().unwrap().at_us - first;
    // Each asks by itself once a second.
    let by_themselves = 10 * usize::try_from(took_us / BLOCK_US + 1).unwrap();
    let claims = requests.iter().filter(|r| is_claim(r)).count();
    let waits = requests.iter().filter(|r| is_wait(r)).count();
    assert!(claims >= SENT, "{claims} claims are not all");
    // The one that wakes claims once: the answer says that there is no more.
    assert!(
        claims <= SENT + by_themselves,
        "{claims} claims in {took_us} µs"
    );
    assert!(
        waits <= SENT + by_themselves,
        "{waits} waits in {took_us} µs"
    );
}

/// What is due later wakes one as well, and not all that could know of it.
#[tokio::test]
async fn what_is_due_wakes_one_of_ten() {
    const SENT: usize = 60;
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let (told, mut came) = mpsc::unbounded_channel();
    for _ in 0..10 {
        serve(consumer(&broker, &[&q]).await, told.clone());
    }
    blocked(&server, 10).await;
    let monitor = server.monitor();
    // Over a time in which each has asked by itself, and could have been told.
    let spread = (1..=SENT as u64).map(|i| Outgoing {
        due: Due::In(Duration::from_millis(50 * i)),
        ..outgoing(&q)
    });
    let batch: Vec<Outgoing> = spread.collect();
    broker.enqueue(&q, &batch, SEND).await.unwrap();
    for _ in 0..SENT {
        came.recv().await.unwrap();
    }
    let requests = monitor.requests();
    let first = requests.iter().find(|r| is_enqueue(r)).unwrap().at_us;
    let took_us = requests.last().unwrap().at_us - first;
    let by_themselves = 10 * usize::try_from(took_us / BLOCK_US + 1).unwrap();
    let claims = requests.iter().filter(|r| is_claim(r)).count();
    println!("{claims} claims in {took_us} µs");
    assert!(claims >= SENT, "{claims} claims are not all");
    // The one that wakes claims it and is full; the next is woken to wake for the one after; the first asks again.
    assert!(
        claims <= 4 * SENT + by_themselves,
        "{claims} claims in {took_us} µs"
    );
}

/// A claim that leaves messages behind rings on: each of ten is woken by it, none by the second after which it asks.
#[tokio::test]
async fn a_batch_wakes_one_for_each_message() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let mut consumers = Vec::new();
    for _ in 0..10 {
        consumers.push(consumer(&broker, &[&q]).await);
    }
    let monitor = server.monitor();
    for _ in 0..20 {
        let since = monitor.requests().len();
        let claims: Vec<_> = consumers.iter().map(one).collect();
        blocked(&server, 10).await;
        let batch: Vec<Outgoing> = (0..10).map(|_| outgoing(&q)).collect();
        broker.enqueue(&q, &batch, SEND).await.unwrap();
        for (claim, consumer) in claims.into_iter().zip(&consumers) {
            let delivery = claim.await.unwrap();
            consumer.finish(&q, vec![done(&delivery)]).await.unwrap();
        }
        let woken = Woken::since(&monitor, since);
        if !woken.proves() {
            continue;
        }
        assert_eq!(woken.waits().len(), 10);
        for wait in woken.waits() {
            let after = |r: &&Request| r.at_us >= woken.sent_us && r.client == wait.client;
            let claim = woken.requests.iter().filter(after).find(|r| is_claim(r));
            let waited = claim.unwrap().at_us - wait.at_us;
            assert!(waited < BLOCK_US, "one slept on for {waited} µs");
        }
        return;
    }
    panic!("the machine is too slow to prove anything");
}

/// Whether a claim of `delivery` came before those who waited, when it was sent, would have asked by themselves.
fn came_in_time(woken: &Woken, delivery: &Delivery) -> bool {
    let first = woken.waits().iter().map(|w| w.at_us).min().unwrap();
    assert!(delivery.claimed_at >= woken.sent_us / 1000);
    delivery.claimed_at < (first + BLOCK_US) / 1000
}

/// What becomes the earliest of the delayed set ends a block that would have lasted longer.
///
/// A slow machine may miss its time; without the ring it could not be met once.
#[tokio::test]
async fn an_eta_before_all_others_wakes_the_block() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let monitor = server.monitor();
    let later = |ms| Outgoing {
        due: Due::In(Duration::from_millis(ms)),
        ..outgoing(&q)
    };
    broker.enqueue(&q, &[later(3_600_000)], SEND).await.unwrap();
    for _ in 0..20 {
        let since = monitor.requests().len();
        let claim = one(&consumer);
        blocked(&server, 1).await;
        broker.enqueue(&q, &[later(100)], SEND).await.unwrap();
        let delivery = claim.await.unwrap();
        consumer.finish(&q, vec![done(&delivery)]).await.unwrap();
        let woken = Woken::since(&monitor, since);
        let due = woken.sent_us / 1000 + 100;
        assert!(delivery.claimed_at >= due, "it came before its time");
        if woken.proves() && came_in_time(&woken, &delivery) {
            return;
        }
    }
    panic!("it never came before its consumer asked by itself");
}

/// A retry that is due in 30 ms is claimed then by the worker that waits, and not when an idle server looks at its blocks.
#[tokio::test]
async fn a_retry_in_30_ms_comes_in_time() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
    let mut delivery = deliver(&consumer, 1).await.remove(0);
    let mut late = Vec::new();
    // An idle server ends blocks 100 ms after each other: of ten in a row by chance two are in time. A busy machine may be
    // late for more than one.
    let in_time = |late: &[u64]| late.iter().rev().take(10).filter(|ms| **ms < 20).count();
    while in_time(&late) < 8 {
        assert!(late.len() < 300, "late by so many ms: {late:?}");
        let claim = one(&consumer);
        blocked(&server, 1).await;
        let after = Duration::from_millis(30);
        let retry = Verdict {
            end: End::Retry {
                after,
                body: delivery.body.clone(),
            },
            record: None,
            ..done(&delivery)
        };
        let monitor = server.monitor();
        consumer.finish(&q, vec![retry]).await.unwrap();
        delivery = claim.await.unwrap();
        let requests = monitor.requests();
        let finish = requests
            .iter()
            .find(|r| r.is("EVALSHA") && r.names(":dead"));
        let due = finish.unwrap().at_us / 1000 + 30;
        assert!(delivery.claimed_at >= due, "it came before its time");
        late.push(delivery.claimed_at - due);
    }
}

/// Who fills up leaves what is due soon to somebody who may not know of it: both by one claim, and over two queues.
#[tokio::test]
async fn what_is_due_soon_is_not_left_to_one_who_is_full() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (a, b) = (queue("a"), queue("b"));
    let first = consumer(&broker, &[&a, &b]).await;
    let second = consumer(&broker, &[&a]).await;
    let monitor = server.monitor();
    let soon = || Outgoing {
        due: Due::In(Duration::from_millis(200)),
        ..outgoing(&a)
    };
    for beside in [&a, &b] {
        let mut rounds = 0;
        loop {
            rounds += 1;
            assert!(rounds < 20, "beside {beside} it never came in time");
            let since = monitor.requests().len();
            let busy = one(&first);
            blocked(&server, 1).await;
            let idle = one(&second);
            blocked(&server, 2).await;
            if beside == &a {
                let both = [outgoing(&a), soon()];
                broker.enqueue(&a, &both, SEND).await.unwrap();
            } else {
                broker.enqueue(&a, &[soon()], SEND).await.unwrap();
                blocked(&server, 2).await;
                broker.enqueue(&b, &[outgoing(&b)], SEND).await.unwrap();
            }
            let (busy, idle) = (busy.await.unwrap(), idle.await.unwrap());
            first.finish(&busy.queue, vec![done(&busy)]).await.unwrap();
            second.finish(&a, vec![done(&idle)]).await.unwrap();
            let woken = Woken::since(&monitor, since);
            let delayed = Message::decode(&idle.body).unwrap().id;
            if woken.proves() && busy.queue == *beside && came_in_time(&woken, &idle) {
                assert_ne!(delayed, Message::decode(&busy.body).unwrap().id);
                break;
            }
        }
    }
}

/// A ring for a queue that its taker has no room to ask any more is rung again for others.
#[tokio::test]
async fn a_ring_that_is_not_followed_is_rung_on() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (a, b) = (queue("a"), queue("b"));
    let first = consumer(&broker, &[&a, &b]).await;
    let second = consumer(&broker, &[&a]).await;
    let monitor = server.monitor();
    let mut proofs = 0;
    for _ in 0..40 {
        let since = monitor.requests().len();
        let busy = one(&first);
        blocked(&server, 1).await;
        let idle = one(&second);
        blocked(&server, 2).await;
        // The one that takes the ring of a finds this, if it asks b.
        let foreign = outgoing(&b).body;
        broker.push_raw(&b, 0, &foreign).await.unwrap();
        broker.enqueue(&a, &[outgoing(&a)], SEND).await.unwrap();
        let (busy, idle) = match busy.await.unwrap() {
            busy if busy.queue == b => (busy, idle.await.unwrap()),
            took_a => {
                // It had asked a, whose ring it took: a second message ends the round.
                first.finish(&a, vec![done(&took_a)]).await.unwrap();
                broker.enqueue(&a, &[outgoing(&a)], SEND).await.unwrap();
                (deliver(&first, 1).await.remove(0), idle.await.unwrap())
            }
        };
        first.finish(&busy.queue, vec![done(&busy)]).await.unwrap();
        second.finish(&a, vec![done(&idle)]).await.unwrap();
        let woken = Woken::since(&monitor, since);
        let after: Vec<_> = woken
            .requests
            .iter()
            .filter(|r| r.at_us >= woken.sent_us)
            .collect();
        let one_send = after.iter().filter(|r| is_enqueue(r)).count() == 1;
        if one_send && woken.proves() {
            assert!(came_in_time(&woken, &idle), "the ring was lost");
            proofs += 1;
        }
        if proofs == 3 {
            return;
        }
    }
    panic!("only {proofs} rounds proved anything");
}

/// Messages left behind ring; suspects that may not come along do not, but the end of the one that runs does, and so does
/// one that is given back.
#[tokio::test]
async fn what_is_left_behind_rings_unless_it_may_not_come() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    let rung = || server.command("ZCARD taskq:{q}:bell") == ":1";
    let still = || server.command("DEL taskq:{q}:bell");
    broker
        .enqueue(&q, &[outgoing(&q), outgoing(&q)], SEND)
        .await
        .unwrap();
    still();
    let left = consumer.claim(1, Duration::ZERO).await.unwrap();
    assert!(rung(), "a message was left behind");
    still();
    let last = consumer.claim(1, Duration::ZERO).await.unwrap();
    assert!(!rung(), "nothing was left behind");
    consumer
        .finish(&q, vec![done(&left[0]), done(&last[0])])
        .await
        .unwrap();
    for _ in 0..2 {
        let message = Message::new("test.task").encode().unwrap();
        let marked = format!("02{}", String::from_utf8(message).unwrap()).replace('"', "\\\"");
        let pushed = server.command(&format!("LPUSH taskq:{{q}}:suspects \"{marked}\""));
        assert!(pushed.starts_with(':'), "{pushed}");
    }
    let suspect = consumer.claim(5, Duration::ZERO).await.unwrap();
    assert_eq!(suspect.len(), 1);
    assert!(!rung(), "the suspect left behind may not come");
    consumer.finish(&q, vec![done(&suspect[0])]).await.unwrap();
    assert!(rung(), "the permit is free");
    still();
    let held = consumer.claim(1, Duration::ZERO).await.unwrap();
    assert!(held[0].suspect);
    consumer.close().await.unwrap();
    let heir = super::consumer(&broker, &[&q]).await;
    let until = Instant::now() + 60 * SECOND;
    while !rung() {
        assert!(Instant::now() < until, "what was given back did not ring");
        heir.beat().await.unwrap();
        heir.sweep().await.unwrap();
        broker.advance(2 * SECOND).await.unwrap();
        still();
        heir.beat().await.unwrap();
        heir.sweep().await.unwrap();
    }
}

/// A paused queue with a backlog and a producer that rings all the time is asked once a second and wakes nobody, while the
/// other queue of the same process is served when its bell rings.
#[tokio::test]
async fn a_paused_queue_costs_one_request_a_second() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let (paused, other) = (queue("paused"), queue("other"));
    let (told, mut came) = mpsc::unbounded_channel();
    broker.pause(&paused, "ana", "stock-taking").await.unwrap();
    serve(consumer(&broker, &[&paused, &other]).await, told);
    let monitor = server.monitor();
    let producer = broker.another().unwrap();
    let (mut served, mut in_time) = (0, 0);
    let requests = loop {
        for _ in 0..20 {
            producer
                .enqueue(&paused, &[outgoing(&paused)], SEND)
                .await
                .unwrap();
            tokio::time::sleep(SECOND / 100).await;
        }
        broker
            .enqueue(&other, &[outgoing(&other)], SEND)
            .await
            .unwrap();
        let delivery = came.recv().await.unwrap();
        assert_eq!(delivery.queue, other);
        served += 1;
        let requests = monitor.requests();
        let sent = requests.iter().rfind(|r| is_enqueue(r)).unwrap();
        let claims = requests.iter().filter(|r| is_claim(r));
        let claim = claims.clone().find(|r| r.at_us >= sent.at_us).unwrap();
        let wait = wait_before(&requests, &claim.client, sent.at_us);
        in_time += usize::from(claim.at_us - wait.at_us < limit_us(wait));
        let took_us = requests.last().unwrap().at_us - requests[0].at_us;
        if took_us > 4 * BLOCK_US {
            break requests;
        }
    };
    let took_us = requests.last().unwrap().at_us - requests[0].at_us;
    let by_itself = usize::try_from(took_us / BLOCK_US + 2).unwrap();
    let of_paused = requests
        .iter()
        .filter(|r| is_claim(r) && r.names("{paused}:suspects"));
    let of_paused = of_paused.count();
    assert!(of_paused >= 2, "it is not asked");
    assert!(of_paused <= by_itself, "{of_paused} claims in {took_us} µs");
    // One wait more for each message of the other queue, and for each second.
    let waits = requests.iter().filter(|r| is_wait(r)).count();
    assert!(
        waits <= served + 2 * by_itself,
        "{waits} waits in {took_us} µs, {served} served"
    );
    assert!(in_time > 0, "the other queue is not served at its bell");
    let depth = broker.depth(&paused).await.unwrap();
    assert_eq!((depth.waiting, depth.in_flight), (20 * served as u64, 0));
}

/// A resumption wakes every worker that waits, not only those that come to ask.
#[tokio::test]
async fn a_resumption_wakes_all() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let mut consumers = Vec::new();
    for _ in 0..3 {
        consumers.push(consumer(&broker, &[&q]).await);
    }
    let monitor = server.monitor();
    for _ in 0..20 {
        broker.pause(&q, "ana", "stock-taking").await.unwrap();
        let batch: Vec<Outgoing> = (0..3).map(|_| outgoing(&q)).collect();
        broker.enqueue(&q, &batch, SEND).await.unwrap();
        let claims: Vec<_> = consumers.iter().map(one).collect();
        blocked(&server, 3).await;
        let before = monitor.requests().len();
        assert!(broker.resume(&q).await.unwrap());
        for (claim, consumer) in claims.into_iter().zip(&consumers) {
            let delivery = claim.await.unwrap();
            consumer.finish(&q, vec![done(&delivery)]).await.unwrap();
        }
        let requests = monitor.requests();
        let resume = requests[before..]
            .iter()
            .find(|r| r.names("{q}:resumed") && !is_wait(r));
        let resumed_us = resume.unwrap().at_us;
        let mut woken = 0;
        for claim in requests
            .iter()
            .filter(|r| is_claim(r) && r.at_us > resumed_us)
        {
            let wait = wait_before(&requests, &claim.client, resumed_us);
            let first = !requests.iter().any(|r| {
                is_claim(r)
                    && r.client == claim.client
                    && (resumed_us..claim.at_us).contains(&r.at_us)
            });
            woken += usize::from(first && claim.at_us - wait.at_us < limit_us(wait));
        }
        if woken == 3 {
            assert!(
                !broker.resume(&q).await.unwrap(),
                "it is not paused any more"
            );
            return;
        }
    }
    panic!("they always asked by themselves");
}

/// A pause outlives workers and forgotten scripts, tells who, why and since when, and keeps what is due where it is.
#[tokio::test]
async fn a_pause_stays() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let before = taskq_core::clock::now_ms();
    broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
    let soon = Outgoing {
        due: Due::In(Duration::from_millis(1)),
        ..outgoing(&q)
    };
    broker.enqueue(&q, &[soon], SEND).await.unwrap();
    let first = consumer(&broker, &[&q]).await;
    broker.pause(&q, "ana", "the \"big\" truck").await.unwrap();
    broker.advance(SECOND).await.unwrap();
    for _ in 0..3 {
        assert!(first.claim(5, Duration::ZERO).await.unwrap().is_empty());
        assert_eq!(server.command("SCRIPT FLUSH"), "+OK");
    }
    first.close().await.unwrap();
    let second = consumer(&broker, &[&q]).await;
    assert!(second.claim(5, SECOND).await.unwrap().is_empty());
    let depth = broker.depth(&q).await.unwrap();
    assert_eq!((depth.waiting, depth.delayed, depth.in_flight), (1, 1, 0));
    let paused = depth.paused.unwrap();
    assert_eq!(
        (paused.by.as_str(), paused.reason.as_str()),
        ("ana", "the \"big\" truck")
    );
    assert!(paused.since >= before, "{paused:?}");
    assert!(broker.resume(&q).await.unwrap());
    assert_eq!(second.claim(5, Duration::ZERO).await.unwrap().len(), 2);
    assert_eq!(broker.depth(&q).await.unwrap().paused, None);
    let long = "x".repeat(1025);
    let error = broker.pause(&q, "ana", &long).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

/// What is claimed already is finished while its queue is paused, and answered again if the reply was lost.
#[tokio::test]
async fn a_pause_takes_nothing_away() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
    let mut held = deliver(&consumer, 1).await;
    broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
    // What a claim does whose reply is lost.
    let unheard = "EVAL \"local s=redis.call('KEYS','taskq:{q}:session:*')[1] \
        return redis.call('HSET',s,'c',2,2001,'00'..redis.call('RPOP','taskq:{q}:ready'))\" 0";
    assert_eq!(server.command(unheard), ":1");
    broker.pause(&q, "ana", "").await.unwrap();
    held.extend(consumer.claim(1, Duration::ZERO).await.unwrap());
    assert_eq!(held.len(), 2);
    let finished = consumer.finish(&q, held.iter().map(done).collect()).await;
    assert_eq!(finished.unwrap().applied, 2);
    assert_eq!(broker.depth(&q).await.unwrap().in_flight, 0);
}

/// A full server can be paused and resumed: that is when operators want to.
#[tokio::test]
async fn a_full_server_can_be_paused() {
    let server = RedisServer::start();
    let broker = RedisBroker::new(&server.url()).unwrap();
    let q = queue("q");
    let consumer = consumer(&broker, &[&q]).await;
    broker.enqueue(&q, &[outgoing(&q)], SEND).await.unwrap();
    assert_eq!(server.command("CONFIG SET maxmemory 1"), "+OK");
    broker.pause(&q, "ana", "full").await.unwrap();
    assert!(consumer.claim(1, Duration::ZERO).await.unwrap().is_empty());
    assert!(broker.resume(&q).await.unwrap());
    let got = deliver(&consumer, 1).await;
    assert_eq!(
        consumer
            .finish(&q, vec![done(&got[0])])
            .await
            .unwrap()
            .applied,
        1
    );
}
