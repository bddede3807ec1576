//! The test kit: a broker of a test's own, a worker that runs when the test says so, a clock that the test moves.
//!
//! Feature `testing`, for dev-dependencies:
//!
//! ```toml
//! [dev-dependencies]
//! taskq-worker = { version = "…", features = ["testing"] }
//! ```
//!
//! | a test wants | it takes |
//! |---|---|
//! | a broker of its own | `#[taskq_worker::test]`, or [`TestBroker::new`] in a `#[tokio::test]` |
//! | to run one call and see what it gives | [`TestBroker::run`] |
//! | what is sent to run at once | `#[taskq_worker::test(inline)]`, [`TestBrokerBuilder::inline`] |
//! | to run all that is due | [`TestBroker::drain`]; with all that becomes due, [`TestBroker::drain_all`] |
//! | to go delivery by delivery | [`TestBroker::step`] |
//! | time to pass | [`TestBroker::advance`] |
//! | to know what was sent | [`assert_enqueued!`](crate::assert_enqueued), [`refute_enqueued!`](crate::refute_enqueued), [`TestBroker::sent`] |
//! | to wait for a state | [`TestBroker::wait_for`] |
//! | to see what a crash does | [`TestBroker::inject`] and [`Fault`] |
//!
//! The tasks are those that are linked into the test, as in a worker. `#[taskq_worker::test]` is `#[test]` with a runtime
//! of one thread whose clock stands unless everything waits for it, and the broker as its argument:
//!
//! ```
//! use std::time::Duration;
//! use taskq_worker::testing::TestBroker;
//! use taskq_worker::{State, assert_enqueued, task};
//!
//! #[task(name = "shop.order")]
//! async fn order(context: taskq_worker::Context, book: String) -> Result<(), taskq_worker::TaskError> {
//!     tokio::time::sleep(Duration::from_secs(20)).await; // takes no time in a test
//!     context.send(invoice::call(book)).await?;
//!     Ok(())
//! }
//!
//! #[task(name = "shop.invoice", queue = "mail")]
//! async fn invoice(book: String) {}
//!
//! # /*
//! #[taskq_worker::test]
//! # */
//! async fn an_order_sends_its_invoice(broker: TestBroker) {
//!     broker.run(order::call("Rayuela".to_owned())).await.value();
//!     let sent = assert_enqueued!(broker, invoice("Rayuela".to_owned()), queue = "mail");
//!     broker.drain().await;
//!     broker.wait_for(sent[0].id, State::Success, Duration::ZERO).await.unwrap();
//! }
//! # fn main() { taskq_worker::testing::run_test(taskq_worker::testing::TestBroker::builder(), true, an_order_sends_its_invoice) }
//! ```
//!
//! It is a feature because it is not free: it brings `taskq-client` and tokio's `test-util`, under which every look at the
//! clock asks first whether a test has stopped it.

mod broker;
mod clock;
mod expected;
mod fault;
mod macros;
mod plan;
mod process;
mod ran;
mod running;
mod sent;
mod tap;
mod wait;

pub use broker::{TestBroker, TestBrokerBuilder};
pub use expected::{Expected, NotEnqueued};
pub use fault::Fault;
pub use ran::{Drained, Ended, Ran};
pub use sent::Sent;
pub use wait::NotReached;

/// For code that `#[taskq_worker::test]` writes; no promise is made about it.
#[doc(hidden)]
pub fn run_test<F, T>(
    builder: TestBrokerBuilder,
    paused: bool,
    test: impl FnOnce(TestBroker) -> F,
) -> T
where
    F: Future<Output = T>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(paused)
        .build();
    let runtime = runtime.unwrap_or_else(|e| panic!("the test's runtime can not be made: {e}"));
    runtime.block_on(async {
        let broker = builder.build();
        let broker = broker.unwrap_or_else(|e| panic!("the test's broker can not be made: {e}"));
        let end = test(broker.clone()).await;
        broker.stop().await;
        end
    })
}
