//! What a function says becomes the state, the record and the place of its message.

use std::time::Duration;

use serde_json::json;
use taskq_worker::retry::{Attempt, Fixed, Never, RetryPolicy};
use taskq_worker::task::{Param, Running, TaskDef, TaskResult};
use taskq_worker::{Failure, Message, Outcome, State};
use tokio::time::Instant;

use crate::bench::{Bench, celery, error_of, json};
use crate::kit::Kit;

const NUMBERS: &[Param] = &[number("a"), number("b")];
const SOON: Fixed = Fixed(Duration::from_millis(5));
const HOUR: Duration = Duration::from_secs(3_600);
const HOURLY: Fixed = Fixed(HOUR);

const fn number(name: &'static str) -> Param {
    Param {
        name,
        kind: "integer",
        required: true,
    }
}

fn later(outcome: TaskResult) -> Running {
    Running::Async(Box::pin(async { outcome }))
}

static ADD: TaskDef = TaskDef::new("add", NUMBERS, |_, arguments| {
    let bound = arguments.bind(NUMBERS)?;
    let (a, b): (i64, i64) = (bound.get(0)?, bound.get(1)?);
    Ok(Running::Async(Box::pin(async move {
        Outcome::Done(json(json!(a + b)))
    })))
});

static BLOCKING: TaskDef = TaskDef::new("blocking", NUMBERS, |_, arguments| {
    let bound = arguments.bind(NUMBERS)?;
    let (a, b): (i64, i64) = (bound.get(0)?, bound.get(1)?);
    Ok(Running::Blocking(Box::new(move || {
        let thread = std::thread::current();
        Outcome::Done(json(json!([a * b, thread.name()])))
    })))
});

/// Fails until its third attempt.
pub(crate) static THIRD_TIME: TaskDef = TaskDef::new("third_time", &[], |context, _| {
    Ok(later(match context.attempt() {
        3 => Outcome::Done(json(json!("at last"))),
        n => Outcome::Retry {
            after: None,
            error: Failure::new("Flop", format!("attempt {n}")),
        },
    }))
})
.retry(&SOON);

static NEVER_WORKS: TaskDef = TaskDef::new("never_works", &[], |context, _| {
    Ok(later(Outcome::Retry {
        after: None,
        error: Failure::new("Flop", format!("attempt {}", context.attempt())),
    }))
})
.max_retries(2)
.retry(&HOURLY);

static NO_RETRY: TaskDef = TaskDef::new("no_retry", &[], |_, _| {
    Ok(later(Outcome::Retry {
        after: None,
        error: Failure::new("Flop", "once"),
    }))
})
.retry(&Never);

/// Says itself when: its policy would give up.
static AFTER: TaskDef = TaskDef::new("after", &[], |context, _| {
    Ok(later(match context.attempt() {
        1 => Outcome::Retry {
            after: Some(HOUR),
            error: Failure::new("Busy", "come back"),
        },
        _ => Outcome::Done(json(json!("back"))),
    }))
})
.retry(&Never);

struct Broken;
impl RetryPolicy for Broken {
    fn delay(&self, _: &Attempt<'_>) -> Option<Duration> {
        panic!("no idea when")
    }
}
static BROKEN_POLICY: TaskDef = TaskDef::new("broken_policy", &[], |_, _| {
    Ok(later(Outcome::Retry {
        after: None,
        error: Failure::new("Flop", "once"),
    }))
})
.retry(&Broken);

static PERMANENT: TaskDef = TaskDef::new("permanent", &[], |_, _| {
    Ok(later(Outcome::Failed(Failure::new("Final", "never valid"))))
})
.retry(&SOON);

static REJECT: TaskDef = TaskDef::new("reject", &[], |_, _| {
    Ok(later(Outcome::Reject("not for me".into())))
});

/// Snoozes twice; the attempt does not move.
static SNOOZE: TaskDef = TaskDef::new("snooze", &[], |context, _| {
    let naps = context.state::<Naps>().unwrap();
    let nap = naps.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    Ok(later(match nap {
        0 | 1 => Outcome::Snooze(HOUR),
        _ => Outcome::Done(json(json!(context.attempt()))),
    }))
});
#[derive(Default)]
struct Naps(std::sync::atomic::AtomicU32);

static LONG_NAP: TaskDef = TaskDef::new("long_nap", &[], |_, _| Ok(later(Outcome::Snooze(HOUR))));

static PANICS: TaskDef = TaskDef::new("panics", &[], |context, _| {
    let attempt = context.attempt();
    Ok(Running::Async(Box::pin(async move {
        panic!("attempt {attempt} went wrong")
    })))
})
.max_retries(1)
.retry(&SOON);

static PANICS_BLOCKING: TaskDef = TaskDef::new("panics_blocking", &[], |_, _| {
    Ok(Running::Blocking(Box::new(|| panic!("on a thread"))))
})
.max_retries(0);

static PANICS_AT_START: TaskDef =
    TaskDef::new("panics_at_start", &[], |_, _| panic!("before the future")).max_retries(0);

static LARGE: TaskDef = TaskDef::new("large", &[], |_, _| {
    let text = "x".repeat(taskq_worker::message::MAX_BYTES);
    Ok(later(Outcome::Done(json(json!(text)))))
})
.retry(&SOON);

#[tokio::test(start_paused = true)]
async fn a_result_is_success_and_its_record_tells_the_run() {
    let kit = Kit::of(&[&ADD]);
    let mut message = Message::new("add");
    message.args = Some(json(json!([2])));
    message.kwargs = Some(json(json!({"b": 9_007_199_254_740_993_i64})));
    message.enqueued_at = Some(1_234);
    let record = kit.end_of(message).await;
    assert_eq!(record.state, State::Success);
    assert_eq!(record.result.unwrap().get(), "9007199254740995");
    assert_eq!((record.attempts, record.crashes), (1, 0));
    assert_eq!(record.worker.as_deref(), Some("w1@test"));
    assert_eq!(record.created, Some(1_234));
    let (started, finished) = (record.started.unwrap(), record.finished.unwrap());
    assert!(started > 1_234 && finished >= started);
    assert!(record.error.is_none() && record.due.is_none());
    kit.broker.stop().await;
    assert_eq!(
        kit.broker.backend().depth(&celery()).await.unwrap(),
        Default::default()
    );
}

#[tokio::test]
async fn a_plain_function_runs_on_a_thread_of_the_pool() {
    let bench = Bench::start(&[&BLOCKING]);
    let mut message = Message::new("blocking");
    message.args = Some(json(json!([6, 7])));
    let record = bench.end_of(bench.send(message).await).await;
    let result: (i64, String) = serde_json::from_str(record.result.unwrap().get()).unwrap();
    assert_eq!(result.0, 42);
    assert_ne!(Some(result.1.as_str()), std::thread::current().name());
}

#[tokio::test(start_paused = true)]
async fn a_failure_retries_by_policy_and_keeps_unknown_fields() {
    let kit = Kit::of(&[&THIRD_TIME, &KEEPS]);
    let record = kit.end_of(Message::new("third_time")).await;
    assert_eq!((record.state, record.attempts), (State::Success, 3));

    let body =
        r#"{"id":"0198c0de-0000-7000-8000-000000000001","task":"keeps","tenant":9007199254740993}"#;
    let message = Message::decode(body.as_bytes()).unwrap();
    let record = kit.end_of(message).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 2));
    let dead = kit.broker.backend().dead(&celery(), 0, 10).await.unwrap();
    let body = String::from_utf8(dead[0].body.to_vec()).unwrap();
    assert!(body.contains(r#""retries":1"#), "{body}");
    assert!(body.contains(r#""tenant":9007199254740993"#), "{body}");
}

static KEEPS: TaskDef = TaskDef::new("keeps", &[], |_, _| {
    Ok(later(Outcome::Retry {
        after: None,
        error: Failure::new("Flop", "always"),
    }))
})
.max_retries(1)
.retry(&SOON);

#[tokio::test(start_paused = true)]
async fn used_up_retries_are_a_failure_with_the_last_error() {
    let (kit, began) = (Kit::of(&[&NEVER_WORKS]), Instant::now());
    let record = kit.end_of(Message::new("never_works")).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 3));
    assert_eq!(began.elapsed(), 2 * HOUR);
    assert_eq!(error_of(&record), "Flop: attempt 3");
    let dead = kit.broker.backend().dead(&celery(), 0, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].state, State::Failure);
    assert_eq!(dead[0].reason, "Flop: attempt 3");
}

#[tokio::test(start_paused = true)]
async fn the_message_s_number_of_retries_beats_the_task_s() {
    let kit = Kit::of(&[&NEVER_WORKS]);
    let mut message = Message::new("never_works");
    message.max_retries = Some(0);
    let record = kit.end_of(message).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 1));
}

#[tokio::test(start_paused = true)]
async fn a_policy_may_give_up_and_the_function_may_choose_the_wait() {
    let kit = Kit::of(&[&NO_RETRY, &AFTER, &BROKEN_POLICY]);
    let record = kit.end_of(Message::new("no_retry")).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 1));
    let began = Instant::now();
    let record = kit.end_of(Message::new("after")).await;
    assert_eq!((record.state, record.attempts), (State::Success, 2));
    assert_eq!(began.elapsed(), HOUR);
    let record = kit.end_of(Message::new("broken_policy")).await;
    assert_eq!(record.state, State::Failure);
    assert_eq!(
        record.error.unwrap().chain,
        ["its retry policy panicked: no idea when"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_under_way_has_a_record_with_its_due_time() {
    static LATER: TaskDef = TaskDef::new("later", &[], |_, _| {
        Ok(later(Outcome::Retry {
            after: Some(HOUR),
            error: Failure::new("Busy", "in an hour"),
        }))
    });
    let kit = Kit::of(&[&LATER, &LONG_NAP]);
    let record = kit.step_of(Message::new("later")).await;
    assert_eq!(record.state, State::Retry);
    assert_eq!(error_of(&record), "Busy: in an hour");
    assert_eq!(record.attempts, 1);
    assert_eq!(record.due, Some(record.started.unwrap() + 3_600_000));
    assert_eq!(record.finished, None);

    let record = kit.step_of(Message::new("long_nap")).await;
    assert_eq!(record.state, State::Scheduled);
    assert_eq!((record.attempts, record.error), (0, None));
    assert!(record.due.is_some());
    assert_eq!(
        kit.broker.backend().depth(&celery()).await.unwrap().delayed,
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_a_failure_at_once_and_a_reject_is_dead() {
    let kit = Kit::of(&[&PERMANENT, &REJECT]);
    let record = kit.end_of(Message::new("permanent")).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 1));
    assert_eq!(error_of(&record), "Final: never valid");

    let record = kit.end_of(Message::new("reject")).await;
    assert_eq!((record.state, record.attempts), (State::Dead, 1));
    assert_eq!(error_of(&record), "Rejected: not for me");
    let dead = kit.broker.backend().dead(&celery(), 0, 1).await.unwrap();
    assert_eq!(
        (dead[0].state, &*dead[0].reason),
        (State::Dead, "not for me")
    );
}

#[tokio::test(start_paused = true)]
async fn a_snooze_costs_no_attempt() {
    let kit = Kit::with(&[&SNOOZE], |b| b.state(Naps::default()));
    let began = Instant::now();
    let record = kit.end_of(Message::new("snooze")).await;
    assert_eq!(began.elapsed(), 2 * HOUR);
    assert_eq!((record.state, record.attempts), (State::Success, 1));
    assert_eq!(record.result.unwrap().get(), "1");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_that_retries_by_policy() {
    let kit = Kit::of(&[&PANICS, &PANICS_BLOCKING, &PANICS_AT_START, &ADD]);
    for (task, error, attempts) in [
        ("panics", "Panic: attempt 2 went wrong", 2),
        ("panics_blocking", "Panic: on a thread", 1),
        ("panics_at_start", "Panic: before the future", 1),
    ] {
        let record = kit.end_of(Message::new(task)).await;
        assert_eq!((record.state, record.attempts), (State::Failure, attempts));
        assert_eq!(error_of(&record), error);
    }
    // and the worker goes on
    let mut message = Message::new("add");
    message.args = Some(json(json!([1, 1])));
    let record = kit.end_of(message).await;
    assert_eq!(record.state, State::Success);
    kit.broker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_over_the_limit_is_a_failure_without_retry() {
    let kit = Kit::of(&[&LARGE]);
    let record = kit.end_of(Message::new("large")).await;
    assert_eq!((record.state, record.attempts), (State::Failure, 1));
    assert!(record.result.is_none());
    assert!(error_of(&record).starts_with("ResultTooLarge: the result has 1048578 bytes"));
}

#[tokio::test(start_paused = true)]
async fn no_record_is_kept_where_results_are_off() {
    let kit = Kit::of(&[&REJECT]);
    let mut message = Message::new("reject");
    message.ignore_result = true;
    let id = kit.send(message).await;
    assert_eq!(kit.broker.drain_all().await.dead, 1);
    let depth = kit.broker.backend().depth(&celery()).await.unwrap();
    assert_eq!((depth.in_flight, depth.dead), (0, 1));
    assert!(kit.broker.record(id).await.is_none());
}
