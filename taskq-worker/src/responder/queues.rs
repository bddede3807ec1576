//! Questions about this worker's queues, which the broker answers.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use taskq_core::broker::{Backend, DelayedMessage, MAX_REVOKED, Served};
use taskq_core::control::{ActiveQueue, ScheduledRequest, ScheduledTask};
use taskq_core::revocation::Revocation;
use taskq_core::{Error, Message, QueueName};

use super::{Responder, body, shown};

/// So many queues are asked at a time.
const AT_ONCE: usize = 8;
/// So many of those that are due next are told.
const MOST_SCHEDULED: usize = 100;

/// What is due next in all of its queues, the soonest first.
pub(super) async fn scheduled(responder: &Responder) -> Result<Value, Error> {
    let of_queue = |broker: Arc<dyn Backend>, served: Served| async move {
        let queue = served.queue;
        let delayed = broker.delayed(&queue, MOST_SCHEDULED).await?;
        let tasks = delayed.iter().map(|d| (d.due, waiting(&queue, d)));
        Ok::<Vec<(u64, ScheduledTask)>, Error>(tasks.collect())
    };
    let mut due = each(responder, of_queue).await?.concat();
    due.sort_by_key(|(due, _)| *due);
    due.truncate(MOST_SCHEDULED);
    let tasks: Vec<_> = due.into_iter().map(|(_, task)| task).collect();
    body(serde_json::to_value(tasks))
}

/// What is revoked at any of its queues: ids, then tasks and headers, each once.
pub(super) async fn revoked(responder: &Responder) -> Result<Value, Error> {
    let of_queue = |broker: Arc<dyn Backend>, served: Served| async move {
        let revoked = broker.revoked(&served.queue).await?;
        Ok::<Vec<Revocation>, Error>(revoked.iter().collect())
    };
    let mut all = each(responder, of_queue).await?.concat();
    all.sort_by_key(|what| !matches!(what, Revocation::Id(_)));
    let mut texts: Vec<String> = all.iter().map(named).collect();
    let mut told = HashSet::new();
    texts.retain(|text| told.insert(text.clone()));
    texts.truncate(MAX_REVOKED);
    Ok(json!(texts))
}

pub(super) async fn active_queues(responder: &Responder) -> Result<Value, Error> {
    let of_queue = |broker: Arc<dyn Backend>, served: Served| async move {
        let depth = broker.depth(&served.queue).await?;
        Ok::<ActiveQueue, Error>(ActiveQueue {
            name: served.queue.to_string(),
            weight: served.weight,
            paused: depth.paused.is_some(),
        })
    };
    body(serde_json::to_value(each(responder, of_queue).await?))
}

/// What `ask` answers for each queue of the worker, in their order; the first error ends it.
async fn each<T, F: Future<Output = Result<T, Error>>>(
    responder: &Responder,
    ask: impl Fn(Arc<dyn Backend>, Served) -> F,
) -> Result<Vec<T>, Error> {
    let queues = responder.pool.serving.queues();
    let answers = queues
        .into_iter()
        .map(|served| ask(Arc::clone(&responder.backend), served));
    stream::iter(answers).buffered(AT_ONCE).try_collect().await
}

fn waiting(queue: &QueueName, delayed: &DelayedMessage) -> ScheduledTask {
    let request = match Message::decode(&delayed.body) {
        Ok(message) => ScheduledRequest {
            id: message.id.to_string(),
            args: shown::args(&message),
            kwargs: shown::kwargs(&message),
            queue: queue.to_string(),
            retries: message.retries,
            name: message.task,
        },
        Err(_) => ScheduledRequest {
            id: String::new(),
            name: String::new(),
            args: json!([]),
            kwargs: json!({}),
            queue: queue.to_string(),
            retries: 0,
        },
    };
    ScheduledTask {
        eta: shown::rfc3339(delayed.due),
        priority: delayed.priority,
        request,
    }
}

fn named(what: &Revocation) -> String {
    match what {
        Revocation::Id(id) => id.to_string(),
        Revocation::Task(task) => format!("task:{task}"),
        Revocation::Header { name, value } => format!("header:{name}={value}"),
    }
}
