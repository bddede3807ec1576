//! One delivery, all that are due, one call at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taskq_client::{Revocation, RevokeOptions};
use taskq_worker::middleware::{Call, Middleware, Next};
use taskq_worker::task::TaskResult;
use taskq_worker::testing::{Drained, Ended, TestBroker};
use taskq_worker::{ErrorKind, State, async_trait};

use super::tasks::{self, Diary, add, kit, later, note, order, plain, quiet, refuse, sleep, third};

#[taskq_worker::test(worker = kit)]
async fn a_call_is_run_at_once_and_gives_its_value(broker: TestBroker) {
    let ran = broker.run(add::call(2, 3)).await;
    assert_eq!(
        (ran.value(), ran.attempt, ran.ended.clone()),
        (5, 1, Ended::Done)
    );
    assert_eq!(ran.to_string(), "kit.add, attempt 1: SUCCESS");
    let record = broker.record(ran.id).await.unwrap();
    assert_eq!(record.state, State::Success);
    assert_eq!(record.worker.as_deref(), Some("test@localhost"));
    assert_eq!(broker.run(plain::call("four".to_owned())).await.value(), 4);
}

#[taskq_worker::test(worker = kit)]
async fn a_call_that_is_run_leaves_those_before_it_in_their_order(broker: TestBroker) {
    for what in ["a", "b", "c"] {
        broker
            .client()
            .send(note::call(what.to_owned(), None))
            .await
            .unwrap();
    }
    broker
        .run(note::call("now".to_owned(), Some("me".to_owned())))
        .await
        .value();
    assert_eq!(
        broker.drain().await,
        Drained {
            done: 3,
            ..Drained::default()
        }
    );
    let diary = broker.state::<Diary>().unwrap().read();
    assert_eq!(diary, ["now to me", "a", "b", "c"]);
}

/// One claim brings less than there is before it: 1 MiB at most.
#[taskq_worker::test(worker = kit)]
async fn a_call_is_run_at_once_however_much_is_before_it(broker: TestBroker) {
    let long = ["a", "b", "c", "d"].map(|what| what.repeat(700_000));
    for what in long.clone() {
        let call = note::call(what, None).queue("celery");
        broker.client().send(call).await.unwrap();
    }
    assert_eq!(broker.run(add::call(2, 3)).await.value(), 5);
    assert_eq!(broker.drain().await.done, 4);
    let diary = broker.state::<Diary>().unwrap().read();
    assert!(diary == long, "they kept their order");
}

#[taskq_worker::test(worker = kit)]
async fn every_ending_is_told_as_it_is(broker: TestBroker) {
    let ended = async |how: &str| broker.run(refuse::call(how.to_owned())).await;
    let ran = ended("fail").await;
    assert_eq!(
        ran.ended,
        Ended::Failed {
            reason: "Broken: for good".to_owned()
        }
    );
    let ran = ended("reject").await;
    assert_eq!(
        ran.ended,
        Ended::Dead {
            reason: "it is not for us".to_owned()
        }
    );
    let ran = ended("panic").await;
    let Ended::Retry { reason, .. } = &ran.ended else {
        panic!("{ran}")
    };
    assert_eq!(reason, "Panic: oh no");
    let ran = broker.run(third::call()).await;
    let minute = Duration::from_secs(60);
    assert_eq!(
        ran.to_string(),
        "kit.third, attempt 1: RETRY after 60s, TaskError: not yet"
    );
    assert!(matches!(ran.ended, Ended::Retry { after, .. } if after == minute));
    let ran = broker.run(later::call()).await;
    assert_eq!(
        ran.ended,
        Ended::Snooze {
            after: Duration::from_secs(5)
        }
    );
    let handle = broker.client().send(add::call(1, 1)).await.unwrap();
    broker
        .client()
        .revoke(&[Revocation::Id(handle.id())], RevokeOptions::default())
        .await
        .unwrap();
    let ran = broker.step().await.unwrap();
    assert!(matches!(ran.ended, Ended::Revoked { .. }), "{ran}");
}

#[taskq_worker::test(worker = kit)]
async fn one_step_is_one_delivery(broker: TestBroker) {
    let first = broker.client().send(add::call(1, 2)).await.unwrap();
    broker
        .client()
        .send(note::call("a".to_owned(), None))
        .await
        .unwrap();
    let ran = broker.step().await.unwrap();
    assert_eq!(
        (ran.id, ran.task.as_str(), ran.value()),
        (first.id(), "kit.add", 3.into())
    );
    assert!(broker.state::<Diary>().unwrap().read().is_empty());
    assert_eq!(broker.step().await.unwrap().queue.as_str(), "notes");
    assert!(broker.step().await.is_none());
}

#[taskq_worker::test(worker = kit)]
async fn a_drain_runs_what_is_sent_meanwhile_and_leaves_what_is_delayed(broker: TestBroker) {
    let client = broker.client();
    client.send(order::call("tea".to_owned())).await.unwrap();
    let second = Duration::from_secs(1);
    client
        .send(add::call(1, 1).countdown(second))
        .await
        .unwrap();
    client.send(third::call()).await.unwrap();
    let drained = broker.drain().await;
    assert_eq!(
        drained,
        Drained {
            done: 2,
            retried: 1,
            ..Drained::default()
        }
    );
    assert_eq!(drained.total(), 3);
    let diary = broker.state::<Diary>().unwrap().read();
    assert_eq!(diary, ["order", "ordered", "tea"]);
    assert_eq!(broker.drain().await.total(), 0);
}

#[taskq_worker::test(worker = kit)]
async fn draining_all_moves_the_clock_to_what_is_due_next(broker: TestBroker) {
    let client = broker.client();
    let handle = client.send(third::call()).await.unwrap();
    client
        .send(add::call(1, 1).countdown(Duration::from_secs(90)))
        .await
        .unwrap();
    let began = tokio::time::Instant::now();
    let drained = broker.drain_all().await;
    assert_eq!(
        drained,
        Drained {
            done: 2,
            retried: 2,
            ..Drained::default()
        }
    );
    assert_eq!(began.elapsed(), Duration::from_secs(120));
    assert_eq!(handle.wait(Duration::ZERO).await.unwrap(), 3);
}

#[taskq_worker::test(worker = kit)]
async fn what_no_task_can_take_is_dead(broker: TestBroker) {
    let options = taskq_client::SendOptions::default();
    broker
        .client()
        .send_by_name("kit.unknown", (), (), options)
        .await
        .unwrap();
    let ran = broker.step().await.unwrap();
    let Ended::Dead { reason } = &ran.ended else {
        panic!("{ran}")
    };
    assert!(reason.starts_with("unknown task `kit.unknown`"), "{reason}");
}

#[taskq_worker::test(worker = kit)]
async fn a_result_that_is_not_kept_is_not_given(broker: TestBroker) {
    let ran = broker.run(quiet::call()).await;
    assert_eq!(ran.ended, Ended::Done);
    assert!(ran.record.is_none());
    let missing = std::panic::catch_unwind(|| ran.value()).unwrap_err();
    let missing = missing.downcast_ref::<String>().unwrap();
    assert!(
        missing.contains("none is kept (`ignore_result`)"),
        "{missing}"
    );
}

#[taskq_worker::test(worker = kit)]
#[should_panic(expected = "kit.add can not be run at once: it is due in 60s")]
async fn what_is_not_due_is_not_run_at_once(broker: TestBroker) {
    broker
        .run(add::call(1, 1).countdown(Duration::from_secs(60)))
        .await
        .value();
}

#[taskq_worker::test(worker = |w| kit(w).queues(["notes"]))]
#[should_panic(expected = "in none of the queues that the worker takes from")]
async fn a_worker_takes_from_its_own_queues(broker: TestBroker) {
    broker.run(note::call("a".to_owned(), None)).await.value();
    broker.run(add::call(1, 1)).await.value();
}

#[taskq_worker::test(worker = kit)]
async fn a_paused_queue_is_left(broker: TestBroker) {
    broker
        .client()
        .send(note::call("a".to_owned(), None))
        .await
        .unwrap();
    let queue = "notes".parse().unwrap();
    broker
        .backend()
        .pause(&queue, "me", "for a while")
        .await
        .unwrap();
    assert_eq!(broker.drain_all().await.total(), 0);
    broker.backend().resume(&queue).await.unwrap();
    assert_eq!(broker.drain_all().await.done, 1);
}

#[taskq_worker::test(worker = kit)]
async fn a_step_that_is_given_up_gives_its_message_back(broker: TestBroker) {
    broker.client().send(sleep::call(60)).await.unwrap();
    let short = tokio::time::timeout(Duration::from_secs(5), broker.step()).await;
    assert!(short.is_err());
    let ran = broker.step().await.unwrap();
    assert_eq!((ran.ended, ran.attempt), (Ended::Done, 1));
    assert_eq!(
        broker.state::<Diary>().unwrap().read(),
        ["begins", "begins", "ends"]
    );
}

struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl Middleware for Counting {
    async fn around(&self, _call: &Call, next: Next<'_>) -> TaskResult {
        self.0.fetch_add(1, Ordering::SeqCst);
        next.run().await
    }
}

#[tokio::test]
async fn middleware_and_hooks_are_the_workers() {
    let (count, steps) = (Arc::new(AtomicUsize::new(0)), Arc::new(Diary::default()));
    let (around, at_start, at_stop) = (Arc::clone(&count), Arc::clone(&steps), Arc::clone(&steps));
    let broker = TestBroker::builder().worker(move |w| {
        kit(w)
            .middleware(Counting(around))
            .on_start(move |_| async move {
                at_start.note("start");
                Ok::<_, String>(())
            })
            .on_stop(move |_| async move { at_stop.note("stop") })
    });
    let broker = broker.build().unwrap();
    assert!(steps.read().is_empty(), "nothing runs by itself");
    broker.run(add::call(1, 1)).await.value();
    broker.run(plain::call("a".to_owned())).await.value();
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(steps.read(), ["start"]);
    broker.stop().await;
    assert_eq!(steps.read(), ["start", "stop"]);
}

#[tokio::test]
#[should_panic(expected = "the test's worker did not start")]
async fn a_hook_that_fails_is_told() {
    let broker = TestBroker::builder()
        .worker(|w| kit(w).on_start(|_| async { Err("no database") }))
        .build()
        .unwrap();
    broker.step().await;
}

#[tokio::test]
#[should_panic(expected = "the test's worker was stopped")]
async fn what_was_stopped_runs_nothing() {
    let broker = tasks::broker();
    broker.stop().await;
    broker.step().await;
}

#[test]
fn outside_a_runtime_there_is_no_broker() {
    let error = TestBroker::builder().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("inside the test"), "{error}");
}
