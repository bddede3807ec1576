//! The stored form of what one step told: a header with the names it uses once each, then a row per message.
//!
//! A row ends where its fields end, so rows can be joined behind their header by whoever only moves bytes (a script).
//! Whole numbers are LEB128, texts have their length in bytes before them. docs/protocol.md has the layout.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::{TaskEventKind, Told};
use crate::id::TaskId;

/// The first byte.
const VERSION: u8 = 1;

/// An entry has at most this many bytes: what no longer fits is told without its texts.
const MAX_BYTES: usize = 64 << 10;

/// Names take at most this much of an entry; a task whose name no longer fits is told without it.
const MAX_NAMES: usize = 8 << 10;

const RETRIES: u64 = 1;
const RECEIVED: u64 = 1 << 1;
const STARTED: u64 = 1 << 2;
const RUNTIME: u64 = 1 << 3;
const SAID: u64 = 1 << 4;
const TRACEBACK: u64 = 1 << 5;
const ARGS: u64 = 1 << 6;
const KWARGS: u64 = 1 << 7;
const ETA: u64 = 1 << 8;
const EXPIRES: u64 = 1 << 9;
const ROOT: u64 = 1 << 10;
const PARENT: u64 = 1 << 11;
const REQUEUED: u64 = 1 << 12;
const CRASHED: u64 = 1 << 13;
const EXPIRED: u64 = 1 << 14;
const TERMINATED: u64 = 1 << 15;

/// A row without texts, further ids and limits in time has so many bytes at most, by clocks that differ by days.
const BARE: usize = 48;

/// What one step told, in its stored form: the header, and a row for each message in order.
#[derive(Debug, Default)]
pub(crate) struct Compact {
    pub(crate) header: Vec<u8>,
    pub(crate) rows: Vec<Vec<u8>>,
}

impl Compact {
    /// The stored form of `told`, by `worker`; times in the rows are relative to `now_ms`, the teller's clock.
    pub(crate) fn encode<'a>(
        told: impl IntoIterator<Item = &'a Told>,
        worker: Option<&str>,
        now_ms: u64,
    ) -> Self {
        let told: Vec<&Told> = told.into_iter().collect();
        let mut names: HashMap<&str, u64> = HashMap::new();
        let mut table = Vec::new();
        for one in &told {
            if !names.contains_key(&*one.task) && table.len() + one.task.len() < MAX_NAMES {
                put_text(&mut table, &one.task);
                names.insert(&one.task, names.len() as u64 + 1);
            }
        }
        let mut header = vec![VERSION];
        put_text(&mut header, worker.unwrap_or_default());
        put(&mut header, now_ms);
        put(&mut header, names.len() as u64);
        header.extend_from_slice(&table);
        let mut room = MAX_BYTES.saturating_sub(header.len() + told.len() * BARE);
        let name = |one: &Told| names.get(&*one.task).copied().unwrap_or(0);
        let rows = told
            .iter()
            .map(|one| row(one, name(one), now_ms, &mut room))
            .collect();
        Self { header, rows }
    }

    /// All of it as one entry.
    #[cfg(any(test, feature = "sqlite"))]
    pub(crate) fn joined(&self) -> Vec<u8> {
        let mut entry = self.header.clone();
        for row in &self.rows {
            entry.extend_from_slice(row);
        }
        entry
    }
}

fn row(told: &Told, name: u64, now_ms: u64, room: &mut usize) -> Vec<u8> {
    let texts = [
        (SAID, &told.said),
        (TRACEBACK, &told.traceback),
        (ARGS, &told.args),
        (KWARGS, &told.kwargs),
    ];
    // What its sender set may be any number; it takes its room as texts do.
    let mut limit = |at: Option<u64>| {
        let at = at.filter(|_| *room >= 10);
        *room -= if at.is_some() { 10 } else { 0 };
        at
    };
    let (eta, expires) = (limit(told.eta), limit(told.expires));
    let numbers = [
        (RETRIES, Some(u64::from(told.retries)).filter(|n| *n > 0)),
        (RECEIVED, told.received.map(|at| ago(now_ms, at))),
        (STARTED, told.started.map(|at| ago(now_ms, at))),
        (RUNTIME, told.runtime.map(micros)),
        (ETA, eta),
        (EXPIRES, expires),
    ];
    let mut ids = [(ROOT, told.root_id), (PARENT, told.parent_id)];
    let marks = [
        (REQUEUED, told.requeued),
        (CRASHED, told.crashed),
        (EXPIRED, told.expired),
        (TERMINATED, told.terminated),
    ];
    let mut flags = 0;
    let mut kept = [None; 4];
    for (keep, (flag, text)) in kept.iter_mut().zip(texts) {
        // The first ones that fit: an entry is not large because of one text.
        *keep = text.as_deref().filter(|text| text.len() + 3 <= *room);
        if let Some(text) = keep {
            *room -= text.len() + 3;
            flags |= flag;
        }
    }
    for (_, id) in &mut ids {
        *id = id.filter(|_| *room >= 16);
        *room -= if id.is_some() { 16 } else { 0 };
    }
    let set = |flag: u64, there: bool| if there { flag } else { 0 };
    flags |= numbers
        .iter()
        .map(|(f, n)| set(*f, n.is_some()))
        .sum::<u64>();
    flags |= ids.iter().map(|(f, id)| set(*f, id.is_some())).sum::<u64>();
    flags |= marks.iter().map(|(f, on)| set(*f, *on)).sum::<u64>();

    let mut row = Vec::with_capacity(BARE);
    row.push(code(told.kind));
    put(&mut row, flags);
    row.extend_from_slice(told.id.as_bytes());
    put(&mut row, name);
    for n in numbers.iter().filter_map(|(_, n)| *n) {
        put(&mut row, n);
    }
    for id in ids.iter().filter_map(|(_, id)| *id) {
        row.extend_from_slice(id.as_bytes());
    }
    for text in kept.into_iter().flatten() {
        put_text(&mut row, text);
    }
    row
}

/// Reads an entry: who told it, and what. `None`: it is damaged, or of a later version.
pub(crate) fn decode(entry: &[u8]) -> Option<(Option<Arc<str>>, Vec<Told>)> {
    let mut rest = Reader(entry);
    if rest.byte()? != VERSION {
        return None;
    }
    let worker = rest.text()?;
    let base = rest.number()?;
    let count = usize::try_from(rest.number()?).ok()?;
    // Every name has at least its length.
    if count > rest.0.len() {
        return None;
    }
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        names.push(rest.text()?);
    }
    let mut told = Vec::new();
    while !rest.0.is_empty() {
        told.push(read_row(&mut rest, &names, base)?);
    }
    Some(((!worker.is_empty()).then(|| worker.into()), told))
}

fn read_row(rest: &mut Reader<'_>, names: &[&str], base: u64) -> Option<Told> {
    let kind = kind(rest.byte()?).ok()?;
    let flags = rest.number()?;
    let has = |flag: u64| flags & flag != 0;
    let id = rest.id()?;
    let name = usize::try_from(rest.number()?).ok()?;
    let task = match name {
        0 => "",
        n => *names.get(n - 1)?,
    };
    let mut number = |flag: u64| -> Option<Option<u64>> {
        Some(if has(flag) {
            Some(rest.number()?)
        } else {
            None
        })
    };
    let retries = u32::try_from(number(RETRIES)?.unwrap_or(0)).ok()?;
    let received = number(RECEIVED)?.map(|ago| at(base, ago));
    let started = number(STARTED)?.map(|ago| at(base, ago));
    let runtime = number(RUNTIME)?.map(Duration::from_micros);
    let eta = number(ETA)?;
    let expires = number(EXPIRES)?;
    let root_id = if has(ROOT) { Some(rest.id()?) } else { None };
    let parent_id = if has(PARENT) { Some(rest.id()?) } else { None };
    let mut text = |flag: u64| -> Option<Option<Box<str>>> {
        Some(if has(flag) {
            Some(rest.text()?.into())
        } else {
            None
        })
    };
    Some(Told {
        kind,
        id,
        task: task.into(),
        retries,
        received,
        started,
        runtime,
        said: text(SAID)?,
        traceback: text(TRACEBACK)?,
        args: text(ARGS)?,
        kwargs: text(KWARGS)?,
        eta,
        expires,
        root_id,
        parent_id,
        requeued: has(REQUEUED),
        crashed: has(CRASHED),
        expired: has(EXPIRED),
        terminated: has(TERMINATED),
    })
}

/// 0 is a row that only tells that a run began.
fn code(kind: Option<TaskEventKind>) -> u8 {
    let at = kind.and_then(|kind| TaskEventKind::ALL.iter().position(|k| *k == kind));
    at.map_or(0, |at| at as u8 + 1)
}

/// `Err`: no code of this version.
fn kind(code: u8) -> Result<Option<TaskEventKind>, u8> {
    match code {
        0 => Ok(None),
        n => match TaskEventKind::ALL.get(usize::from(n) - 1) {
            Some(kind) => Ok(Some(*kind)),
            None => Err(code),
        },
    }
}

/// ms before `now`; the lowest bit says when it lies behind it, by clocks that disagree.
fn ago(now: u64, at: u64) -> u64 {
    if at <= now {
        (now - at) << 1
    } else {
        (at - now) << 1 | 1
    }
}

fn at(now: u64, ago: u64) -> u64 {
    if ago & 1 == 0 {
        now.saturating_sub(ago >> 1)
    } else {
        now.saturating_add(ago >> 1)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let n = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.bytes(n)?).ok()
    }

    fn id(&mut self) -> Option<TaskId> {
        let bytes = self.bytes(16)?.try_into().ok()?;
        Some(TaskId::from(Uuid::from_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Message;

    fn told(n: usize) -> Told {
        let mut message = Message::new(format!("task.{}", n % 3));
        message.retries = n as u32;
        Told {
            said: Some("\"olá\"".into()),
            runtime: Some(Duration::from_micros(1_234_567)),
            received: Some(1_000_000 - n as u64),
            started: Some(1_000_000 + n as u64),
            root_id: Some(message.id),
            requeued: n.is_multiple_of(2),
            terminated: n.is_multiple_of(3),
            ..Told::sent(&message)
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let all: Vec<Told> = (0..50).map(told).collect();
        let entry = Compact::encode(&all, Some("w1@host"), 1_000_000).joined();
        let (worker, read) = decode(&entry).unwrap();
        assert_eq!(worker.as_deref(), Some("w1@host"));
        assert_eq!(read, all);
    }

    #[test]
    fn a_full_batch_of_long_texts_stays_within_its_bound() {
        let long: Box<str> = "ñ".repeat(1_024).into();
        let all: Vec<Told> = (0..999)
            .map(|n| Told {
                task: format!("{n:0>256}").into(),
                args: Some(long.clone()),
                eta: Some(u64::MAX),
                expires: Some(u64::MAX),
                parent_id: Some(TaskId::NIL),
                ..told(n)
            })
            .collect();
        let entry = Compact::encode(&all, None, 0).joined();
        assert!(entry.len() <= MAX_BYTES, "{}", entry.len());
        let (_, read) = decode(&entry).unwrap();
        assert_eq!(read.len(), 999);
        assert!(read[0].args.is_some() && read[998].args.is_none());
        assert!(!read[0].task.is_empty() && read[998].task.is_empty());
    }

    proptest! {
        #[test]
        fn damaged_entries_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(decode(&bytes));
        }

        #[test]
        fn cut_entries_do_no_harm(cut in 0_usize..400) {
            let all: Vec<Told> = (0..3).map(told).collect();
            let mut entry = Compact::encode(&all, Some("w"), 7).joined();
            entry.truncate(cut);
            if let Some((_, read)) = decode(&entry) {
                prop_assert!(read.len() <= 3);
            }
        }
    }
}
