//! Whether every task ran exactly once, and nothing of it is left.

use taskq_core::broker::Depth;

use crate::records::Records;
use crate::tally::Report;

/// What is known after a worker has stopped.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    /// Tasks 0 to `sent` − 1 were sent.
    pub(crate) sent: u32,
    /// What the worker saw.
    pub(crate) report: &'a Report,
    /// What still lies in the queue.
    pub(crate) depth: Depth,
    /// The records of the tasks that were sent, when they were to have one.
    pub(crate) records: Option<Records>,
}

impl Evidence<'_> {
    /// What speaks against exactly once; nothing if all is well.
    pub(crate) fn faults(&self) -> Vec<String> {
        let (report, depth, sent) = (self.report, &self.depth, u64::from(self.sent));
        let mut faults = Vec::new();
        let mut must_be_none = |count: u64, what: &str| {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        };
        let (mut known, mut unknown) = (0, report.strange);
        for (word, base) in report.seen.iter().zip((0u32..).step_by(64)) {
            let ours = match self.sent.saturating_sub(base) {
                64.. => u64::MAX,
                some => (1 << some) - 1,
            };
            known += u64::from((word & ours).count_ones());
            unknown += u64::from((word & !ours).count_ones());
        }
        must_be_none(sent.saturating_sub(known), "tasks never ran");
        must_be_none(report.again, "runs of a task that had run before");
        must_be_none(unknown, "runs of tasks that nobody sent");
        must_be_none(depth.waiting, "messages are left in the ready lists");
        must_be_none(depth.suspects, "messages are left among the suspects");
        must_be_none(depth.delayed, "messages are left in the delayed set");
        must_be_none(depth.in_flight, "messages are left in sessions");
        must_be_none(depth.dead, "messages are in the dead set");
        if let Some(records) = &self.records {
            must_be_none(records.missing, "tasks have no record");
            must_be_none(records.unexpected, "records are of tasks that nobody sent");
            must_be_none(records.in_other_state, "records do not say SUCCESS");
        }
        if faults.is_empty() && report.ran != sent {
            faults.push(format!("{} runs of {sent} tasks", report.ran));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    fn faults(runs: impl IntoIterator<Item = u32>, sent: u32) -> Vec<String> {
        let tally = Tally::new();
        runs.into_iter().for_each(|index| tally.ran(index));
        let report = tally.report();
        Evidence {
            sent,
            report: &report,
            depth: Depth::default(),
            records: Some(Records::default()),
        }
        .faults()
    }

    #[test]
    fn once_each_is_fine() {
        for sent in [0, 1, 63, 64, 65, 128, 1_000] {
            assert_eq!(faults((0..sent).rev(), sent), [""; 0], "{sent} tasks");
        }
    }

    #[test]
    fn a_dropped_task_is_seen() {
        for sent in [1, 63, 64, 65, 128, 1_000] {
            for dropped in [0, sent / 2, sent - 1] {
                let runs = (0..sent).filter(|&i| i != dropped);
                assert_eq!(faults(runs, sent), ["1 tasks never ran"]);
            }
        }
    }

    #[test]
    fn a_doubled_task_is_seen() {
        for doubled in [0, 63, 64, 999] {
            let runs = (0..1_000).chain([doubled]);
            assert_eq!(
                faults(runs, 1_000),
                ["1 runs of a task that had run before"]
            );
        }
    }

    #[test]
    fn one_dropped_and_another_doubled_do_not_cancel_out() {
        let runs = (0..1_000).map(|i| if i == 7 { 8 } else { i });
        assert_eq!(
            faults(runs, 1_000),
            ["1 tasks never ran", "1 runs of a task that had run before"]
        );
    }

    #[test]
    fn a_task_that_nobody_sent_is_seen() {
        for strange in [100, 127, 128, 5_000, crate::tally::MOST, u32::MAX] {
            let runs = (0..100).chain([strange]);
            assert_eq!(faults(runs, 100), ["1 runs of tasks that nobody sent"]);
        }
    }

    #[test]
    fn what_is_left_in_the_broker_is_seen() {
        let report = Tally::new().report();
        let evidence = |depth, records| Evidence {
            sent: 0,
            report: &report,
            depth,
            records: Some(records),
        };
        let none = (Depth::default(), Records::default());
        assert_eq!(evidence(none.0.clone(), none.1).faults(), [""; 0]);
        let depths: [fn(&mut Depth); 5] = [
            |d| d.waiting = 1,
            |d| d.suspects = 1,
            |d| d.delayed = 1,
            |d| d.in_flight = 1,
            |d| d.dead = 1,
        ];
        for change in depths {
            let mut depth = none.0.clone();
            change(&mut depth);
            assert_eq!(evidence(depth.clone(), none.1).faults().len(), 1, "{depth:?}");
        }
        let stored: [fn(&mut Records); 3] = [
            |r| r.missing = 1,
            |r| r.unexpected = 1,
            |r| r.in_other_state = 1,
        ];
        for change in stored {
            let mut records = none.1;
            change(&mut records);
            assert_eq!(evidence(none.0.clone(), records).faults().len(), 1, "{records:?}");
        }
    }
}
