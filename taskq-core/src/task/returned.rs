//! From what a task function returns to its outcome, whatever name its return type goes by.
//!
//! The macro sees only how a type is written; the compiler knows what it is. So generated code asks
//! `Returned::<R>::RESULT`, where the constant of the inherent `impl` for `Result` wins over that of the trait for
//! all types, and picks with the answer one of two `impl`s that could not live side by side otherwise: a
//! `Result<T, E>` may itself be `Serialize`.

use std::marker::PhantomData;

use serde::Serialize;
use serde_json::value::to_raw_value;

use super::TaskResult;
use crate::outcome::{Failure, Outcome, TaskError};

/// A return type, to be asked what it is.
#[derive(Debug)]
pub struct Returned<R>(PhantomData<R>);

impl<T, E> Returned<Result<T, E>> {
    /// It is a `Result`.
    pub const RESULT: bool = true;
}

impl<T> Returned<Outcome<T>> {
    /// It is an `Outcome`.
    pub const OUTCOME: bool = true;
}

/// The answers of all other types.
pub trait Otherwise {
    /// It is no `Result`.
    const RESULT: bool = false;
    /// It is no `Outcome`.
    const OUTCOME: bool = false;
}

impl<R> Otherwise for Returned<R> {}

/// An answer as a type.
#[derive(Debug)]
pub struct Is<const YES: bool>;

/// What is inside the `Result`, where there is one. Asks nothing of the error, so that a bad one is told once.
pub trait Inside<R> {
    /// The type inside.
    type Ok;
}

impl<R> Inside<R> for Is<false> {
    type Ok = R;
}

impl<T, E> Inside<Result<T, E>> for Is<true> {
    type Ok = T;
}

/// Takes the `Result` off, where there is one.
pub trait Fallible<R>: Inside<R> {
    /// An `Err` becomes the outcome it stands for.
    fn outcome(returned: R) -> Outcome<Self::Ok>;
}

impl<R> Fallible<R> for Is<false> {
    fn outcome(returned: R) -> Outcome<R> {
        Outcome::Done(returned)
    }
}

impl<T, E: Into<TaskError>> Fallible<Result<T, E>> for Is<true> {
    fn outcome(returned: Result<T, E>) -> Outcome<T> {
        match returned {
            Ok(value) => Outcome::Done(value),
            Err(error) => error.into().into_outcome(),
        }
    }
}

/// Takes the `Result` off; an error that `retry_if` says `false` to is permanent.
#[diagnostic::on_unimplemented(
    message = "`retry_if` is for tasks that return a `Result`",
    label = "this is no `Result`"
)]
pub trait Judged<R>: Inside<R> {
    /// What `retry_if` is asked about.
    type Error;
    /// An `Err` becomes the outcome it stands for.
    fn outcome(returned: R, retry_if: fn(&Self::Error) -> bool) -> Outcome<Self::Ok>;
}

impl<T, E: Into<TaskError>> Judged<Result<T, E>> for Is<true> {
    type Error = E;
    fn outcome(returned: Result<T, E>, retry_if: fn(&E) -> bool) -> Outcome<T> {
        <Self as Fallible<_>>::outcome(returned.map_err(|error| {
            let again = retry_if(&error);
            let error = error.into();
            if again { error } else { error.into_permanent() }
        }))
    }
}

/// Takes the inner `Outcome` off, where there is one.
pub trait Spoken<O> {
    /// The result's type.
    type Value;
    /// What the function said itself is the outcome.
    fn flatten(outcome: Outcome<O>) -> Outcome<Self::Value>;
}

impl<T> Spoken<T> for Is<false> {
    type Value = T;
    fn flatten(outcome: Outcome<T>) -> Outcome<T> {
        outcome
    }
}

impl<T> Spoken<Outcome<T>> for Is<true> {
    type Value = T;
    fn flatten(outcome: Outcome<Outcome<T>>) -> Outcome<T> {
        match outcome {
            Outcome::Done(inner) => inner,
            Outcome::Retry { after, error } => Outcome::Retry { after, error },
            Outcome::Snooze(after) => Outcome::Snooze(after),
            Outcome::Reject(reason) => Outcome::Reject(reason),
            Outcome::Failed(error) => Outcome::Failed(error),
        }
    }
}

/// Writes the result as JSON.
pub fn encode<T: Serialize>(outcome: Outcome<T>) -> TaskResult {
    match outcome.map(|value| to_raw_value(&value)) {
        Outcome::Done(Ok(json)) => Outcome::Done(json),
        Outcome::Done(Err(e)) => {
            Outcome::Failed(Failure::new("ResultNotSerializable", e.to_string()))
        }
        Outcome::Retry { after, error } => Outcome::Retry { after, error },
        Outcome::Snooze(after) => Outcome::Snooze(after),
        Outcome::Reject(reason) => Outcome::Reject(reason),
        Outcome::Failed(error) => Outcome::Failed(error),
    }
}
