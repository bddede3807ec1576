//! What a worker that has nothing to do asks of Redis.

use std::time::Duration;

use private_redis::{RedisServer, Request};
use taskq_core::broker::{self, Due, Outgoing};
use taskq_worker::{Message, QueueName};

use crate::process::Process;

/// The longest of a worker's cycles: what it seldom asks is in there once.
const WINDOW_US: u64 = 10_000_000;

/// How many requests one idle worker sends within the window, by the server's clock.
async fn requests_of_an_idle_worker(more: &'static [&str]) -> Vec<Request> {
    requests_at(&RedisServer::start(), more).await
}

async fn requests_at(server: &RedisServer, more: &[&str]) -> Vec<Request> {
    let url = server.url();
    let args = ["--broker", &url, "-Q", "celery,logistica,monitor"];
    let mut worker = Process::start(&[&args, more].concat());
    worker.logs("is ready");
    let monitor = server.monitor();
    let requests = loop {
        let requests = monitor.requests();
        // With the first sweep it has opened its last connection: what it said then belongs to the start.
        let leases = |key: &String| key.ends_with(":leases");
        let is_sweep = |r: &&Request| r.is("EVALSHA") && r.words.get(3).is_some_and(leases);
        let sweep = requests.iter().find(is_sweep);
        let since = sweep.map_or(u64::MAX - WINDOW_US, |r| r.at_us + 1);
        if requests
            .last()
            .is_some_and(|r| r.at_us >= since + WINDOW_US)
        {
            let window = since..since + WINDOW_US;
            break requests
                .into_iter()
                .filter(|r| window.contains(&r.at_us))
                .collect();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    worker.child.kill().unwrap();
    requests
}

/// At most 8 requests a second on three queues, with as many slots as by default and with fewer than queues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_is_a_quiet_guest() {
    let runs = [[].as_slice(), &["-c", "2"], &["-c", "1"]];
    let runs = runs.map(|more| (more, tokio::spawn(requests_of_an_idle_worker(more))));
    for (more, run) in runs {
        let requests = run.await.unwrap();
        let lines: Vec<String> = requests.iter().map(|r| r.words.join(" ")).collect();
        println!("{more:?}: {} requests in 10 s", requests.len());
        assert!(
            requests.len() <= 80,
            "{more:?}: {}:\n{}",
            lines.len(),
            lines.join("\n")
        );
        // It looks for messages that rang no bell once a second.
        for queue in ["celery", "logistica", "monitor"] {
            let key = format!("taskq:{{{queue}}}:suspects");
            let asked = requests.iter().filter(|r| r.names(&key)).count();
            assert!(asked >= 1, "{queue} is never asked");
        }
    }
}

/// Neither what waits in a paused queue, nor what is due there, nor its bell wakes a worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_queue_that_is_full_is_no_less_quiet() {
    let server = RedisServer::start();
    let backend = broker::connect(&server.url()).await.unwrap();
    let queue = QueueName::default();
    let paused = backend.pause(&queue, "ana@desk", "stocktaking");
    paused.await.unwrap();
    let due = [Due::Now, Due::In(Duration::from_millis(1))];
    let batch: Vec<_> = due.into_iter().cycle().take(100).map(held).collect();
    let sent = backend.enqueue(&queue, &batch, Duration::from_secs(3));
    sent.await.unwrap();
    let requests = requests_at(&server, &["-c", "2"]).await;
    let lines: Vec<String> = requests.iter().map(|r| r.words.join(" ")).collect();
    println!("{} requests in 10 s", requests.len());
    assert!(
        requests.len() <= 80,
        "{}:\n{}",
        lines.len(),
        lines.join("\n")
    );
    let depth = backend.depth(&queue).await.unwrap();
    assert_eq!((depth.waiting, depth.delayed, depth.in_flight), (50, 50, 0));
}

fn held(due: Due) -> Outgoing {
    let message = Message::new("ping");
    Outgoing {
        id: message.id,
        body: message.encode().unwrap().into(),
        priority: 0,
        due,
        record: None,
        once: None,
        event: None,
    }
}
