//! Questions that this process can answer by itself: what it holds. They change nothing.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use taskq_core::control::{ActiveTask, ReservedTask};
use taskq_core::{Error, Message, QueueName, TaskId, clock};

use super::{Responder, body, shown};
use crate::book::Claim;
use crate::ledger::Run;

/// An answer tells of no more runs, and of no more messages that have not started.
const MOST: usize = 1_000;

/// Those that run longest.
pub(super) async fn active(
    responder: &Responder,
    notices: &mut Vec<String>,
) -> Result<Value, Error> {
    let runs = responder.ledger.running();
    if runs.len() > MOST {
        let n = runs.len();
        notices.push(format!(
            "{n} tasks run: told are the {MOST} that run longest"
        ));
    }
    let mut tasks = Vec::with_capacity(runs.len().min(MOST));
    for run in runs.iter().take(MOST) {
        tasks.push(running(run));
        breathe().await;
    }
    body(serde_json::to_value(tasks))
}

pub(super) fn stats(responder: &Responder) -> Result<Value, Error> {
    body(serde_json::to_value(
        responder.about.stats(&responder.ledger),
    ))
}

pub(super) async fn reserved(
    responder: &Responder,
    notices: &mut Vec<String>,
) -> Result<Value, Error> {
    body(serde_json::to_value(unstarted(responder, notices).await))
}

/// Of the calls that are asked for, those that this worker holds.
pub(super) async fn query_task(
    responder: &Responder,
    ids: &[TaskId],
    notices: &mut Vec<String>,
) -> Result<Value, Error> {
    let asked: HashSet<TaskId> = ids.iter().copied().collect();
    let mut held = Map::new();
    for task in unstarted(responder, notices).await {
        let id = task.id.as_ref().and_then(|id| id.parse().ok());
        if let Some(id) = id.filter(|id| asked.contains(id)) {
            let told = json!(["reserved", body(serde_json::to_value(task))?]);
            held.insert(id.to_string(), told);
        }
    }
    let mut runs = responder.ledger.running();
    runs.retain(|run| asked.contains(&run.message.id));
    if runs.len() > MOST {
        let n = runs.len();
        notices.push(format!(
            "{n} of them run: told are the {MOST} that run longest"
        ));
    }
    for run in runs.iter().take(MOST) {
        let task = body(serde_json::to_value(running(run)))?;
        held.insert(run.message.id.to_string(), json!(["active", task]));
        breathe().await;
    }
    Ok(Value::Object(held))
}

/// What is claimed and has not started, the oldest first.
async fn unstarted(responder: &Responder, notices: &mut Vec<String>) -> Vec<ReservedTask> {
    let mut claims = responder.ledger.reserved(MOST + 1);
    if claims.len() > MOST {
        claims.truncate(MOST);
        notices.push(format!(
            "more than {MOST} messages are claimed and have not started: the others were not looked at"
        ));
    }
    claims.sort_by_key(|(_, claim)| claim.at);
    let mut tasks = Vec::with_capacity(claims.len());
    for (queue, claim) in claims {
        tasks.push(waiting(&queue, &claim));
        breathe().await;
    }
    tasks
}

/// A message may have a megabyte: this thread has claims and verdicts to carry.
async fn breathe() {
    tokio::task::yield_now().await;
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
