//! From facts to words: which answer it is, and its sentences. Asks nobody.

use taskq_client::Place;
use taskq_core::{Record, State};

use super::facts::{Facts, Lies, Run};
use super::sentences::{
    ahead, back_from_the_gone, back_if_lost, crashed, due, elsewhere, error, expired, moment,
    nobody_listens, nobody_offers, paused as words_of_pause, since, unknown,
};
use crate::quantity::span;

/// The kind of an answer that is none.
pub(super) const UNKNOWN: &str = "unknown";

/// What the facts come to.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// One word for programs.
    pub(super) kind: &'static str,
    /// The first is the answer, the others belong to it.
    pub(super) sentences: Vec<String>,
    pub(super) ahead: Option<u64>,
    /// ms since the epoch.
    pub(super) due: Option<u64>,
}

impl Answer {
    fn new(kind: &'static str, sentences: impl IntoIterator<Item = String>) -> Self {
        Self {
            kind,
            sentences: sentences.into_iter().collect(),
            ahead: None,
            due: None,
        }
    }
}

pub(super) fn answer(facts: &Facts) -> Answer {
    if let Some(running) = running(facts) {
        return running;
    }
    match (&facts.record, &facts.lies) {
        (Some(record), None) if record.state.is_final() => over(facts, record),
        (Some(record), Some(lies)) if is_over(record, lies) => {
            let mut answer = over(facts, record);
            let there = elsewhere(facts, lies);
            answer.sentences.push(there);
            answer
        }
        (_, Some(lies)) => lying(facts, lies),
        (Some(record), None) => nowhere(facts, record),
        (None, None) => Answer::new(UNKNOWN, unknown(facts)),
    }
}

/// The record says how it ended, whatever else lies somewhere under its id.
fn is_over(record: &Record, lies: &Lies) -> bool {
    let dead = matches!(lies.place, Place::Dead { .. });
    record.state.is_final() && !dead
}

/// On a worker, by what that says.
fn running(facts: &Facts) -> Option<Answer> {
    let (node, run) = facts.runs.first_key_value()?;
    Some(match run {
        Run::Active(run) => {
            let mut words = format!(
                "running on {node} for {}, attempt {}",
                span(run.runtime_s),
                run.attempt
            );
            if let Some(p) = &run.progress {
                let done = match p.total {
                    0 => p.done.to_string(),
                    total => format!("{} of {total}", p.done),
                };
                let note = p.note.as_ref().map(|n| format!(" ({n})"));
                words.push_str(&format!("; it says {done}{}", note.unwrap_or_default()));
            }
            Answer::new("running", [words])
        }
        Run::Reserved(held) => {
            let age = facts.now as f64 / 1e3 - held.time_claimed;
            let age = span(age);
            let words = format!(
                "claimed by {node} {age} ago and not started: it waits for a thread, or for another that may crash the worker to end"
            );
            Answer::new("claimed", [words])
        }
    })
}

/// By its record.
fn over(facts: &Facts, record: &Record) -> Answer {
    let on = record.worker.as_ref().map(|w| format!(" on {w}"));
    let on = on.unwrap_or_default();
    let at = record.finished.map(|at| since(at, facts.now));
    let at = at.unwrap_or_default();
    let attempt = record.attempts;
    match record.state {
        State::Success => {
            let words = format!("it is over: it succeeded{at}{on}, attempt {attempt}");
            Answer::new("succeeded", [words])
        }
        State::Revoked => {
            let why = match &record.error {
                Some(e) if e.kind == "Purged" => ": its queue was purged".to_owned(),
                Some(e) if e.kind == "Terminated" => {
                    ": it was revoked while it ran, and cut off".to_owned()
                }
                Some(e) if e.message.is_empty() => String::new(),
                Some(e) => format!(": {}", e.message),
                None => ": its time was over before it ran".to_owned(),
            };
            let words = format!("it is over: it was revoked{at}{why}");
            Answer::new("revoked", [words])
        }
        state => {
            let (kind, verb) = match state {
                State::Failure => ("failed", "it failed for good"),
                _ => ("dead", "it is dead"),
            };
            let because = error(record);
            let words = format!("it is over: {verb}{at}{on}, attempt {attempt}{because}");
            let kept = facts.lies.is_none().then(|| {
                "its message is not in the dead set any more (dropped, or older than 7 days): it can not be replayed".to_owned()
            });
            Answer::new(kind, [words].into_iter().chain(kept))
        }
    }
}

/// By the place of its message.
fn lying(facts: &Facts, lies: &Lies) -> Answer {
    match &lies.place {
        Place::Dead { state, reason, at } => {
            let (kind, verb) = match state {
                State::Failure => ("failed", "failed for good"),
                _ => ("dead", "dead"),
            };
            let since = since(*at, facts.now);
            let queue = &lies.queue;
            let words = format!("{verb}{since} in the queue {queue}, because: {reason}");
            let can = match (&lies.message, facts.id) {
                (Some(_), Some(id)) => format!("`taskq dead replay {id}` runs it anew"),
                _ => "no worker could read it, so it can not be replayed".to_owned(),
            };
            Answer::new(kind, [words, can])
        }
        Place::Delayed { due: at } => delayed(facts, lies, *at),
        Place::Waiting { ahead } => waiting(facts, lies, *ahead, None),
        Place::Suspect { ahead } => waiting(facts, lies, *ahead, Some(crashed(facts))),
        Place::Held => held(facts, lies),
        Place::Returning => {
            let queue = &lies.queue;
            let words =
                format!("on its way back to the queue {queue}: the worker that held it was lost");
            let listens = nobody_listens(&facts.workers, queue, &facts.broker);
            Answer::new("returning", [words].into_iter().chain(listens))
        }
    }
}

fn delayed(facts: &Facts, lies: &Lies, at: u64) -> Answer {
    let queue = &lies.queue;
    let retries = lies.message.as_ref().map_or(0, |m| m.retries);
    let when = due(at, facts.now);
    let (kind, words) = if retries > 0 {
        let last = facts.record.as_ref().map(error).unwrap_or_default();
        let words = format!("retry {retries} is {when}: attempt {retries} failed{last}");
        ("retry", words)
    } else {
        (
            "delayed",
            format!("{when}: it waits for that in the queue {queue}"),
        )
    };
    let mut sentences = vec![words];
    sentences.extend(blocks(facts, lies).map(|(_, words)| words));
    Answer {
        due: Some(at),
        ..Answer::new(kind, sentences)
    }
}

fn waiting(facts: &Facts, lies: &Lies, before: u64, suspect: Option<String>) -> Answer {
    let mut blocks: Vec<(&str, String)> = blocks(facts, lies).collect();
    let line = ahead(facts, &lies.queue, before);
    let kind = match blocks.first() {
        Some((kind, _)) => kind,
        None if suspect.is_some() => "suspect",
        None => "waiting",
    };
    let mut sentences: Vec<String> = blocks.drain(..).map(|(_, words)| words).collect();
    sentences.extend(suspect);
    sentences.push(line);
    Answer {
        ahead: Some(before),
        ..Answer::new(kind, sentences)
    }
}

/// What keeps a message in its queue from being run, the most certain first.
fn blocks<'a>(
    facts: &'a Facts,
    lies: &'a Lies,
) -> impl Iterator<Item = (&'static str, String)> + 'a {
    let queue = &lies.queue;
    let revoked = facts.is_revoked.then(|| {
        let words = "it is revoked: it ends as REVOKED as soon as a worker claims it";
        ("revoked", words.to_owned())
    });
    let expires = lies.message.as_ref().and_then(|m| m.expires);
    let expired = expires
        .filter(|at| *at < facts.now)
        .map(|at| ("expired", expired(at, facts.now)));
    let paused = facts.depth.paused.as_ref();
    let paused = paused.map(|p| ("paused", words_of_pause(p, queue, facts.now)));
    let alone =
        nobody_listens(&facts.workers, queue, &facts.broker).map(|words| ("no_worker", words));
    let published = facts.published.is_some();
    let offers = |task| nobody_offers(&facts.workers, queue, task, published, &facts.broker);
    let unknown = facts
        .task()
        .and_then(offers)
        .map(|words| ("no_task", words));
    [revoked, expired, paused, alone, unknown]
        .into_iter()
        .flatten()
}

/// With a worker, none of which says so.
fn held(facts: &Facts, lies: &Lies) -> Answer {
    let queue = &lies.queue;
    let started = facts.record.as_ref().filter(|r| r.state == State::Started);
    let by = started.and_then(|r| r.worker.as_deref());
    if let Some(listens) = nobody_listens(&facts.workers, queue, &facts.broker) {
        let back = back_from_the_gone(&facts.broker);
        let words = format!("claimed from the queue {queue} by a worker that is gone; {back}");
        return Answer::new("held", [words, listens]);
    }
    if facts.silent.is_empty() {
        let words = format!(
            "claimed from the queue {queue}, and none of the workers has it: it has just ended, or its worker was lost and \
             it comes back within a lease; ask again"
        );
        return Answer::new("held", [words]);
    }
    let silent = facts.silent.join(", ");
    let by = by.map_or_else(String::new, |node| format!(" by {node}"));
    let words = format!(
        "claimed from the queue {queue}{by}; no answer from {silent}: {}",
        back_if_lost(&facts.broker)
    );
    Answer::new("held", [words])
}

/// It has a record and no message was found.
fn nowhere(facts: &Facts, record: &Record) -> Answer {
    let (state, queue) = (record.state, &record.queue);
    let mut words =
        format!("its record says {state}, and its message was not found in the queue {queue}");
    if facts.partly.is_empty() {
        words.push_str(
            ": it moved while it was looked for, or its queue was deleted by hand; ask again",
        );
    } else {
        words.push_str(", of which not every message was looked at: it may wait among those");
    }
    let due = record.due.filter(|at| *at > facts.now);
    let due = due.map(|at| format!("it is due {}", moment(at)));
    Answer::new("not_found", [words].into_iter().chain(due))
}
