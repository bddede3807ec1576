//! Reading events: the stream of each queue and of the fleet, from where a reader stands.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Value, cmd};

use super::RedisBroker;
use super::inspect::queues;
use super::link::Link;
use super::value::{array, bytes, number, text};
use crate::error::Error;
use crate::event::{Event, EventPage, EventPosition, Fact, WorkerEvent, WorkerEventKind, compact};
use crate::fleet::WorkerCard;
use crate::id::QueueName;

/// The fleet's stream keeps about this many events.
pub(super) const FLEET_EVENTS: u64 = 10_000;

/// So many entries of each stream make a page; an entry of a queue tells of up to 999 messages.
const PAGE: usize = 10;

/// A reader waits this long at most; new queues are found that soon.
const LONGEST: Duration = Duration::from_secs(5);

/// Before the first entry of any stream.
const BEGINNING: &str = "0-0";

/// What the fleet's events tell of a worker.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredWorker {
    node: Box<str>,
    pid: u32,
    active: usize,
    processed: u64,
    version: Box<str>,
}

/// The stored form of what is told of a worker.
pub(super) fn worker_json(card: &WorkerCard) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&StoredWorker {
        node: card.node.as_str().into(),
        pid: card.pid,
        active: card.active,
        processed: card.processed,
        version: card.version.as_str().into(),
    })
}

/// A stream's key, and whose it is.
type Streams = BTreeMap<String, Option<QueueName>>;

pub(super) async fn read(
    broker: &RedisBroker,
    after: &EventPosition,
    wait: Duration,
) -> Result<EventPage, Error> {
    let names = &broker.endpoint.namespace;
    let mut streams = Streams::from([(names.fleet_events(), None)]);
    for queue in queues(broker).await? {
        streams.insert(names.queue(&queue).events, Some(queue));
    }
    let (mut from, missed) = positions(broker, after, &streams).await?;
    let wait = wait.min(LONGEST);
    let mut ask = cmd("XREAD");
    ask.arg("COUNT").arg(PAGE);
    if !wait.is_zero() {
        // Zero would block for ever.
        ask.arg("BLOCK").arg(wait.as_millis().max(1) as u64);
    }
    ask.arg("STREAMS");
    for key in from.keys() {
        ask.arg(key);
    }
    for id in from.values() {
        ask.arg(id);
    }
    // A connection of its own: the others must not stand behind the block.
    let mut link = Link::new(&broker.endpoint, Duration::from_secs(3));
    let answers = link.all(&[ask], wait).await?;
    let answer = answers.into_iter().next().unwrap_or(Ok(Value::Nil))?;
    let read: Vec<_> = pairs(answer)
        .into_iter()
        .map(|(key, entries)| (key, pairs_of(entries)))
        .collect();
    let horizon = horizon(&read);
    let mut events = Vec::new();
    for (key, entries) in read {
        let Some(queue) = streams.get(&key) else {
            continue;
        };
        for (id, fields) in entries {
            let (at, _) = order(&id);
            if at > horizon {
                break;
            }
            read_entry(queue.as_ref(), at, fields, &mut events);
            from.insert(key.clone(), id);
        }
    }
    events.sort_by_key(|event: &Event| event.at);
    Ok(EventPage {
        events,
        next: EventPosition {
            read: from,
            // What turns up from here on is read whole.
            from_oldest: true,
        },
        missed,
    })
}

/// The time up to which every stream was read. Of one that gave as much as it may there is more: what others tell of later
/// waits for the page that has it, so that pages follow each other in time.
fn horizon(read: &[(String, Vec<(String, Value)>)]) -> u64 {
    let full = read.iter().filter(|(_, entries)| entries.len() >= PAGE);
    let ends = full.filter_map(|(_, entries)| entries.last());
    ends.map(|(id, _)| order(id).0).min().unwrap_or(u64::MAX)
}

/// Where each stream is read from, and whether something between there and its first entry may be gone.
///
/// A stream whose key holds something else is left out: it is nobody's trouble but its own queue's.
async fn positions(
    broker: &RedisBroker,
    after: &EventPosition,
    streams: &Streams,
) -> Result<(BTreeMap<String, String>, bool), Error> {
    let mut asks = Vec::with_capacity(2 * streams.len());
    for key in streams.keys() {
        let (mut first, mut about) = (cmd("XRANGE"), cmd("XINFO"));
        first.arg(key).arg("-").arg("+").arg("COUNT").arg(1);
        about.arg("STREAM").arg(key);
        asks.extend([first, about]);
    }
    let answers = broker.short.each(&asks).await?;
    let (mut from, mut missed) = (BTreeMap::new(), false);
    for (key, answers) in streams.keys().zip(answers.chunks(2)) {
        let Ok(first) = &answers[0] else { continue };
        let first = pairs_of(first.clone()).into_iter().next().map(|(id, _)| id);
        // There is no such stream yet, or any more: an error.
        let about = answers[1].as_ref().ok();
        let last = about.and_then(last_id);
        // By one answer: between two of them something may be told.
        let empty = about.is_some_and(is_empty);
        let begin = match after.read.get(key) {
            Some(read) if read != BEGINNING => {
                let is_behind = |id: &String| order(read) < order(id);
                // Sweeps empty a stream of old entries; its last id stays.
                let trimmed = match &first {
                    Some(first) => is_behind(first),
                    None => empty && last.as_ref().is_some_and(is_behind),
                };
                // A stream that ends before where it was read to is another one.
                let renewed = last.as_ref().is_none_or(|last| order(last) < order(read));
                missed |= trimmed || renewed;
                if renewed { BEGINNING } else { read }
            }
            Some(_) => BEGINNING,
            None if after.from_oldest => BEGINNING,
            None => last.as_deref().unwrap_or(BEGINNING),
        };
        // Where nothing is left there is nothing more to read: whoever stood before it stands behind it.
        let begin = last.as_deref().filter(|_| empty).unwrap_or(begin);
        from.insert(key.clone(), begin.to_owned());
    }
    Ok((from, missed))
}

/// The id of the last entry that a stream ever had, out of what XINFO answers.
fn last_id(about: &Value) -> Option<String> {
    let id = said(about, "last-generated-id")?;
    text(&id).map(str::to_owned)
}

/// Whether a stream has no entry, out of the same.
fn is_empty(about: &Value) -> bool {
    said(about, "length").and_then(|length| number(&length)) == Some(0)
}

/// What XINFO answers under a name.
fn said(about: &Value, name: &str) -> Option<Value> {
    let words = match about.clone() {
        Value::Map(pairs) => pairs.into_iter().flat_map(|(k, v)| [k, v]).collect(),
        other => array(other)?,
    };
    let mut pairs = words.chunks_exact(2);
    let pair = pairs.find(|pair| text(&pair[0]) == Some(name))?;
    Some(pair[1].clone())
}

fn order(id: &str) -> (u64, u64) {
    let (ms, n) = id.split_once('-').unwrap_or((id, "0"));
    (ms.parse().unwrap_or(0), n.parse().unwrap_or(0))
}

fn read_entry(queue: Option<&QueueName>, at: u64, fields: Value, events: &mut Vec<Event>) {
    let mut told = BTreeMap::new();
    let mut words = array(fields).unwrap_or_default().into_iter();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if let (Some(name), Some(value)) = (text(&name), bytes(value)) {
            told.insert(name.to_owned(), value);
        }
    }
    match queue {
        Some(queue) => {
            let Some((worker, rows)) = told.get("e").and_then(|e| compact::decode(e)) else {
                return;
            };
            let all = rows
                .into_iter()
                .flat_map(|row| row.expand(at, queue, worker.as_ref()));
            events.extend(all);
        }
        None => events.extend(read_worker(&told).map(|worker| Event {
            at,
            queue: None,
            fact: Fact::Worker(Box::new(worker)),
        })),
    }
}

fn read_worker(told: &BTreeMap<String, Vec<u8>>) -> Option<WorkerEvent> {
    let word = std::str::from_utf8(told.get("k")?).ok()?;
    let kind = WorkerEventKind::ALL
        .into_iter()
        .find(|k| k.as_str() == word)?;
    let stored: Option<StoredWorker> = told.get("j").and_then(|j| serde_json::from_slice(j).ok());
    // Of one that lapsed only its name is known.
    let stored = match stored {
        Some(stored) => stored,
        None => StoredWorker {
            node: std::str::from_utf8(told.get("n")?).ok()?.into(),
            pid: 0,
            active: 0,
            processed: 0,
            version: "".into(),
        },
    };
    Some(WorkerEvent {
        kind,
        node: stored.node,
        pid: stored.pid,
        active: stored.active,
        processed: stored.processed,
        version: stored.version,
    })
}

/// What XREAD answers: streams with their entries.
fn pairs(answer: Value) -> Vec<(String, Value)> {
    match answer {
        Value::Map(pairs) => pairs
            .into_iter()
            .filter_map(|(key, entries)| Some((text(&key)?.to_owned(), entries)))
            .collect(),
        other => pairs_of(other),
    }
}

/// Arrays of a name and a value.
fn pairs_of(value: Value) -> Vec<(String, Value)> {
    let pair = |pair: Value| {
        let mut pair = array(pair)?.into_iter();
        let name = text(&pair.next()?)?.to_owned();
        Some((name, pair.next()?))
    };
    array(value)
        .unwrap_or_default()
        .into_iter()
        .filter_map(pair)
        .collect()
}

/// What happened at a queue since it exists.
pub(super) fn totals(answer: Value) -> crate::broker::Totals {
    let mut totals = crate::broker::Totals::default();
    let mut words = match answer {
        Value::Map(pairs) => pairs.into_iter().flat_map(|(k, v)| [k, v]).collect(),
        other => array(other).unwrap_or_default(),
    }
    .into_iter();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        let n = number(&value).unwrap_or(0);
        match text(&name) {
            Some("sent") => totals.sent = n,
            Some("succeeded") => totals.succeeded = n,
            Some("failed") => totals.failed = n,
            Some("retried") => totals.retried = n,
            Some("dead") => totals.dead = n,
            Some("revoked") => totals.revoked = n,
            Some("crashed") => totals.crashed = n,
            Some("returned") => totals.returned = n,
            _ => {}
        }
    }
    totals
}
