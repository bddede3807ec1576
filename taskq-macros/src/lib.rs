//! The attributes: `#[task]`, to be used through `taskq_core::task` or `taskq_worker::task`, and `#[test]`, through
//! `taskq_worker::test`.

mod doc;
mod expand;
mod function;
mod options;
mod test;
mod types;

use proc_macro::TokenStream;
use quote::quote;

/// Makes a function a task that workers can run.
///
/// The function stays as it is, and can be called in a unit test. Next to it stands a module of the same name with
/// `call(…)`, which makes a typed `Signature`, and `DEF`, its `TaskDef`; the task registers itself in every binary
/// that links its crate.
///
/// ```
/// use taskq_core::retry::{Exponential, Jitter};
/// use taskq_core::{Context, Signature, TaskError, task};
///
/// /// Adds two numbers.
/// #[task(name = "math.add")]
/// async fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// /// Rates a delivery; a plain `fn` runs on a thread where it may block.
/// #[task(
///     name = "logistics.rate",
///     queue = "logistics",
///     max_retries = 15,
///     retry = Exponential { jitter: Jitter::Equal, ..Exponential::DEFAULT },
///     retry_if = passing
/// )]
/// fn rate(context: Context, id: String, weight: Option<f64>) -> Result<f64, std::io::Error> {
///     println!("attempt {} of {id}", context.attempt());
///     Ok(weight.unwrap_or(1.0) * 3.5)
/// }
///
/// fn passing(error: &std::io::Error) -> bool {
///     error.kind() != std::io::ErrorKind::InvalidData
/// }
///
/// fn main() {
///     let call: Signature<i64> = add::call(2, 3);
///     assert_eq!(call.task(), "math.add");
///     assert_eq!(rate::DEF.queue, "logistics");
///     assert_eq!(rate::DEF.params[1].kind, "number");
///     assert!(!rate::DEF.params[1].required);
/// }
/// ```
///
/// # Options
/// | option | default | meaning |
/// |---|---|---|
/// | `name = "…"` | `<package>.<function>`, `-` written `_` | the wire name; renaming the function must not rename the task, so name what others send to |
/// | `queue = "…"` | `celery` | where its messages go |
/// | `max_retries = N` | 3 | how many retries it has |
/// | `retry = EXPR` | exponential, 1 s ×2 to 10 min, full jitter | its retry policy: a constant expression, or a `static`, whose type implements `RetryPolicy` |
/// | `retry_if = PATH` | every error | `fn(&E) -> bool`; an error it says `false` to is permanent |
/// | `ignore_result` | off | no record is kept |
/// | `track_started` | off | the record says STARTED while it runs; a write more per run |
/// | `expires = TIME` | never | a call that has not begun this long after it was sent is REVOKED |
/// | `max_crashes = N` | 3 | 1 to 9: a call that took its process down this often is DEAD |
/// | `on_crash = "dead"` | `"requeue"` | a call whose process died is DEAD at once instead of run again: at most once |
/// | `time_limit = TIME` | the worker's | a run that takes longer is cut off and counts as failed |
/// | `soft_time_limit = TIME` | the worker's | a run that takes longer is told to end by its context; under `time_limit` |
/// | `priority = N` | 0 | 0, served last, to 9, served first |
/// | `crate = path` | found in Cargo.toml | where taskq-core or taskq-worker is |
///
/// A TIME is `"500ms"`, `"30s"`, `"2m"`, `"1h"`, or a constant expression that comes to a `Duration`.
///
/// For one call its sender may set all but `name`, `retry`, `retry_if` and `crate` otherwise.
///
/// # Parameters
/// `Context` may come first. The others are plain names of owned types that implement `Serialize` and
/// `DeserializeOwned`; an `Option<T>` may be left out. At most 16: beyond that, take a struct.
///
/// # What it may return
/// `T: Serialize`, `Outcome<T>`, `Result<T, E>` or `Result<Outcome<T>, E>`, also under another name. `E` is
/// `TaskError`, any error, a boxed error, `anyhow::Error`, `String` or `&str`. `Result<T, E>` retries on `Err` by the
/// task's policy.
///
/// It stands in a module, not inside a function body: the module beside it looks for its types there. An example in
/// a doc comment therefore needs a `fn main` of its own, as above.
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    let written = proc_macro2::TokenStream::from(item.clone());
    let expanded = options::parse(options.into())
        .and_then(|options| Ok((options, function::parse(item.into())?)))
        .and_then(|(options, function)| expand::expand(&options, &function));
    match expanded {
        Ok(tokens) => tokens.into(),
        Err(error) => {
            // The item stays, so that one mistake is one error.
            let error = error.into_compile_error();
            quote!(#written #error).into()
        }
    }
}

/// A test that is given a broker and a worker of its own: `#[taskq_worker::test]`, with the feature `testing`.
///
/// The function is an `async fn` that takes a `taskq_worker::testing::TestBroker`, and returns what a `#[test]` may. It
/// runs on a runtime with one thread, whose time stands still unless everything waits for it.
///
/// # Options
/// | option | meaning |
/// |---|---|
/// | `inline` | what is sent runs before `send` returns |
/// | `start_paused = false` | time goes on by itself, as it must where tasks talk to real servers |
/// | `worker = EXPR` | a function or closure that completes the worker's `Builder`: state, middleware, hooks, limits |
/// | `crate = path` | where taskq-worker is, if not in Cargo.toml |
///
/// What it does, and examples: the module `taskq_worker::testing`.
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    match test::expand(options.into(), item.clone().into()) {
        Ok(tokens) => tokens.into(),
        Err(error) => {
            let (written, error) = (
                proc_macro2::TokenStream::from(item),
                error.into_compile_error(),
            );
            quote!(#written #error).into()
        }
    }
}
