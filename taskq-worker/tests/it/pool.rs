//! Queues and slots that change while the worker runs, in one process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use taskq_worker::broker::memory::MemoryBroker;
use taskq_worker::broker::{Broker, Control, Due, Inspect, Outgoing, Results};
use taskq_worker::control::{Command, Done, Request, Stats};
use taskq_worker::{Message, QueueName, Record, State, TaskId};

use crate::bench::{Bench, celery, until};
use crate::flaky::Flaky;
use crate::gate::{Gate, HELD};

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

/// Has the worker do what it is told, however often it has to be asked.
async fn told(broker: &MemoryBroker, command: Command) -> Done {
    serde_json::from_value(answer(broker, command).await).unwrap()
}

async fn answer(broker: &MemoryBroker, command: Command) -> Value {
    // Until it has begun to listen nobody answers; what is told once must not be told twice.
    until(async || ask(broker, Command::Ping).await).await;
    ask(broker, command).await.expect("an answer")
}

async fn ask(broker: &MemoryBroker, command: Command) -> Option<Value> {
    let patience = Duration::from_secs(if command == Command::Ping { 1 } else { 20 });
    let request = Request {
        id: TaskId::random().to_string(),
        reply_to: String::new(),
        destination: Vec::new(),
        command,
    };
    let mut replies = broker.ask(request).await.unwrap();
    let reply = tokio::time::timeout(patience, replies.next()).await.ok()?;
    Some(reply.unwrap().body)
}

async fn add(broker: &MemoryBroker, name: &str, weight: u32) -> Done {
    let queue = queue(name);
    told(broker, Command::AddConsumer { queue, weight }).await
}

async fn cancel(broker: &MemoryBroker, name: &str) -> Done {
    let queue = queue(name);
    told(broker, Command::CancelConsumer { queue }).await
}

fn ok(text: &str) -> Done {
    Done::Ok(text.to_owned())
}

fn error(text: &str) -> Done {
    Done::Error(text.to_owned())
}

async fn send_to(broker: &MemoryBroker, name: &str) -> TaskId {
    let (message, queue) = (Message::new("held"), queue(name));
    let record = Record::new(message.id, &message.task, &queue, State::Queued);
    let outgoing = Outgoing {
        id: message.id,
        body: message.encode().unwrap().into(),
        priority: 0,
        due: Due::Now,
        record: Some(record),
        once: None,
        event: None,
    };
    let at_once = Duration::ZERO;
    broker.enqueue(&queue, &[outgoing], at_once).await.unwrap();
    message.id
}

async fn card_is(broker: &MemoryBroker, queues: &[&str], slots: usize) {
    until(async || {
        let card = broker.workers().await.unwrap().pop()?;
        let names: Vec<_> = card.queues.iter().map(QueueName::as_str).collect();
        (names == queues && card.slots == slots).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_queue_can_be_added_weighed_and_cancelled() {
    let gate = Gate::default();
    // The lease is long: the card is renewed by what changes alone.
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).lease(Duration::from_secs(600))
    });
    let waiting = send_to(&bench.broker, "geo").await;
    assert_eq!(
        add(&bench.broker, "geo", 3).await,
        ok("takes from geo now, all in all from celery=1, geo=3")
    );
    gate.runs(1).await;
    card_is(&bench.broker, &["celery", "geo"], 8).await;
    let stats: Stats = serde_json::from_value(answer(&bench.broker, Command::Stats).await).unwrap();
    assert_eq!(stats.queues, ["celery", "geo"]);
    assert_eq!(
        add(&bench.broker, "geo", 3).await,
        ok("takes from geo already, all in all from celery=1, geo=3")
    );
    assert_eq!(
        add(&bench.broker, "geo", 1).await,
        ok("the weight of geo is 1 now, it was 3: celery, geo")
    );
    assert_eq!(
        cancel(&bench.broker, "geo").await,
        ok("takes nothing more from geo, what it holds of it runs on: it takes from celery")
    );
    card_is(&bench.broker, &["celery"], 8).await;
    let left = send_to(&bench.broker, "geo").await;
    let other = bench.send(Message::new("held")).await;
    gate.runs(2).await;
    gate.let_go(2);
    for id in [waiting, other] {
        assert_eq!(bench.end_of(id).await.state, State::Success);
    }
    assert_eq!(
        cancel(&bench.broker, "geo").await,
        error("it did not take from geo: it takes from celery")
    );
    // And back again.
    let record = bench.broker.record(left, None).await.unwrap().unwrap();
    assert_eq!(record.state, State::Queued);
    gate.let_go(1);
    assert!(matches!(add(&bench.broker, "geo", 1).await, Done::Ok(_)));
    assert_eq!(bench.end_of(left).await.state, State::Success);
}

#[tokio::test]
async fn a_worker_without_a_queue_waits_for_one() {
    let gate = Gate::default();
    gate.let_go(1);
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.state(gate.clone()));
    assert_eq!(
        cancel(&bench.broker, "celery").await,
        ok(
            "takes nothing more from celery, what it holds of it runs on: it takes from no queue at all now"
        )
    );
    card_is(&bench.broker, &[], 8).await;
    let id = bench.send(Message::new("held")).await;
    assert!(matches!(add(&bench.broker, "celery", 1).await, Done::Ok(_)));
    assert_eq!(bench.end_of(id).await.state, State::Success);
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_weight_has_its_bounds_and_says_nothing_in_strict_order() {
    let bench = Bench::start(&[&HELD]);
    for weight in [0, 1_001] {
        let said = format!("the weight of the queue geo is {weight}, it goes from 1 to 1000");
        assert_eq!(add(&bench.broker, "geo", weight).await, error(&said));
    }
    let strict = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.strict(true));
    assert_eq!(
        add(&strict.broker, "geo", 2).await,
        error(
            "this worker serves its queues in strict order, a weight says nothing to it: add geo without one, it comes last"
        )
    );
    assert_eq!(
        add(&strict.broker, "geo", 1).await,
        ok("takes from geo now, all in all from celery, geo")
    );
}

#[tokio::test]
async fn with_the_broker_away_no_queue_comes_in_addition_and_one_can_be_left() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    let bench = Bench::at(&flaky, &[&HELD], |b| b);
    faults.refuses_queues.store(true, Ordering::SeqCst);
    assert_eq!(
        add(&bench.broker, "geo", 1).await,
        error("geo is not taken from: nobody at test:1")
    );
    assert_eq!(
        cancel(&bench.broker, "celery").await,
        ok(
            "takes nothing more from celery, what it holds of it runs on: it takes from no queue at all now; its session there is closed later: nobody at test:1"
        )
    );
    card_is(&bench.broker, &[], 8).await;
    faults.refuses_queues.store(false, Ordering::SeqCst);
    assert!(matches!(add(&bench.broker, "geo", 1).await, Done::Ok(_)));
    card_is(&bench.broker, &["geo"], 8).await;
    assert_eq!(
        cancel(&bench.broker, "celery").await,
        error("it did not take from celery: it takes from geo")
    );
}

/// Orders that change the queues have their turns; one that waits too long for its own does nothing, and says so.
#[tokio::test]
async fn an_order_whose_turn_does_not_come_is_refused() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    let bench = Bench::at(&flaky, &[&HELD], |b| b);
    faults.hold_queues.store(true, Ordering::SeqCst);
    let refused = "another order that changes its queues is still under way, nothing was done about celery: ask again";
    let (first, ()) = tokio::join!(add(&bench.broker, "geo", 1), async {
        until(async || (faults.queues_held.load(Ordering::SeqCst) == 1).then_some(())).await;
        assert_eq!(cancel(&bench.broker, "celery").await, error(refused));
        faults.hold_queues.store(false, Ordering::SeqCst);
    });
    assert_eq!(first, ok("takes from geo now, all in all from celery, geo"));
    card_is(&bench.broker, &["celery", "geo"], 8).await;
}

/// Its consumer had left it before, and the answer to that got lost: it is noted all the same.
#[tokio::test]
async fn a_queue_that_was_left_already_is_noted_as_left() {
    let flaky = Flaky::default();
    let faults = Arc::clone(&flaky.faults);
    let bench = Bench::at(&flaky, &[&HELD], |b| b.queues(["celery", "geo"]));
    faults.denies_queues.store(true, Ordering::SeqCst);
    let left = "takes nothing more from geo, what it holds of it runs on: it takes from celery";
    assert_eq!(cancel(&bench.broker, "geo").await, ok(left));
    card_is(&bench.broker, &["celery"], 8).await;
    let not = "it did not take from geo: it takes from celery";
    assert_eq!(cancel(&bench.broker, "geo").await, error(not));
}

#[tokio::test]
async fn slots_grow_and_shrink() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone())
            .concurrency(2)
            .lease(Duration::from_secs(600))
    });
    for _ in 0..12 {
        bench.send(Message::new("held")).await;
    }
    gate.runs(2).await;
    assert_eq!(
        told(&bench.broker, Command::PoolGrow { n: 3 }).await,
        ok("runs up to 5 tasks at once now, it was 2")
    );
    gate.runs(5).await;
    card_is(&bench.broker, &["celery"], 5).await;
    let depth = bench.broker.depth(&celery()).await.unwrap();
    assert_eq!((depth.in_flight, depth.waiting), (5, 7));
    assert_eq!(
        told(&bench.broker, Command::PoolShrink { n: 3 }).await,
        ok(
            "runs up to 2 tasks at once now, it was 5; 5 run right now, and none begins before fewer do"
        )
    );
    card_is(&bench.broker, &["celery"], 2).await;
    // Three end and nothing begins in their place; for the fourth something does.
    gate.let_go(3);
    gate.runs(2).await;
    gate.let_go(1);
    until(async || (gate.begun() == 6).then_some(())).await;
    gate.runs(2).await;
    let depth = bench.broker.depth(&celery()).await.unwrap();
    assert_eq!((gate.begun(), depth.in_flight, depth.waiting), (6, 2, 6));
    gate.let_go(8);
    until(async || (gate.begun() == 12).then_some(())).await;
    assert_eq!(gate.most(), 5);
}

/// A worker that waits for messages has asked for as many as it had slots: that claim counts no more.
#[tokio::test]
async fn an_idle_worker_shrinks_at_once() {
    let gate = Gate::default();
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).concurrency(40)
    });
    for round in 1..=5 {
        assert_eq!(
            told(&bench.broker, Command::PoolShrink { n: 37 }).await,
            ok("runs up to 3 tasks at once now, it was 40")
        );
        for _ in 0..10 {
            bench.send(Message::new("held")).await;
        }
        gate.runs(3).await;
        gate.let_go(10);
        until(async || (gate.begun() == 10 * round && gate.running() == 0).then_some(())).await;
        assert_eq!(gate.most(), 3);
        told(&bench.broker, Command::PoolGrow { n: 37 }).await;
    }
}

#[tokio::test]
async fn slots_have_their_bounds() {
    let bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| b.concurrency(2));
    for n in [2, 3, usize::MAX] {
        let said = format!(
            "it runs up to 2 tasks at once and can not run {n} fewer: one is the least; cancel_consumer stops a queue"
        );
        assert_eq!(
            told(&bench.broker, Command::PoolShrink { n }).await,
            error(&said)
        );
    }
    for n in [99_999, usize::MAX] {
        let said =
            format!("it runs up to 2 tasks at once and can not run {n} more: 100000 is the most");
        assert_eq!(
            told(&bench.broker, Command::PoolGrow { n }).await,
            error(&said)
        );
    }
    for command in [Command::PoolGrow { n: 0 }, Command::PoolShrink { n: 0 }] {
        assert_eq!(
            told(&bench.broker, command).await,
            error("by 0 nothing changes: it runs up to 2 tasks at once; say by how many")
        );
    }
    assert_eq!(
        told(&bench.broker, Command::PoolGrow { n: 99_998 }).await,
        ok("runs up to 100000 tasks at once now, it was 2")
    );
    assert_eq!(
        told(&bench.broker, Command::PoolShrink { n: 99_999 }).await,
        ok("runs up to 1 tasks at once now, it was 100000")
    );
}

/// After changes in both directions a stop still waits for exactly what is held.
#[tokio::test]
async fn a_stop_waits_for_what_is_held_whatever_changed_before() {
    let gate = Gate::default();
    let mut bench = Bench::with(MemoryBroker::new(), &[&HELD], |b| {
        b.state(gate.clone()).concurrency(4)
    });
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(bench.send(Message::new("held")).await);
    }
    gate.runs(4).await;
    told(&bench.broker, Command::PoolShrink { n: 3 }).await;
    told(&bench.broker, Command::PoolGrow { n: 1 }).await;
    cancel(&bench.broker, "celery").await;
    bench.stop.cancel();
    gate.let_go(4);
    bench.end().await.unwrap();
    for id in ids {
        let record = bench.broker.record(id, None).await.unwrap().unwrap();
        assert_eq!(record.state, State::Success);
    }
    assert_eq!(bench.broker.depth(&celery()).await.unwrap().in_flight, 0);
    assert_eq!(json!(bench.broker.workers().await.unwrap().len()), json!(0));
}
