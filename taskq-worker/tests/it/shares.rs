//! How a worker shares its slots among queues and priorities, over a real Redis: counted in the order in which runs began,
//! printed with its bounds.

use std::sync::{Arc, Mutex};

use private_redis::RedisServer;
use taskq_core::broker::{self, Backend, Due, Outgoing};
use taskq_worker::task::{Registry, Running, TaskDef};
use taskq_worker::{Builder, CancellationToken, Message, Outcome, QueueName, Worker};

use crate::bench::{json, until};

/// What began, in order: the queue and the priority, both from the message's own headers.
#[derive(Debug, Clone, Default)]
struct Begun(Arc<Mutex<Vec<(String, u8)>>>);

static MARKED: TaskDef = TaskDef::new("marked", &[], |context, _| {
    let begun = context.state::<Begun>().unwrap();
    let priority = context.headers().get("mark").unwrap().parse().unwrap();
    let queue = context.queue().to_string();
    begun.0.lock().unwrap().push((queue, priority));
    Ok(Running::Async(Box::pin(async {
        Outcome::Done(json(serde_json::json!(null)))
    })))
});

async fn send(backend: &Arc<dyn Backend>, queue: &str, priorities: &[u8]) {
    let queue = QueueName::new(queue).unwrap();
    let outgoing = |priority: &u8| {
        let mut message = Message::new("marked");
        message.priority = *priority;
        message.ignore_result = true;
        message.headers.insert("mark".into(), priority.to_string());
        Outgoing {
            id: message.id,
            body: message.encode().unwrap().into(),
            priority: *priority,
            due: Due::Now,
            record: None,
            once: None,
            event: None,
        }
    };
    let batch: Vec<_> = priorities.iter().map(outgoing).collect();
    let patience = std::time::Duration::from_secs(30);
    backend.enqueue(&queue, &batch, patience).await.unwrap();
}

/// What begins, in order, when a worker finds `loads` waiting.
async fn order(
    loads: &[(&str, Vec<u8>)],
    configure: impl FnOnce(Builder) -> Builder,
) -> Vec<(String, u8)> {
    let server = RedisServer::start();
    let backend = broker::connect(&server.url()).await.unwrap();
    for (queue, priorities) in loads {
        send(&backend, queue, priorities).await;
    }
    let (stop, begun) = (CancellationToken::new(), Begun::default());
    let builder = Worker::builder()
        .url(server.url())
        .registry(Registry::from_defs([&MARKED]).unwrap())
        .state(begun.clone())
        .stop(stop.clone());
    let worker = tokio::spawn(configure(builder).build().unwrap().run());
    let all: usize = loads.iter().map(|(_, priorities)| priorities.len()).sum();
    until(async || (begun.0.lock().unwrap().len() == all).then_some(())).await;
    stop.cancel();
    worker.await.unwrap().unwrap();
    let begun = begun.0.lock().unwrap();
    begun.clone()
}

/// Whatever order runs of one claim begin in: nobody is further from its share than two claims, and a worker with one slot
/// not by more than one message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_are_shared_by_weight() {
    for (slots, slack) in [(1, 1), (40, 80)] {
        let loads = [("a", vec![0; 600]), ("b", vec![0; 600])];
        let order = order(&loads, |b| {
            b.concurrency(slots)
                .queue_weight("a", 3)
                .queue_weight("b", 1)
        })
        .await;
        let mut worst = 0;
        for begun in 1..=600 {
            let of_a = order[..begun].iter().filter(|(q, _)| q == "a").count();
            worst = worst.max((4 * of_a).abs_diff(3 * begun).div_ceil(4));
        }
        let of_a = order[..600].iter().filter(|(q, _)| q == "a").count();
        println!(
            "{slots:>2} slots, a=3,b=1: of the first 600, {of_a} of a and {} of b; at worst {worst} off its share, bound {slack}",
            600 - of_a
        );
        assert!(worst <= slack, "{slots} slots: {worst} off");
    }
}

/// A queue of a small weight waits its turn, and is not forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_weight_is_small() {
    let loads = [("a", vec![0; 900]), ("b", vec![0; 100])];
    let order = order(&loads, |b| {
        b.concurrency(1).queue_weight("a", 100).queue_weight("b", 1)
    })
    .await;
    let of_b = order[..909].iter().filter(|(q, _)| q == "b").count();
    println!(" 1 slot, a=100,b=1: of the first 909, {of_b} of b, bound 9 to 11");
    assert!((9..=11).contains(&of_b), "{of_b}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_strict_order_the_first_queue_comes_first() {
    for (slots, slack) in [(1, 0), (40, 80)] {
        let loads = [("a", vec![0; 300]), ("z", vec![0; 300])];
        let order = order(&loads, |b| {
            b.concurrency(slots).queues(["z", "a"]).strict(true)
        })
        .await;
        let early = order[..300].iter().filter(|(q, _)| q == "a").count();
        println!(
            "{slots:>2} slots, -Q z,a --strict: {early} of a among the first 300, bound {slack}"
        );
        assert!(early <= slack, "{slots} slots: {early}");
    }
}

/// 9 before 0, and everything between in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn higher_priorities_come_first() {
    let two: Vec<u8> = (0..600).map(|n| if n % 2 == 0 { 0 } else { 9 }).collect();
    let ten: Vec<u8> = (0..600)
        .map(|n| u8::try_from(n * 7 % 10).unwrap())
        .collect();
    for (slots, slack) in [(1, 0), (40, 80)] {
        for (what, priorities) in [("0 and 9", &two), ("0 to 9", &ten)] {
            let order = order(&[("celery", priorities.clone())], |b| b.concurrency(slots)).await;
            let mut sorted = priorities.clone();
            sorted.sort_by(|a, b| b.cmp(a));
            // How far a run began from where its priority has its place.
            let off = |(at, (_, priority)): (usize, &(String, u8))| {
                let first = sorted.iter().position(|p| p == priority).unwrap();
                let last = sorted.iter().rposition(|p| p == priority).unwrap();
                first.saturating_sub(at).max(at.saturating_sub(last))
            };
            let worst = order.iter().enumerate().map(off).max().unwrap();
            println!(
                "{slots:>2} slots, priorities {what}: at worst {worst} places too early or late, bound {slack}"
            );
            assert!(worst <= slack, "{slots} slots, {what}: {worst}");
        }
    }
}
