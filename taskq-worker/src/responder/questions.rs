//! Questions: what this worker does and how it is set up. They change nothing.

use serde_json::Value;
use taskq_core::control::ActiveTask;
use taskq_core::{Error, clock};

use super::{Responder, body};
use crate::ledger::Run;

/// Arguments longer than this are shown cut, as text.
const MOST_CHARS: usize = 1_024;

pub(super) fn active(responder: &Responder) -> Result<Value, Error> {
    let tasks: Vec<_> = responder.ledger.running().iter().map(running).collect();
    body(serde_json::to_value(tasks))
}

pub(super) fn stats(responder: &Responder) -> Result<Value, Error> {
    body(serde_json::to_value(
        responder.about.stats(&responder.ledger),
    ))
}

fn running(run: &Run) -> ActiveTask {
    let message = &run.message;
    ActiveTask {
        id: message.id.to_string(),
        name: message.task.clone(),
        args: shown(message.args.as_deref().map_or("[]", |a| a.get())),
        kwargs: shown(message.kwargs.as_deref().map_or("{}", |k| k.get())),
        queue: run.queue.to_string(),
        attempt: message.attempt(),
        time_start: run.began.ms as f64 / 1e3,
        runtime_s: clock::now_ms().saturating_sub(run.began.ms) as f64 / 1e3,
        progress: None,
    }
}

/// JSON as it is, or its beginning as text when it is long.
fn shown(json: &str) -> Value {
    match json.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => Value::String(format!("{}…", &json[..end])),
        None => serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_arguments_are_cut_to_text() {
        assert_eq!(shown("[1,2]"), json!([1, 2]));
        let long = format!("[\"{}\"]", "ñ".repeat(2_000));
        let text = shown(&long);
        let text = text.as_str().expect("text");
        assert_eq!(text.chars().count(), MOST_CHARS + 1);
        assert!(text.starts_with("[\"ñ") && text.ends_with('…'));
    }
}
