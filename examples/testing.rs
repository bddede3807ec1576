//! Tests of tasks: a broker of the test's own, a clock that the test moves, a crash where the test wants one.
//!
//! `cargo run --example testing` goes through one call delivery by delivery. Below stand tests as a crate of tasks has
//! them: `tests/it/main.rs` takes this file in, and they run with all others.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use taskq_core::{Context, TaskError, task};
use taskq_worker::Builder;
use taskq_worker::testing::{Fault, TestBroker};

const MINUTE: Duration = Duration::from_secs(60);

/// Here it stands for the shop's database.
#[derive(Default)]
struct Book {
    paid: Mutex<BTreeSet<u32>>,
}

impl Book {
    /// False: it is written there already.
    fn write(&self, order: u32) -> bool {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        paid.insert(order)
    }

    fn read(&self) -> Vec<u32> {
        let paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        paid.iter().copied().collect()
    }
}

/// Takes the money for an order, once. The bank answers at the second attempt.
#[task(name = "lessons.pay", queue = "lessons.money", max_retries = 5)]
async fn pay(ctx: Context, order: u32) -> Result<bool, TaskError> {
    if ctx.attempt() == 1 {
        return Err(TaskError::retry_after(MINUTE, "the bank does not answer"));
    }
    let taken = ctx.state::<Book>()?.write(order);
    if taken {
        ctx.send(receipt::call(order).countdown(60 * MINUTE))
            .await?;
    }
    Ok(taken)
}

/// What the customer gets.
#[task(name = "lessons.receipt", queue = "lessons.mail")]
async fn receipt(order: u32) -> String {
    format!("order {order} is paid")
}

/// What the worker has around its tasks: the `main` of the real one calls it too.
fn shop(worker: Builder) -> Builder {
    worker.state(Book::default())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let broker = TestBroker::builder().worker(shop).build()?;
    broker.client().send(pay::call(77)).await?;

    // Nothing runs by itself: a step is one delivery.
    let show = async || {
        while let Some(ran) = broker.step().await {
            println!("{ran}");
        }
    };
    show().await;

    // The retry is due in a minute. Its worker is to die when the money is taken, before the broker is told.
    broker.advance(MINUTE).await;
    broker.inject(Fault::CrashBeforeFinish);
    show().await;
    println!("{} messages were sent by then", broker.sent().len());

    // What a dead worker held is due again when its lease is over.
    broker.advance(broker.lease()).await;
    show().await;
    let book = broker.state::<Book>().ok_or("no book")?;
    println!("paid: {:?}", book.read());

    // The rest, whenever it is due.
    let drained = broker.drain_all().await;
    println!("an hour later: {} done", drained.done);
    broker.stop().await; // `#[taskq_worker::test]` does it after the test
    Ok(())
}

#[cfg(test)]
mod tests {
    use taskq_worker::testing::{Drained, Ended};
    use taskq_worker::{assert_enqueued, refute_enqueued};

    use super::*;

    /// One call alone, and its value.
    #[taskq_worker::test(worker = shop)]
    async fn a_receipt_names_the_order(broker: TestBroker) {
        let ran = broker.run(receipt::call(77)).await;
        assert_eq!(ran.value(), "order 77 is paid");
    }

    /// Retries, in no time.
    #[taskq_worker::test(worker = shop)]
    async fn a_bank_that_does_not_answer_is_asked_again(broker: TestBroker) {
        let ran = broker.run(pay::call(77)).await;
        assert!(
            matches!(ran.ended, Ended::Retry { after, .. } if after == MINUTE),
            "{ran}"
        );
        refute_enqueued!(broker, receipt);

        broker.advance(MINUTE).await;
        assert_eq!(broker.drain().await.done, 1);
        assert_enqueued!(
            broker,
            receipt(77),
            queue = "lessons.mail",
            after = 60 * MINUTE,
            times = 1
        );
    }

    /// It fails if `pay` does not ask the book.
    #[taskq_worker::test(worker = shop)]
    async fn a_crash_takes_the_money_once(broker: TestBroker) {
        broker.client().send(pay::call(77)).await.unwrap();
        broker.drain().await;
        broker.advance(MINUTE).await;
        broker.inject(Fault::CrashBeforeFinish);
        let all = Drained {
            crashed: 1,
            done: 2,
            ..Drained::default()
        };
        assert_eq!(broker.drain_all().await, all);
        assert_enqueued!(broker, receipt(77), times = 1);
    }
}
