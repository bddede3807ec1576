//! Outcomes and what is kept of errors.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use taskq_core::{Failure, Outcome, TaskError};

/// An error with this many causes below it, each as long as the text.
#[derive(Debug)]
struct Nested(&'static str, Option<Box<Self>>);

impl fmt::Display for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Nested {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as _)
    }
}

fn nested(text: &'static str, causes: usize) -> Nested {
    (0..causes).fold(Nested(text, None), |cause, _| {
        Nested(text, Some(Box::new(cause)))
    })
}

#[test]
fn a_failure_keeps_type_message_and_causes() {
    let failure = TaskError::retry(nested("broken", 2)).failure().clone();
    assert!(
        failure.kind.ends_with("outcome::Nested"),
        "{}",
        failure.kind
    );
    assert_eq!(failure.message, "broken");
    assert_eq!(failure.chain, ["broken", "broken"]);
    let json = serde_json::to_string(&Failure::new("Panic", "x")).unwrap();
    assert_eq!(json, r#"{"type":"Panic","message":"x"}"#);
}

#[test]
fn what_is_kept_of_an_error_has_bounds() {
    let long: &'static str = Box::leak("ñ".repeat(20_000).into_boxed_str());
    let failure = Failure::from_error(long, &nested(long, 40));
    for (text, most) in [
        (&failure.kind, 256),
        (&failure.message, 8 << 10),
        (&failure.chain[0], 1 << 10),
    ] {
        // Cut between characters, so up to one short.
        assert!(
            (most - 1..=most).contains(&text.len()),
            "{} of {most} bytes",
            text.len()
        );
        assert!(text.ends_with("ñ…"));
    }
    assert_eq!(failure.chain.len(), 16);
    assert_eq!(
        Failure::new("E", "x".repeat(8 << 10)).message.len(),
        8 << 10
    );
}

#[test]
fn a_task_error_says_what_becomes_of_the_task() {
    let retried: Outcome<()> = TaskError::from("busy").into_outcome();
    assert!(matches!(retried, Outcome::Retry { after: None, error } if error.message == "busy"));
    let later: Outcome<()> = TaskError::retry_after(Duration::from_secs(3), "busy").into_outcome();
    assert!(matches!(later, Outcome::Retry { after: Some(d), .. } if d.as_secs() == 3));
    let failed: Outcome<()> = TaskError::permanent("closed").into_outcome();
    assert!(matches!(failed, Outcome::Failed(error) if error.message == "closed"));
    let failed: Outcome<()> = TaskError::retry_after(Duration::MAX, "busy")
        .into_permanent()
        .into_outcome();
    assert!(matches!(failed, Outcome::Failed(_)));
}

#[test]
fn mapping_touches_only_results() {
    assert_eq!(Outcome::Done(2).map(|n| n * 2), Outcome::Done(4));
    let failure = Failure::new("E", "x");
    let others = [
        Outcome::Retry {
            after: Some(Duration::ZERO),
            error: failure.clone(),
        },
        Outcome::Snooze(Duration::from_secs(1)),
        Outcome::Reject("no".into()),
        Outcome::Failed(failure),
    ];
    for outcome in others {
        assert_eq!(outcome.clone().map(|n: u8| n), outcome);
    }
}
