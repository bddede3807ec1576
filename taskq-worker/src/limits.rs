//! The time limits of runs: whose word counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use taskq_core::task::TaskDef;
use taskq_core::{Error, Message};

/// How long one run may take; `None`: as long as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TimeLimits {
    /// After that it is told.
    pub(crate) soft: Option<Duration>,
    /// After that it is cut off.
    pub(crate) hard: Option<Duration>,
}

impl TimeLimits {
    /// Limits as someone set them together.
    pub(crate) fn check(self) -> Result<Self, Error> {
        for (name, limit) in [("time limit", self.hard), ("soft time limit", self.soft)] {
            if limit.is_some_and(|limit| limit.as_millis() == 0) {
                return Err(Error::invalid(format!(
                    "the {name} is {:?}: give at least 1 ms, or leave it out",
                    limit.unwrap_or_default()
                )));
            }
        }
        match (self.soft, self.hard) {
            (Some(soft), Some(hard)) if soft >= hard => Err(Error::invalid(format!(
                "the soft time limit, {soft:?}, must be under the time limit, {hard:?}: it would never be told"
            ))),
            _ => Ok(self),
        }
    }

    /// A soft limit that is not under the hard one is never told.
    fn told(self) -> Self {
        let soft = self
            .soft
            .filter(|soft| self.hard.is_none_or(|hard| *soft < hard));
        Self { soft, ..self }
    }
}

/// Where the limits of this worker's runs come from.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// The worker's own, for tasks that say nothing.
    worker: TimeLimits,
    /// Some are ordered: until then no run looks there.
    any_ordered: AtomicBool,
    /// What was ordered while the worker runs, by task: never more than it has tasks.
    ordered: RwLock<HashMap<&'static str, TimeLimits>>,
}

impl Limits {
    pub(crate) fn new(worker: TimeLimits) -> Self {
        Self {
            worker,
            ..Self::default()
        }
    }

    /// From now on runs of `def` have these, unless their message says otherwise.
    pub(crate) fn order(&self, def: &'static TaskDef, limits: TimeLimits) {
        let mut ordered = self.ordered.write().unwrap_or_else(PoisonError::into_inner);
        ordered.insert(def.name, limits);
        drop(ordered);
        self.any_ordered.store(true, Ordering::Release);
    }

    /// Those of a run that begins now.
    pub(crate) fn of(&self, message: &Message, def: &TaskDef) -> TimeLimits {
        let ordered = self
            .any_ordered
            .load(Ordering::Acquire)
            .then(|| self.ordered.read().unwrap_or_else(PoisonError::into_inner))
            .and_then(|ordered| ordered.get(def.name).copied());
        let otherwise = ordered.unwrap_or(TimeLimits {
            soft: def.soft_time_limit.or(self.worker.soft),
            hard: def.time_limit.or(self.worker.hard),
        });
        let own = |ms: Option<u64>| ms.map(Duration::from_millis);
        TimeLimits {
            soft: own(message.soft_time_limit).or(otherwise.soft),
            hard: own(message.time_limit).or(otherwise.hard),
        }
        .told()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn limits(soft: Option<u64>, hard: Option<u64>) -> TimeLimits {
        TimeLimits {
            soft: soft.map(s),
            hard: hard.map(s),
        }
    }

    static PLAIN: TaskDef = TaskDef::new("plain", &[], |_, _| unreachable!("it is not run"));
    static STRICT: TaskDef = TaskDef::new("strict", &[], PLAIN.run)
        .soft_time_limit(s(20))
        .time_limit(s(30));

    fn message(soft: Option<u64>, hard: Option<u64>) -> Message {
        let mut message = Message::new("t");
        message.soft_time_limit = soft.map(|s| s * 1_000);
        message.time_limit = hard.map(|s| s * 1_000);
        message
    }

    #[test]
    fn the_message_counts_before_the_order_before_the_task_before_the_worker() {
        let none = message(None, None);
        let all = Limits::new(limits(Some(40), Some(50)));
        assert_eq!(Limits::default().of(&none, &PLAIN), limits(None, None));
        assert_eq!(all.of(&none, &PLAIN), limits(Some(40), Some(50)));
        assert_eq!(all.of(&none, &STRICT), limits(Some(20), Some(30)));
        all.order(&STRICT, limits(Some(5), Some(10)));
        assert_eq!(all.of(&none, &STRICT), limits(Some(5), Some(10)));
        assert_eq!(all.of(&none, &PLAIN), limits(Some(40), Some(50)));
        let own = message(Some(1), Some(2));
        assert_eq!(all.of(&own, &STRICT), limits(Some(1), Some(2)));
        let hard = message(None, Some(60));
        assert_eq!(all.of(&hard, &STRICT), limits(Some(5), Some(60)));
        // An order of none is an order.
        all.order(&STRICT, limits(None, None));
        assert_eq!(all.of(&none, &STRICT), limits(None, None));
    }

    #[test]
    fn a_soft_limit_that_would_come_last_does_not_come() {
        let hasty = message(None, Some(10));
        let effective = Limits::default().of(&hasty, &STRICT);
        assert_eq!(effective, limits(None, Some(10)));
    }

    #[test]
    fn limits_that_could_not_be_kept_are_refused() {
        assert!(limits(Some(1), Some(2)).check().is_ok());
        for (bad, words) in [
            (limits(None, Some(0)), "the time limit is 0ns"),
            (limits(Some(0), None), "the soft time limit is 0ns"),
            (limits(Some(2), Some(2)), "must be under the time limit, 2s"),
        ] {
            let text = bad.check().unwrap_err().to_string();
            assert!(text.contains(words), "{text}");
        }
    }
}
