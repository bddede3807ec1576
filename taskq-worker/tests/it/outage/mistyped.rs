//! Keys of a queue that hold something else than they should.

use super::stage::{SOON, Stage, Worker, within};

/// Every key that all workers of a queue share.
const SHARED: [&str; 9] = [
    "ready", "ready:5", "suspects", "delayed", "dead", "records", "leases", "meta", "bell",
];

fn queue(key: &str) -> String {
    format!("sick-{}", key.replace(':', "-"))
}

fn full(key: &str) -> String {
    format!("taskq:{{{}}}:{key}", queue(key))
}

/// Moves the key away and puts another type there, in one step.
fn break_it(stage: &Stage, key: &str) {
    let broken = format!(
        "EVAL \"if redis.call('EXISTS',KEYS[1])==1 then redis.call('RENAME',KEYS[1],'aside:'..KEYS[1]) end \
         return redis.call('SET',KEYS[1],'x')\" 1 {key}"
    );
    assert_eq!(stage.server.command(&broken), "+OK");
}

/// Puts back what was there.
fn mend(stage: &Stage, key: &str) {
    let mended = format!(
        "EVAL \"redis.call('DEL',KEYS[1]) local was='aside:'..KEYS[1] \
         if redis.call('EXISTS',was)==1 then redis.call('RENAME',was,KEYS[1]) end return 1\" 1 {key}"
    );
    assert_eq!(stage.server.command(&mended), ":1");
}

async fn names(worker: &Worker, key: &str) {
    within(SOON * 3, &format!("the log names {key}"), || {
        let named = format!("the key {key} ");
        worker.log().contains(&named).then_some(())
    })
    .await;
}

/// Each shared key of a queue in turn has the wrong type: the worker names it and works its other queues, and goes on
/// with this one once the key is as it was.
#[tokio::test]
async fn each_shared_key_of_the_wrong_type_is_named_and_holds_up_its_queue_alone() {
    let stage = Stage::new(&[]).await;
    let queues: Vec<String> = SHARED.iter().map(|key| queue(key)).collect();
    let mut victim = stage.worker("victim", &["-Q", &queue("meta")]);
    victim.logs("is ready").await;
    let all = format!("{},well", queues.join(","));
    let worker = stage.worker("w", &["-Q", &all, "-c", "20"]);
    worker.logs("is ready").await;
    for q in &queues {
        assert_eq!(stage.send(q, 1, 0, 0).await, 1);
    }
    stage.all_succeed().await;

    for key in SHARED {
        break_it(&stage, &full(key));
    }
    // What meta says is asked for when a dead worker's session is taken.
    victim.child.kill().unwrap();
    for key in SHARED {
        for _ in 0..3 {
            stage.push(&queue(key), 3);
        }
    }
    for key in SHARED {
        names(&worker, &full(key)).await;
    }
    assert_eq!(stage.send("well", 50, 1, 0).await, 50);
    let well = || {
        let (runs, sent) = (stage.runs(), stage.sent());
        sent.accepted
            .keys()
            .rev()
            .take(50)
            .all(|n| runs.ends(*n) == 1)
            .then_some(())
    };
    within(SOON, "the other queue is worked", well).await;

    for key in SHARED {
        mend(&stage, &full(key));
    }
    for q in &queues {
        stage.send(q, 3, 1, 0).await;
    }
    stage.all_succeed().await;
    assert_eq!(stage.runs().doubled(), [].into());
    let log = worker.end().await;
    assert!(!log.contains("did not count"), "{log}");
}

/// A worker that starts while one of its queues has such a key works the others, and this one as soon as it can.
#[tokio::test]
async fn a_worker_that_starts_beside_a_mistyped_key_works_its_other_queues() {
    let stage = Stage::new(&[]).await;
    let keys = ["taskq:{sick}:meta", "taskq:{sick}:leases"];
    for key in keys {
        stage.send("sick", 3, 1, 0).await;
        let before = stage.sent().accepted.len();
        break_it(&stage, key);
        let worker = stage.worker(
            if key == keys[0] { "one" } else { "two" },
            &["-Q", "sick,well"],
        );
        assert_eq!(stage.send("well", 20, 1, 0).await, 20);
        let well = || {
            let (runs, sent) = (stage.runs(), stage.sent());
            sent.accepted
                .keys()
                .skip(before)
                .all(|n| runs.ends(*n) == 1)
                .then_some(())
        };
        within(SOON * 2, "the other queue is worked", well).await;
        names(&worker, key).await;
        mend(&stage, key);
        stage.all_succeed().await;
        assert_eq!(stage.runs().doubled(), [].into());
        worker.end().await;
    }
}
