//! Every return type, written out and behind another name, becomes the right outcome and the right `Signature<R>`.

use std::time::Duration;

use taskq_core::task::TaskDef;
use taskq_core::{Outcome, Signature, TaskError, task};

use crate::run::{done, run};

type Text = String;
type Res<T> = Result<T, std::num::ParseIntError>;
type BoxedError = Box<dyn std::error::Error + Send + Sync>;
type Spoken = Outcome<u8>;
type Deep = Result<Spoken, TaskError>;

#[task]
async fn nothing() {}
#[task]
async fn plain(n: i64) -> Text {
    n.to_string()
}
#[task]
fn option(n: Option<i64>) -> Option<i64> {
    n
}
#[task]
async fn aliased(text: String) -> Res<i32> {
    text.parse()
}
/// `Result<i32, String>` is `Serialize` itself; it must be taken apart all the same.
#[task]
async fn stringly(fail: bool) -> Result<i32, String> {
    if fail { Err("no luck".into()) } else { Ok(1) }
}
#[task]
async fn literal() -> Result<(), &'static str> {
    Err("always")
}
#[task]
async fn boxed(text: String) -> Result<f64, BoxedError> {
    Ok(text.parse::<f64>()?)
}
#[task]
async fn any(text: String) -> anyhow::Result<f64> {
    use anyhow::Context as _;
    text.parse::<f64>().context("reading the weight")
}
#[task]
async fn task_error(kind: u8) -> Result<u8, TaskError> {
    match kind {
        0 => Ok(0),
        1 => Err(TaskError::permanent("never")),
        2 => Err(TaskError::retry_after(Duration::from_secs(9), "busy")),
        _ => Ok("x".parse::<u8>()?),
    }
}
#[task]
async fn outcome(snooze: bool) -> Outcome<u8> {
    if snooze {
        Outcome::Snooze(Duration::from_secs(5))
    } else {
        Outcome::Done(3)
    }
}
#[task]
async fn spoken() -> Spoken {
    Outcome::Reject("not for me".into())
}
#[task]
async fn deep(fail: bool) -> Deep {
    if fail {
        Err("broken")?
    }
    Ok(Outcome::Snooze(Duration::from_secs(1)))
}
#[task]
fn deep_written_out(n: u8) -> Result<Outcome<u8>, std::fmt::Error> {
    if n == 0 {
        Err(std::fmt::Error)
    } else {
        Ok(Outcome::Done(n))
    }
}
#[task]
async fn unserializable() -> std::collections::HashMap<(u8, u8), u8> {
    [((1, 2), 3)].into()
}

/// Compiles only if the signature's result is `R`.
fn gives<R>(signature: &Signature<R>) {
    assert!(signature.task().starts_with("taskq_macros."));
}

#[test]
fn the_signature_has_the_result_inside() {
    gives::<()>(&nothing::call());
    gives::<String>(&plain::call(1));
    gives::<Option<i64>>(&option::call(None));
    gives::<i32>(&aliased::call("1".into()));
    gives::<i32>(&stringly::call(false));
    gives::<()>(&literal::call());
    gives::<f64>(&boxed::call("1".into()));
    gives::<f64>(&any::call("1".into()));
    gives::<u8>(&task_error::call(0));
    gives::<u8>(&outcome::call(true));
    gives::<u8>(&spoken::call());
    gives::<u8>(&deep::call(true));
    gives::<u8>(&deep_written_out::call(1));
}

/// The error's type and message, if the run is to be retried by the policy.
async fn retried(def: &TaskDef, arguments: &str) -> (String, String) {
    match run(def, arguments).await.unwrap() {
        Outcome::Retry { after: None, error } => (error.kind, error.message),
        other => panic!("{} ended with {other:?}", def.name),
    }
}

#[tokio::test]
async fn values_are_done() {
    assert_eq!(done(&nothing::DEF, r#""args":[]"#).await, "null");
    assert_eq!(done(&plain::DEF, r#""args":[5]"#).await, r#""5""#);
    assert_eq!(done(&option::DEF, r#""args":[]"#).await, "null");
    assert_eq!(done(&option::DEF, r#""args":[4]"#).await, "4");
    assert_eq!(done(&aliased::DEF, r#""args":["17"]"#).await, "17");
    assert_eq!(done(&stringly::DEF, r#""args":[false]"#).await, "1");
    assert_eq!(done(&boxed::DEF, r#""args":["0.5"]"#).await, "0.5");
    assert_eq!(done(&task_error::DEF, r#""args":[0]"#).await, "0");
    assert_eq!(done(&outcome::DEF, r#""args":[false]"#).await, "3");
    assert_eq!(done(&deep_written_out::DEF, r#""args":[2]"#).await, "2");
}

#[tokio::test]
async fn errors_are_retried_by_the_policy() {
    let (kind, message) = retried(&aliased::DEF, r#""args":["x"]"#).await;
    assert_eq!(kind, "core::num::error::ParseIntError");
    assert_eq!(message, "invalid digit found in string");
    assert_eq!(
        retried(&stringly::DEF, r#""args":[true]"#).await.1,
        "no luck"
    );
    assert_eq!(retried(&literal::DEF, r#""args":[]"#).await.1, "always");
    assert_eq!(
        retried(&boxed::DEF, r#""args":["x"]"#).await.1,
        "invalid float literal"
    );
    assert_eq!(retried(&deep::DEF, r#""args":[true]"#).await.1, "broken");
    assert_eq!(
        retried(&deep_written_out::DEF, r#""args":[0]"#).await.0,
        "core::fmt::Error"
    );
    assert_eq!(
        retried(&task_error::DEF, r#""args":[3]"#).await.0,
        "core::num::error::ParseIntError"
    );
}

#[tokio::test]
async fn the_chain_of_causes_is_kept() {
    let Outcome::Retry { error, .. } = run(&any::DEF, r#""args":["x"]"#).await.unwrap() else {
        panic!("an anyhow error must be retried");
    };
    assert_eq!(error.message, "reading the weight");
    assert_eq!(error.chain, ["invalid float literal"]);
}

#[tokio::test]
async fn what_the_function_says_is_the_outcome() {
    let ended = run(&task_error::DEF, r#""args":[1]"#).await.unwrap();
    assert!(matches!(ended, Outcome::Failed(e) if e.message == "never"));
    let ended = run(&task_error::DEF, r#""args":[2]"#).await.unwrap();
    assert!(matches!(ended, Outcome::Retry { after: Some(d), .. } if d.as_secs() == 9));
    let ended = run(&outcome::DEF, r#""args":[true]"#).await.unwrap();
    assert!(matches!(ended, Outcome::Snooze(d) if d.as_secs() == 5));
    let ended = run(&spoken::DEF, r#""args":[]"#).await.unwrap();
    assert!(matches!(ended, Outcome::Reject(reason) if reason == "not for me"));
    let ended = run(&deep::DEF, r#""args":[false]"#).await.unwrap();
    assert!(matches!(ended, Outcome::Snooze(d) if d.as_secs() == 1));
}

#[tokio::test]
async fn a_result_that_json_cannot_hold_is_a_failure() {
    let ended = run(&unserializable::DEF, r#""args":[]"#).await.unwrap();
    assert!(matches!(ended, Outcome::Failed(e) if e.kind == "ResultNotSerializable"));
}
