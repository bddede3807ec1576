//! A record as this program shows it: as JSON, and as lines for people.

use serde::Serialize;
use serde_json::value::RawValue;
use taskq_core::{Failure, Progress, Record};

use crate::console::plain;
use crate::paint::Look;
use crate::quantity::rfc3339;

/// The JSON form; times are RFC 3339 in UTC. What is skipped is for people alone.
#[derive(Serialize)]
pub(crate) struct RecordView<'a> {
    id: String,
    task: &'a str,
    queue: &'a str,
    state: &'a str,
    result: Option<&'a RawValue>,
    error: Option<&'a Failure>,
    attempts: u32,
    crashes: u32,
    worker: Option<&'a str>,
    created: Option<String>,
    started: Option<String>,
    finished: Option<String>,
    progress: Option<ProgressView<'a>>,
    #[serde(skip)]
    due: Option<String>,
}

/// How far its run has got.
#[derive(Serialize)]
struct ProgressView<'a> {
    done: u64,
    total: u64,
    note: Option<&'a str>,
    at: Option<String>,
    #[serde(skip)]
    shown: String,
}

impl<'a> ProgressView<'a> {
    fn of(progress: &'a Progress) -> Self {
        Self {
            done: progress.done,
            total: progress.total,
            note: progress.note.as_deref(),
            at: rfc3339(progress.at),
            shown: far(progress),
        }
    }
}

/// How far that is, for people: `3/10 (30 %), day 4`.
pub(crate) fn far(progress: &Progress) -> String {
    let Progress { done, total, .. } = progress;
    let mut text = match (u128::from(*done) * 100).checked_div(u128::from(*total)) {
        // More than the total is no more than all of it.
        Some(percent) => format!("{done}/{total} ({} %)", percent.min(100)),
        None => done.to_string(),
    };
    if let Some(note) = progress.note.as_deref().filter(|note| !note.is_empty()) {
        text.push_str(&format!(", {note}"));
    }
    text
}

impl<'a> RecordView<'a> {
    pub(crate) fn of(record: &'a Record) -> Self {
        let time = |ms: Option<u64>| ms.and_then(rfc3339);
        Self {
            id: record.id.to_string(),
            task: &record.task,
            queue: record.queue.as_str(),
            state: record.state.as_str(),
            result: record.result.as_deref(),
            error: record.error.as_ref(),
            attempts: record.attempts,
            crashes: record.crashes,
            worker: record.worker.as_deref(),
            created: time(record.created),
            started: time(record.started),
            finished: time(record.finished),
            progress: record.progress.as_ref().map(ProgressView::of),
            due: time(record.due),
        }
    }

    /// The state word, then a line for each thing that is known.
    pub(crate) fn lines(&self, look: Look) -> String {
        let mut text = look.state(self.state, self.state) + "\n";
        let mut line = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                text.push_str(&format!("{name:<9} {}\n", plain(value)));
            }
        };
        line("result", self.result.map(RawValue::get));
        if let Some(error) = self.error {
            line("error", Some(&format!("{}: {}", error.kind, error.message)));
            for cause in &error.chain {
                line("because", Some(cause));
            }
        }
        let progress = self.progress.as_ref();
        line("progress", progress.map(|p| p.shown.as_str()));
        line("task", Some(self.task));
        line("id", Some(&self.id));
        line("queue", Some(self.queue));
        line("attempts", Some(&self.attempts.to_string()));
        if self.crashes > 0 {
            line("crashes", Some(&self.crashes.to_string()));
        }
        line("worker", self.worker);
        line("created", self.created.as_deref());
        line("due", self.due.as_deref());
        line("started", self.started.as_deref());
        line("finished", self.finished.as_deref());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_well_whatever_a_task_says() {
        for (done, total, note, shown) in [
            (3, 10, None, "3/10 (30 %)"),
            (3, 10, Some("day 4"), "3/10 (30 %), day 4"),
            (12, 10, None, "12/10 (100 %)"),
            (7, 0, Some(""), "7"),
            (
                u64::MAX,
                u64::MAX,
                None,
                "18446744073709551615/18446744073709551615 (100 %)",
            ),
        ] {
            let progress = Progress {
                done,
                total,
                note: note.map(str::to_owned),
                at: 0,
            };
            assert_eq!(far(&progress), shown);
        }
    }
}
