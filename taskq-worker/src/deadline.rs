//! Calls to the broker with a deadline, and calls that a start repeats until they work.

use std::future::Future;
use std::time::Duration;

use taskq_core::{Error, ErrorKind};
use tokio_util::sync::CancellationToken;

use crate::trouble::Trouble;

/// How long a call of the broker that has no deadline of its own may take.
pub(crate) const CALL: Duration = Duration::from_secs(5);

/// The answer of `call`, or an error after `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Unreachable,
            format!("the broker did not answer within {limit:.1?} ({what})"),
        ))
    })
}

/// Repeats a call of the start while the broker is in trouble, with a warning every few seconds.
///
/// `None`: the worker was stopped meanwhile. An error is one that no repeat mends.
pub(crate) async fn patiently<T, F>(
    what: &'static str,
    stopping: &CancellationToken,
    mut call: impl FnMut() -> F,
) -> Result<Option<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut trouble = Trouble::new(what).repeated_every(Duration::from_secs(5));
    loop {
        let answer = tokio::select! {
            biased;
            () = stopping.cancelled() => return Ok(None),
            answer = within(CALL, what, call()) => answer,
        };
        match answer {
            Ok(value) => {
                trouble.over();
                return Ok(Some(value));
            }
            Err(error) if error.is_transient() => {
                let pause = trouble.failed(&error);
                tokio::select! {
                    () = stopping.cancelled() => return Ok(None),
                    () = tokio::time::sleep(pause) => {}
                }
            }
            Err(error) => return Err(error),
        }
    }
}
