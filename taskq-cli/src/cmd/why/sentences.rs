//! Single sentences, and parts of them.

use taskq_client::Place;
use taskq_core::broker::{MAX_SEARCHED, Paused};
use taskq_core::fleet::WorkerCard;
use taskq_core::{QueueName, Record};

use super::facts::{Facts, Lies};
use crate::cmd::sure::grouped;
use crate::quantity::{rfc3339, span};

/// A sentence names no more than these.
const NAMED_AT_MOST: usize = 10;

/// ` 3.0s ago (2026-01-01T00:00:00.000Z)`
pub(super) fn since(at: u64, now: u64) -> String {
    let age = span(now.saturating_sub(at) as f64 / 1e3);
    format!(" {age} ago ({})", moment(at))
}

pub(super) fn moment(at: u64) -> String {
    rfc3339(at).unwrap_or_else(|| format!("{at} ms after 1970"))
}

/// `due in 5m00s (…)`
pub(super) fn due(at: u64, now: u64) -> String {
    match at.checked_sub(now) {
        Some(wait) if wait > 0 => {
            let wait = span(wait as f64 / 1e3);
            format!("due in {wait} ({})", moment(at))
        }
        _ => format!(
            "due since {}, and joins those that wait with the next claim",
            moment(at)
        ),
    }
}

/// `: Timeout: the bank is away`, if the record tells an error.
pub(super) fn error(record: &Record) -> String {
    let error = record.error.as_ref();
    error.map_or_else(String::new, |e| format!(": {}: {}", e.kind, e.message))
}

pub(super) fn expired(at: u64, now: u64) -> String {
    let since = since(at, now);
    format!("it expired{since}: it ends as REVOKED as soon as a worker claims it")
}

pub(super) fn paused(paused: &Paused, queue: &QueueName, now: u64) -> String {
    let by = match &*paused.by {
        "" => String::new(),
        by => format!(" by {by}"),
    };
    let since = match paused.since {
        0 => String::new(),
        at => since(at, now),
    };
    let because = match &*paused.reason {
        "" => String::new(),
        reason => format!(", because: {reason}"),
    };
    format!(
        "the queue {queue} was paused{by}{since}{because}; `taskq control resume {queue}` goes on"
    )
}

/// Of a queue from which none of `workers` takes. The broker is named: who has two may have asked the other one.
pub(super) fn nobody_listens(
    workers: &[WorkerCard],
    queue: &QueueName,
    broker: &str,
) -> Option<String> {
    if workers.iter().any(|w| w.takes_from(queue)) {
        return None;
    }
    if workers.is_empty() {
        return Some(format!(
            "no worker listens to the queue {queue} of {broker}: no worker runs there at all"
        ));
    }
    let live = workers.iter().map(|w| {
        let queues: Vec<&str> = w.queues.iter().map(QueueName::as_str).collect();
        let stops = if w.stopping { " (it stops)" } else { "" };
        format!("{} at {}{stops}", w.node, queues.join(","))
    });
    let live = some(live.collect());
    Some(format!(
        "no worker listens to the queue {queue} of {broker}; these live: {live}"
    ))
}

/// Whether the kernel tells that a worker's process has ended, so that nobody waits for its lease: over a file, on Linux.
fn kernel_tells(broker: &str) -> bool {
    cfg!(target_os = "linux") && broker.starts_with("sqlite:")
}

/// When that comes back which a worker held that is not registered any more.
pub(super) fn back_from_the_gone(broker: &str) -> &'static str {
    if kernel_tells(broker) {
        "it comes back as soon as a worker listens there, or before that by the sweep of any other over this file; if its process still lives, once one has listened there for one lease (10 s unless --lease says otherwise)"
    } else {
        "it comes back once a worker has listened there for one lease (10 s unless --lease says otherwise)"
    }
}

/// When that comes back which a worker holds that does not answer.
pub(super) fn back_if_lost(broker: &str) -> &'static str {
    if kernel_tells(broker) {
        "if its process has ended, the message comes back as soon as another worker listens there, or before that by the sweep of any other over this file; else, if it was lost, when its lease is over"
    } else {
        "if it was lost, the message comes back when its lease is over"
    }
}

/// Of a task that none of `workers` at its queue offers. Where nobody listens there is more to say than this.
pub(super) fn nobody_offers(
    workers: &[WorkerCard],
    queue: &QueueName,
    task: &str,
    was_published: bool,
    broker: &str,
) -> Option<String> {
    let here = || workers.iter().filter(|w| w.takes_from(queue));
    if here().next().is_none() || here().any(|w| w.tasks.iter().any(|t| t == task)) {
        return None;
    }
    let known = if was_published {
        "workers that are gone, or at other queues, offered it"
    } else {
        "no worker has published it within 7 days"
    };
    let nodes = some(here().map(|w| w.node.clone()).collect());
    Some(format!(
        "no live worker at the queue {queue} of {broker} offers the task {task} ({known}): {nodes} will end it as DEAD (unknown task)"
    ))
}

/// Held back after crashes.
pub(super) fn crashed(facts: &Facts) -> String {
    let message = facts.lies.as_ref().and_then(|l| l.message.as_ref());
    let limit = message.map_or(taskq_core::message::DEFAULT_MAX_CRASHES, |m| {
        m.crash_limit()
    });
    let before = limit.saturating_sub(1);
    format!(
        "it is held back: its process died {before} of {limit} times while it ran, so each worker runs one such task at a time"
    )
}

/// Its place in the line, and how long that may take.
pub(super) fn ahead(facts: &Facts, queue: &QueueName, before: u64) -> String {
    if before == 0 {
        return format!("it is the next to be claimed from the queue {queue}");
    }
    let there = grouped(before);
    let are = if before == 1 { "is" } else { "are" };
    let line = format!("{there} {are} ahead of it in the queue {queue}");
    match facts.rate {
        Some(rate) if rate > 0.0 => {
            let pace = if rate >= 10.0 {
                grouped(rate.round() as u64)
            } else {
                format!("{rate:.1}")
            };
            let seconds = before as f64 / rate;
            let wait = if seconds < 60.0 {
                format!("{} s", seconds.ceil())
            } else {
                span(seconds)
            };
            format!("{line}; at {pace}/s that is about {wait}")
        }
        Some(_) => {
            let busy = facts
                .busy
                .map(|(running, slots)| format!(" ({running} of {slots} slots are busy)"));
            let busy = busy.unwrap_or_default();
            format!("{line}; none ended within the second that was looked at{busy}")
        }
        None => line,
    }
}

/// What lies there under an id whose record is final.
pub(super) fn elsewhere(facts: &Facts, lies: &Lies) -> String {
    let queue = &lies.queue;
    let place = match lies.place {
        Place::Waiting { .. } | Place::Suspect { .. } => "waits",
        Place::Delayed { .. } => "is delayed",
        Place::Held => "is with a worker",
        Place::Returning => "is on its way back",
        Place::Dead { .. } => "is dead",
    };
    if facts.is_revoked {
        return format!(
            "its message still {place} in the queue {queue}: it does not run, and goes when a worker claims it"
        );
    }
    format!(
        "a message of this id {place} in the queue {queue} all the same: it was sent twice, or ends when it is claimed"
    )
}

/// How far was looked.
pub(super) fn unknown(facts: &Facts) -> Vec<String> {
    let id = facts.id.map(|id| id.to_string()).unwrap_or_default();
    let queues = some(facts.looked_in.iter().map(ToString::to_string).collect());
    let looked = if facts.looked_in.is_empty() {
        "there is no queue to look in".to_owned()
    } else {
        format!("no record, and no message of this id in {queues}")
    };
    let broker = &facts.broker;
    let mut sentences = vec![format!(
        "{id} is unknown to {broker}, or has expired: {looked}"
    )];
    if !facts.partly.is_empty() {
        let partly = some(facts.partly.iter().map(ToString::to_string).collect());
        let most = grouped(MAX_SEARCHED as u64);
        sentences.push(format!(
            "not every message of {partly} was looked at: of each place {most} messages and 64 MiB at most"
        ));
    }
    sentences
}

fn some(mut names: Vec<String>) -> String {
    if names.len() > NAMED_AT_MOST {
        let more = names.len() - NAMED_AT_MOST;
        names.truncate(NAMED_AT_MOST);
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}
