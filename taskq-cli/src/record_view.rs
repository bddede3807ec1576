//! A record as this program shows it: as JSON, and as lines for people.

use serde::Serialize;
use serde_json::value::RawValue;
use taskq_core::{Failure, Record};

use crate::console::plain;
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
    #[serde(skip)]
    due: Option<String>,
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
            due: time(record.due),
        }
    }

    /// The state word, then a line for each thing that is known.
    pub(crate) fn lines(&self) -> String {
        let mut text = format!("{}\n", self.state);
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
