//! Questions that this process can answer by itself: what it holds. They change nothing.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use taskq_core::control::{ActiveTask, ReservedTask};
use taskq_core::{Error, Message, QueueName, TaskId, clock};

use super::{Responder, body, shown};
use crate::book::Claim;
use crate::ledger::Run;

/// An answer tells of no more messages that have not started.
const MOST_RESERVED: usize = 1_000;

pub(super) fn active(responder: &Responder) -> Result<Value, Error> {
    let tasks: Vec<_> = responder.ledger.running().iter().map(running).collect();
    body(serde_json::to_value(tasks))
}

pub(super) fn stats(responder: &Responder) -> Result<Value, Error> {
    body(serde_json::to_value(
        responder.about.stats(&responder.ledger),
    ))
}

pub(super) async fn reserved(responder: &Responder) -> Result<Value, Error> {
    body(serde_json::to_value(unstarted(responder).await))
}

/// Of the calls that are asked for, those that this worker holds.
pub(super) async fn query_task(responder: &Responder, ids: &[TaskId]) -> Result<Value, Error> {
    let asked: HashSet<String> = ids.iter().map(ToString::to_string).collect();
    let mut held = Map::new();
    for task in unstarted(responder).await {
        if let Some(id) = task.id.clone().filter(|id| asked.contains(id)) {
            held.insert(id, json!(["reserved", body(serde_json::to_value(task))?]));
        }
    }
    for run in responder.ledger.running() {
        let id = run.message.id.to_string();
        if asked.contains(&id) {
            let task = body(serde_json::to_value(running(&run)))?;
            held.insert(id, json!(["active", task]));
        }
    }
    Ok(Value::Object(held))
}

/// What is claimed and has not started, the oldest first.
async fn unstarted(responder: &Responder) -> Vec<ReservedTask> {
    let mut claims = responder.ledger.reserved(MOST_RESERVED);
    claims.sort_by_key(|(_, claim)| claim.at);
    let mut tasks = Vec::with_capacity(claims.len());
    for (queue, claim) in claims {
        tasks.push(waiting(&queue, &claim));
        // A message may have a megabyte: this thread has claims and verdicts to carry.
        tokio::task::yield_now().await;
    }
    tasks
}

fn waiting(queue: &QueueName, claim: &Claim) -> ReservedTask {
    let (id, name) = match Message::decode(&claim.body) {
        Ok(message) => (Some(message.id.to_string()), message.task),
        Err(_) => (None, String::new()),
    };
    ReservedTask {
        id,
        name,
        queue: queue.to_string(),
        priority: claim.priority,
        time_claimed: claim.at as f64 / 1e3,
    }
}

fn running(run: &Run) -> ActiveTask {
    let message = &run.message;
    ActiveTask {
        id: message.id.to_string(),
        name: message.task.clone(),
        args: shown::args(message),
        kwargs: shown::kwargs(message),
        queue: run.queue.to_string(),
        attempt: message.attempt(),
        time_start: run.began.ms as f64 / 1e3,
        runtime_s: clock::now_ms().saturating_sub(run.began.ms) as f64 / 1e3,
        progress: run.progress(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_can_not_be_read_is_reserved_without_a_name() {
        let claim = Claim {
            body: b"{".as_slice().into(),
            priority: 4,
            at: 1_500,
        };
        let task = waiting(&QueueName::default(), &claim);
        assert_eq!((task.id, &*task.name), (None, ""));
        assert_eq!((&*task.queue, task.priority), ("celery", 4));
        assert!((task.time_claimed - 1.5).abs() < 1e-9);
    }
}
