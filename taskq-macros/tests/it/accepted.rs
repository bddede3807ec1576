//! Definitions, arguments, options and registration.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taskq_core::fleet::PublishedTask;
use taskq_core::retry::{Attempt, Exponential, Fixed, RetryPolicy};
use taskq_core::task::Registry;
use taskq_core::{Context, Failure, OnCrash, Outcome, task};

use crate::run::{done, message, misfit, run};

/// Adds two numbers,
/// whichever they are.
///
/// This paragraph is for readers of the code.
#[task(name = "math.add", queue = "math")]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parcel {
    id: u64,
}

#[task]
#[expect(clippy::too_many_arguments, reason = "one of each kind")]
fn kinds(
    text: String,
    whole: u64,
    real: f32,
    flag: bool,
    list: Vec<u8>,
    map: HashMap<String, u8>,
    pair: (u8, String),
    any: serde_json::Value,
    own: Parcel,
    boxed: Box<str>,
    listed: Option<Vec<Parcel>>,
    nested: std::collections::BTreeSet<Parcel2>,
) -> usize {
    let _ = (
        whole, real, flag, list, map, pair, any, own, boxed, listed, nested,
    );
    text.len()
}

type Parcel2 = u8;

#[task]
async fn with_context(context: Context, mut greeting: String) -> String {
    let seven = context.state::<u16>().unwrap();
    greeting.push_str(&format!(
        "{} {} {seven}",
        context.attempt(),
        context.worker()
    ));
    greeting
}

#[task]
fn with_keyword(r#type: String, last: Option<u8>) -> (String, Option<u8>) {
    (r#type, last)
}

const PATIENCE: Fixed = Fixed(Duration::from_secs(4));
const RETRIES: u32 = 10 + 5;

#[task(max_retries = RETRIES, retry = PATIENCE, ignore_result)]
async fn patient() {}

const LIMIT: u8 = 2;

const MINUTE: Duration = Duration::from_secs(60);

#[task(
    track_started,
    expires = PATIENCE.0,
    max_crashes = LIMIT,
    on_crash = "dead",
    time_limit = MINUTE,
    soft_time_limit = "500ms",
    priority = LIMIT + 3
)]
async fn careful() {}

#[task(
    track_started = false,
    ignore_result = false,
    max_crashes = 9,
    on_crash = "requeue",
    expires = "1h",
    time_limit = "2m",
    priority = 9
)]
async fn ordinary() {}

#[test]
fn options_of_its_calls_are_in_the_definition_and_published() {
    let def = &careful::DEF;
    assert!(def.track_started && !def.ignore_result);
    assert_eq!(def.expires, Some(Duration::from_secs(4)));
    assert_eq!((def.max_crashes, def.on_crash), (Some(2), OnCrash::Dead));
    let published = PublishedTask::from(def);
    assert!(published.track_started);
    assert_eq!(published.expires_ms, Some(4_000));
    assert_eq!(
        (published.max_crashes, published.on_crash),
        (Some(2), OnCrash::Dead)
    );
    assert_eq!(
        (published.time_limit_ms, published.soft_time_limit_ms),
        (Some(60_000), Some(500))
    );
    assert_eq!(published.priority, 5);
    let def = &ordinary::DEF;
    assert!(!def.track_started);
    assert_eq!(def.expires, Some(Duration::from_secs(3_600)));
    assert_eq!(
        (def.time_limit, def.soft_time_limit, def.priority),
        (Some(2 * MINUTE), None, 9)
    );
    assert_eq!((def.max_crashes, def.on_crash), (Some(9), OnCrash::Requeue));
}

/// A policy with state of its own.
struct Counting(AtomicU32);

impl RetryPolicy for Counting {
    fn delay(&self, _: &Attempt<'_>) -> Option<Duration> {
        let asked = self.0.fetch_add(1, Ordering::Relaxed);
        Some(Duration::from_secs(asked.into()))
    }
}

static COUNT: Counting = Counting(AtomicU32::new(1));

#[task(retry = COUNT, ignore_result = false)]
async fn counting() {}

#[task(retry_if = is_passing)]
async fn picky(code: i32) -> Result<(), std::io::Error> {
    Err(std::io::Error::from_raw_os_error(code))
}

fn is_passing(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::Interrupted
}

#[task(crate = ::taskq_core)]
async fn placed() {}

/// Stands for a crate that re-exports what `#[task]` writes.
mod facade {
    pub(super) use taskq_core::__private;
}

#[task(crate = self::facade, retry_if = is_passing)]
async fn through_a_facade(_context: Context, n: u8) -> Result<Outcome<u8>, std::io::Error> {
    Ok(Outcome::Done(n))
}

#[task(name = "in.another.module")]
#[cfg(any())]
async fn left_out() {}

mod inner {
    pub(super) type Weight = f64;

    pub(super) mod innermost {
        use taskq_core::task;

        pub(crate) type Own = u8;
        pub(crate) const LIMIT: u32 = 2;

        /// Paths that start at a module keep their meaning.
        #[task(max_retries = self::LIMIT)]
        pub(crate) async fn weigh(own: self::Own, weight: super::Weight) -> super::super::Grams {
            f64::from(own) * weight
        }
    }
}

type Grams = f64;

#[tokio::test]
async fn the_function_stays_callable() {
    assert_eq!(add(2, 3).await, 5);
    assert_eq!(with_keyword("x".into(), None).0, "x");
}

#[test]
fn the_definition_says_what_the_code_says() {
    let def = &add::DEF;
    assert_eq!((def.name, def.queue), ("math.add", "math"));
    assert_eq!(def.doc, "Adds two numbers, whichever they are.");
    assert_eq!(def.max_retries, taskq_core::retry::DEFAULT_MAX_RETRIES);
    assert!(!def.ignore_result);
    assert!(def.file.ends_with("accepted.rs"), "{}", def.file);
    let line = include_str!("accepted.rs")
        .lines()
        .nth(def.line as usize - 1);
    assert_eq!(line, Some(r#"#[task(name = "math.add", queue = "math")]"#));
    assert_eq!(with_context::DEF.name, "taskq_macros.with_context");
    assert_eq!(with_context::DEF.queue, "celery");
}

#[test]
fn parameters_are_described_as_json() {
    let described: Vec<_> = kinds::DEF
        .params
        .iter()
        .map(|p| (p.name, p.kind, p.required))
        .collect();
    assert_eq!(
        described,
        [
            ("text", "string", true),
            ("whole", "integer", true),
            ("real", "number", true),
            ("flag", "boolean", true),
            ("list", "array", true),
            ("map", "object", true),
            ("pair", "array", true),
            ("any", "any", true),
            ("own", "Parcel", true),
            ("boxed", "string", true),
            ("listed", "array", false),
            ("nested", "array", true),
        ]
    );
    assert_eq!(with_keyword::DEF.params[0].name, "type");
    assert_eq!(inner::innermost::weigh::DEF.params[1].kind, "super::Weight");
    assert_eq!(with_context::DEF.params.len(), 1);
}

#[tokio::test]
async fn arguments_come_by_place_or_by_name() {
    assert_eq!(done(&add::DEF, r#""args":[2,3]"#).await, "5");
    assert_eq!(done(&add::DEF, r#""args":[2],"kwargs":{"b":3}"#).await, "5");
    assert_eq!(done(&add::DEF, r#""kwargs":{"b":3,"a":2}"#).await, "5");
    assert_eq!(
        done(&with_keyword::DEF, r#""kwargs":{"type":"x"}"#).await,
        r#"["x",null]"#
    );
    assert_eq!(
        done(&with_keyword::DEF, r#""args":["x",null]"#).await,
        r#"["x",null]"#
    );
    assert_eq!(
        done(&inner::innermost::weigh::DEF, r#""args":[2,1.5]"#).await,
        "3.0"
    );
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_named() {
    assert_eq!(
        misfit(&add::DEF, r#""args":[2]"#).await,
        "the argument `b` is missing"
    );
    assert_eq!(
        misfit(&add::DEF, r#""args":[1,2,3]"#).await,
        "3 positional arguments for 2 parameters"
    );
    assert_eq!(
        misfit(&add::DEF, r#""kwargs":{"a":1,"b":2,"c":3}"#).await,
        "unknown argument `c`"
    );
    let wrong = misfit(&add::DEF, r#""args":[2,"x"]"#).await;
    assert!(
        wrong.starts_with("the argument `b` (integer): invalid type: string"),
        "{wrong}"
    );
}

#[tokio::test]
async fn the_context_is_not_an_argument() {
    assert_eq!(
        done(&with_context::DEF, r#""args":["hi "]"#).await,
        r#""hi 1 w1@here 7""#
    );
}

#[tokio::test]
async fn call_encodes_what_the_task_decodes() {
    let added = format!("{:?}", add::call(2, -3));
    assert!(added.contains(r#""args":[2,-3]"#), "{added}");
    assert!(added.contains(r#"queue: "math""#), "{added}");
    assert_eq!(add::call(2, 3).task(), "math.add");
    assert!(format!("{:?}", with_keyword::call("x".into(), None)).contains(r#""args":["x",null]"#));
    assert!(!format!("{:?}", patient::call()).contains("args"));
}

#[test]
fn the_retry_policy_is_a_static() {
    let failure = Failure::new("Error", "x");
    let attempt = |number| Attempt {
        number,
        error: &failure,
    };
    assert_eq!(patient::DEF.max_retries, 15);
    assert!(patient::DEF.ignore_result);
    assert!(!counting::DEF.ignore_result);
    assert_eq!(
        patient::DEF.retry.delay(&attempt(1)),
        Some(Duration::from_secs(4))
    );
    let asked = [1, 2, 3].map(|n| counting::DEF.retry.delay(&attempt(n)).unwrap().as_secs());
    assert_eq!(asked, [1, 2, 3]);
    let longest = Exponential::DEFAULT.base;
    assert!(add::DEF.retry.delay(&attempt(1)).unwrap() <= longest);
    assert_eq!(inner::innermost::weigh::DEF.max_retries, 2);
}

#[tokio::test]
async fn another_crate_can_stand_in() {
    assert_eq!(done(&through_a_facade::DEF, r#""args":[9]"#).await, "9");
}

#[tokio::test]
async fn retry_if_makes_an_error_permanent() {
    let interrupted = run(&picky::DEF, r#""args":[4]"#).await.unwrap();
    assert!(
        matches!(interrupted, Outcome::Retry { .. }),
        "{interrupted:?}"
    );
    let refused = run(&picky::DEF, r#""args":[13]"#).await.unwrap();
    assert!(matches!(refused, Outcome::Failed(_)), "{refused:?}");
}

#[test]
fn async_functions_are_polled_and_plain_ones_block() {
    let running = |def: &taskq_core::task::TaskDef, arguments: &str| {
        let message = message(def, arguments);
        let context = Context::new(
            &message,
            taskq_core::task::Surroundings::new(taskq_core::QueueName::default(), "w"),
        );
        let running = (def.run)(context, taskq_core::task::Arguments::of(&message));
        format!("{:?}", running.unwrap())
    };
    assert_eq!(running(&add::DEF, r#""args":[1,2]"#), "Async");
    assert_eq!(running(&with_keyword::DEF, r#""args":["x"]"#), "Blocking");
}

#[test]
fn every_task_registers_itself() {
    let registry = Registry::collect().unwrap();
    for def in [
        &add::DEF,
        &kinds::DEF,
        &placed::DEF,
        &inner::innermost::weigh::DEF,
    ] {
        let found = registry.get(def.name).unwrap();
        assert!(std::ptr::eq(found, def), "{}", def.name);
    }
    assert!(registry.get("in.another.module").is_none());
}
