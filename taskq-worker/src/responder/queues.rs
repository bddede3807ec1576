//! Questions about this worker's queues, which the broker answers.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use taskq_core::broker::{Backend, DelayedMessage, MAX_REVOKED, Served};
use taskq_core::control::{ActiveQueue, ScheduledRequest, ScheduledTask};
use taskq_core::revocation::Revocation;
use taskq_core::{Error, Message, QueueName};

use super::{Responder, body, shown};
use crate::deadline::{CALL, within};

/// So many queues are asked at a time.
const AT_ONCE: usize = 8;
/// So many of those that are due next are told.
const MOST_SCHEDULED: usize = 100;
/// So many queues that can not be read are named with what is wrong.
const MOST_NAMED: usize = 20;

/// What is due next in all of its queues, the soonest first.
pub(super) async fn scheduled(
    responder: &Responder,
    notices: &mut Vec<String>,
) -> Result<Value, Error> {
    let of_queue = |broker: Arc<dyn Backend>, queue: QueueName| async move {
        let delayed = broker.delayed(&queue, MOST_SCHEDULED).await?;
        let tasks = delayed.iter().map(|d| (d.due, waiting(&queue, d)));
        Ok::<Vec<(u64, ScheduledTask)>, Error>(tasks.collect())
    };
    let read = each(responder, of_queue, notices).await?;
    let mut due: Vec<_> = read
        .into_iter()
        .filter_map(|(_, due)| due)
        .flatten()
        .collect();
    due.sort_by_key(|(due, _)| *due);
    due.truncate(MOST_SCHEDULED);
    let tasks: Vec<_> = due.into_iter().map(|(_, task)| task).collect();
    body(serde_json::to_value(tasks))
}

/// What is revoked at any of its queues: ids, then tasks and headers, each once.
pub(super) async fn revoked(
    responder: &Responder,
    notices: &mut Vec<String>,
) -> Result<Value, Error> {
    let of_queue = |broker: Arc<dyn Backend>, queue: QueueName| async move {
        let revoked = broker.revoked(&queue).await?;
        Ok::<Vec<Revocation>, Error>(revoked.iter().collect())
    };
    let read = each(responder, of_queue, notices).await?;
    let mut all: Vec<_> = read
        .into_iter()
        .filter_map(|(_, all)| all)
        .flatten()
        .collect();
    all.sort_by_key(|what| !matches!(what, Revocation::Id(_)));
    let mut texts: Vec<String> = all.iter().map(named).collect();
    let mut told = HashSet::new();
    texts.retain(|text| told.insert(text.clone()));
    texts.truncate(MAX_REVOKED);
    Ok(json!(texts))
}

pub(super) async fn active_queues(
    responder: &Responder,
    notices: &mut Vec<String>,
) -> Result<Value, Error> {
    let of_queue = |broker: Arc<dyn Backend>, queue: QueueName| async move {
        Ok(broker.depth(&queue).await?.paused.is_some())
    };
    let read = each(responder, of_queue, notices).await?;
    let queues = read.into_iter().map(|(served, paused)| ActiveQueue {
        name: served.queue.to_string(),
        weight: served.weight,
        paused: paused.unwrap_or_default(),
    });
    body(serde_json::to_value(queues.collect::<Vec<_>>()))
}

/// What `ask` answers for each queue of the worker, in their order. One that can not be read costs the others nothing: it is
/// said in `notices`. The first error, if that is so of all.
async fn each<T, F: Future<Output = Result<T, Error>>>(
    responder: &Responder,
    ask: impl Fn(Arc<dyn Backend>, QueueName) -> F,
    notices: &mut Vec<String>,
) -> Result<Vec<(Served, Option<T>)>, Error> {
    let one = |served: Served| {
        let answer = ask(Arc::clone(&responder.backend), served.queue.clone());
        async { (served, within(CALL, "a queue", answer).await) }
    };
    let queues = responder.pool.serving.queues().into_iter();
    let answers: Vec<_> = stream::iter(queues.map(one))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let (mut read, mut unread) = (Vec::with_capacity(answers.len()), Vec::new());
    for (served, answer) in answers {
        match answer {
            Ok(answer) => read.push((served, Some(answer))),
            Err(error) => {
                unread.push((served.queue.clone(), error));
                read.push((served, None));
            }
        }
    }
    if unread.len() == read.len()
        && let Some((_, first)) = unread.first()
    {
        return Err(first.clone());
    }
    let said = |(queue, error): &(QueueName, Error)| {
        format!("the queue {queue} can not be read, the answer is without it: {error}")
    };
    notices.extend(unread.iter().take(MOST_NAMED).map(said));
    if let Some(more) = unread.len().checked_sub(MOST_NAMED).filter(|n| *n > 0) {
        notices.push(format!("{more} more queues can not be read"));
    }
    Ok(read)
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
