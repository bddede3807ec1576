//! The timeline: when something is to be done about a run. Only runs with limits, and those that are cut off, are in it.

use std::collections::BTreeMap;
use std::time::Instant;

/// What is to be done about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its soft limit is over: it is told.
    Soft,
    /// Its hard limit is over: it is cut off.
    Hard,
    /// It was cut off and goes on: it is settled without it.
    Settle,
}

/// Steps by their time. Of each place there is one at most.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    steps: BTreeMap<(Instant, usize), Step>,
}

impl Timeline {
    /// Enters a step; true when it has become the earliest.
    pub(crate) fn enter(&mut self, at: Instant, place: usize, step: Step) -> bool {
        let earliest = self.first().is_none_or(|first| at < first);
        self.steps.insert((at, place), step);
        earliest
    }

    pub(crate) fn remove(&mut self, at: Instant, place: usize) {
        self.steps.remove(&(at, place));
    }

    /// The time of the earliest.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.steps.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the earliest out, if its time has come.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(usize, Step)> {
        let first = self.steps.first_entry().filter(|e| e.key().0 <= now)?;
        let ((_, place), step) = first.remove_entry();
        Some((place, step))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn steps_come_in_the_order_of_their_times_and_none_before_its_own() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut timeline = Timeline::default();
        assert!(timeline.enter(at(5), 1, Step::Hard));
        assert!(!timeline.enter(at(5), 2, Step::Soft));
        assert!(timeline.enter(at(3), 3, Step::Settle));
        assert!(!timeline.enter(at(9), 4, Step::Hard));
        timeline.remove(at(5), 1);
        assert_eq!(timeline.first(), Some(at(3)));
        assert_eq!(timeline.take_due(at(2)), None);
        assert_eq!(timeline.take_due(at(5)), Some((3, Step::Settle)));
        assert_eq!(timeline.take_due(at(5)), Some((2, Step::Soft)));
        assert_eq!(timeline.take_due(at(5)), None);
        assert_eq!(timeline.first(), Some(at(9)));
    }
}
