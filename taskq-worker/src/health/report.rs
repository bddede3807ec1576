//! Whether it lives and whether it is ready, and if not, why.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Known, Stage};

/// The loop of all calls turns once a second.
const CALLS: Duration = Duration::from_secs(10);
/// The heartbeat turns twice in a lease at least; this is the least that is allowed, for short leases.
const BEAT: Duration = Duration::from_secs(5);
/// A call of the teller is given up after 1 s.
const TELL: Duration = Duration::from_secs(10);
/// A sweep begins less than a lease after the last one's end, and is given up after 30 s.
const SWEEP: Duration = Duration::from_secs(45);

/// An answer: yes or no, and its reasons.
pub(super) struct Report {
    pub(super) good: bool,
    pub(super) body: Value,
}

/// One loop: when it turned last, and how long that may take.
struct Loop {
    name: &'static str,
    age: Duration,
    limit: Duration,
}

impl Known {
    /// Whether the worker's own loops turn. What the broker says does not count: a new process would reach it no better.
    ///
    /// The fetcher is not among them: it runs where tasks do, and they can block it. Nor are the finishers: they repeat a call
    /// for as long as the broker is in trouble.
    pub(super) fn live(&self) -> Report {
        all_turn(&self.loops())
    }

    /// Whether it takes tasks.
    pub(super) fn ready(&self) -> Report {
        let mut problems = Vec::new();
        match &*self.stage() {
            Stage::Starts => {
                problems.push("it starts: its hooks run, or it reaches for the broker".to_owned())
            }
            Stage::Works {
                consumer, stopping, ..
            } => {
                if stopping.is_cancelled() {
                    problems.push("it stops".to_owned());
                }
                let (age, lease) = (self.turns.contact.age(), consumer.lease());
                if age > lease {
                    problems.push(format!(
                        "the broker has answered no heartbeat for {:.1} s, the lease is {:.1} s",
                        age.as_secs_f64(),
                        lease.as_secs_f64()
                    ));
                }
            }
            Stage::Ended => problems.push("it has stopped".to_owned()),
        }
        if !self.offers {
            problems.push("no task is registered: link a crate of tasks into it".to_owned());
        }
        Report {
            good: problems.is_empty(),
            body: json!({"ready": problems.is_empty(), "problems": problems}),
        }
    }

    fn loops(&self) -> Vec<Loop> {
        let turns = &self.turns;
        let name = |name, age, limit| Loop { name, age, limit };
        let mut loops = vec![name("calls", turns.calls.age(), CALLS)];
        if let Stage::Works {
            consumer, stopping, ..
        } = &*self.stage()
        {
            let lease = consumer.lease();
            loops.push(name("heartbeat", turns.beat.age(), lease.max(BEAT)));
            loops.push(name("teller", turns.tell.age(), TELL));
            if !stopping.is_cancelled() {
                loops.push(name("sweeper", turns.sweep.age(), lease + SWEEP));
            }
        }
        loops
    }
}

fn all_turn(loops: &[Loop]) -> Report {
    let problems: Vec<String> = loops
        .iter()
        .filter(|l| l.age > l.limit)
        .map(|l| {
            format!(
                "the loop `{}` has not turned for {:.1} s, {:.1} s are allowed",
                l.name,
                l.age.as_secs_f64(),
                l.limit.as_secs_f64()
            )
        })
        .collect();
    let loops: serde_json::Map<String, Value> = loops
        .iter()
        .map(|l| {
            let facts = json!({"age_s": seconds(l.age), "limit_s": seconds(l.limit)});
            (l.name.to_owned(), facts)
        })
        .collect();
    Report {
        good: problems.is_empty(),
        body: json!({"live": problems.is_empty(), "problems": problems, "loops": loops}),
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_that_is_late_is_named_and_enough() {
        let [short, long] = [10, 20].map(Duration::from_secs);
        let of = |name, age| Loop {
            name,
            age,
            limit: long,
        };
        assert!(all_turn(&[of("fetcher", short), of("teller", long)]).good);
        let later = long + Duration::from_millis(500);
        let report = all_turn(&[of("fetcher", short), of("teller", later)]);
        assert!(!report.good);
        let said = json!(["the loop `teller` has not turned for 20.5 s, 20.0 s are allowed"]);
        assert_eq!(report.body["problems"], said);
        assert_eq!(report.body["loops"]["fetcher"]["age_s"], json!(10.0));
    }
}
