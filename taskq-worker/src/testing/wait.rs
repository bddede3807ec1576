//! Waiting for a state, without sleeping.

use std::fmt;
use std::time::Duration;

use taskq_core::broker::Inspect;
use taskq_core::event::EventPosition;
use taskq_core::{Record, State, TaskId};
use tokio::time::Instant;

use super::broker::TestBroker;

/// So long it waits at a time; then it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl TestBroker {
    /// Waits until the record of `id` says `state`, for up to `within` by the test's clock; answers the record.
    ///
    /// It runs nothing itself: it waits for what runs beside it, such as a drain that was spawned. Where time stands unless
    /// all wait, a wait in vain takes no time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use taskq_worker::testing::TestBroker;
    /// use taskq_worker::{State, task};
    ///
    /// #[task(name = "report.make", track_started)]
    /// async fn make() {
    ///     tokio::time::sleep(Duration::from_secs(3_600)).await;
    /// }
    ///
    /// # /*
    /// #[taskq_worker::test]
    /// # */
    /// async fn it_says_started(broker: TestBroker) {
    ///     let id = broker.client().send(make::call()).await.unwrap().id();
    ///     let beside = broker.clone();
    ///     let drain = tokio::spawn(async move { beside.drain().await });
    ///     broker.wait_for(id, State::Started, Duration::from_secs(5)).await.unwrap();
    ///     broker.advance(Duration::from_secs(3_600)).await;
    ///     assert_eq!(drain.await.unwrap().done, 1);
    /// }
    /// # fn main() { taskq_worker::testing::run_test(taskq_worker::testing::TestBroker::builder(), true, it_says_started) }
    /// ```
    ///
    /// # Errors
    /// [`NotReached`] says what its record said at last: when the time is over, and at once when it has ended otherwise.
    pub async fn wait_for(
        &self,
        id: TaskId,
        state: State,
        within: Duration,
    ) -> Result<Record, NotReached> {
        let until = Instant::now() + within;
        let memory = &self.core.memory;
        let mut behind = EventPosition::newest();
        let mut wait = Duration::ZERO;
        loop {
            // Every change of a record is told; the first look only finds the place from which on.
            let page = memory.events(&behind, wait).await;
            let page = page.unwrap_or_else(|e| panic!("the test's broker tells nothing: {e}"));
            behind = page.next;
            let record = self.record(id).await;
            match record {
                Some(record) if record.state == state => return Ok(record),
                other => {
                    let left = until.saturating_duration_since(Instant::now());
                    let over = other.as_ref().is_some_and(|r| r.state.is_final());
                    if left.is_zero() || over {
                        return Err(NotReached {
                            id,
                            state,
                            within: (!over).then_some(within),
                            record: other,
                        });
                    }
                    wait = left.min(LOOK_AGAIN);
                }
            }
        }
    }
}

/// A state that was waited for did not come.
#[derive(Clone, thiserror::Error)]
pub struct NotReached {
    id: TaskId,
    state: State,
    /// `None`: it has ended otherwise.
    within: Option<Duration>,
    record: Option<Record>,
}

impl NotReached {
    /// What its record said at last.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }
}

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, state, .. } = self;
        let state = state.as_str();
        let Some(record) = &self.record else {
            return write!(
                f,
                "{id} is not {state}: there is no record of it; it was never sent, or ignores its result"
            );
        };
        write!(
            f,
            "{} {id} is {}, not {state}",
            record.task,
            record.state.as_str()
        )?;
        if let Some(error) = &record.error {
            write!(f, " ({}: {})", error.kind, error.message)?;
        }
        match self.within {
            Some(within) => write!(
                f,
                ", after {within:?}; nothing runs by itself: `drain`, `step`, or spawn one of them"
            ),
            None => f.write_str(", and stays so"),
        }
    }
}

impl fmt::Debug for NotReached {
    /// As it is displayed: it is read where a test fails.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
