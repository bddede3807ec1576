//! The responder: answers what the fleet's operators ask this worker.

pub(crate) mod pool;

use std::sync::Arc;

use serde_json::{Value, json};
use taskq_core::broker::Backend;
use taskq_core::control::{ActiveTask, Command, Reply, Request};
use taskq_core::{Error, clock};

use crate::about::About;
use crate::deadline::{CALL, within};
use crate::ledger::{Ledger, Run};
use crate::trouble::Trouble;

/// Arguments longer than this are shown cut, as text.
const MOST_CHARS: usize = 1_024;

/// Answers for one worker.
#[derive(Debug, Clone)]
pub(crate) struct Responder {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) node: Arc<str>,
    pub(crate) about: Arc<About>,
    pub(crate) pool: pool::Pool,
}

impl Responder {
    /// Listens and answers; listens anew after trouble.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::new("listening for questions");
        loop {
            if let Err(e) = self.listen(&mut trouble).await {
                let pause = trouble.failed(&e);
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn listen(&self, trouble: &mut Trouble) -> Result<(), Error> {
        let mut requests = within(CALL, "listen", self.backend.listen()).await?;
        trouble.over();
        loop {
            let request = requests.next().await?;
            if !request.is_for(&self.node) {
                continue;
            }
            let reply = self.answer(&request).await;
            // Who asked may be gone: the next question is none the worse for it.
            if let Err(e) = within(CALL, "reply", self.backend.reply(&request, reply)).await {
                tracing::warn!(
                    "an answer to {:?} did not get through: {e}",
                    request.command
                );
            }
        }
    }

    async fn answer(&self, request: &Request) -> Reply {
        let body = match &request.command {
            Command::Ping => json!({"ok": "pong"}),
            Command::Active => {
                let tasks: Vec<_> = self.ledger.running().iter().map(active).collect();
                // An ActiveTask has string keys and finite numbers only.
                serde_json::to_value(tasks).unwrap_or_default()
            }
            Command::Registered => json!(self.about.registered),
            // And so has Stats.
            Command::Stats => {
                serde_json::to_value(self.about.stats(&self.ledger)).unwrap_or_default()
            }
            Command::AddConsumer { queue, weight } => {
                json!(self.pool.add_consumer(queue, *weight).await)
            }
            Command::CancelConsumer { queue } => json!(self.pool.cancel_consumer(queue).await),
            Command::PoolGrow { n } => json!(self.pool.grow(*n)),
            Command::PoolShrink { n } => json!(self.pool.shrink(*n)),
            other => json!({"error": format!("{other:?} is not built yet")}),
        };
        Reply {
            id: request.id.clone(),
            node: self.node.to_string(),
            body,
        }
    }
}

fn active(run: &Run) -> ActiveTask {
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
