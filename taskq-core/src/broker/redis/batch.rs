//! A batch of verdicts as one call of the script.

use std::cmp::Reverse;
use std::time::Duration;

use redis::Cmd;

use super::dead;
use super::endpoint::Endpoint;
use super::records::{Placed, RETENTION_S};
use super::scripts;
use super::session::{Seat, Session, ms};
use crate::broker::{End, RevokeCause, Verdict};
use crate::clock::now_ms;
use crate::error::Error;
use crate::event::Told;
use crate::event::compact::Compact;
use crate::id::TaskId;
use crate::outcome::Failure;
use crate::record::Record;
use crate::state::State;

/// The indexes in the script's KEYS: the suspects, the plain ready list, the first record.
const SUSPECTS_KEY: usize = 4;
const READY_KEY: usize = 7;
const RECORD_KEY: usize = 21;

/// Verdicts under one number, ready to be sent and sent again.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) generation: u64,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) call: Cmd,
    /// Copies of it may still be under way, unanswered.
    pub(super) unanswered: bool,
    placed: Placed,
    barred: Barred,
}

/// Tasks whose record can not stand where it should: that key has the wrong type.
#[derive(Debug, Default)]
pub(super) struct Barred {
    from_bucket: Vec<TaskId>,
    from_own: Vec<TaskId>,
}

impl Batch {
    /// The next finish of the session of `generation`; `None` when that has ended.
    pub(super) fn build(
        endpoint: &Endpoint,
        seat: &Seat,
        generation: u64,
        verdicts: Vec<Verdict>,
        barred: Barred,
    ) -> Result<Option<Self>, Error> {
        let state = seat.state();
        let Some(session) = state
            .session
            .as_ref()
            .filter(|s| s.generation == generation)
        else {
            return Ok(None);
        };
        let placed = place(&verdicts, &barred)?;
        let k = &seat.keys;
        let fixed = [&k.delayed, &k.dead, &k.suspects, &k.bell, &k.records];
        let told = [&k.meta, &k.events, &k.totals, &k.waiters];
        let keys = std::iter::once(k.session(&session.id))
            .chain(fixed.into_iter().chain(&k.ready).chain(told).cloned())
            .chain(placed.keys(k));
        let mut call = scripts::FINISH.call(keys);
        let newest = verdicts
            .iter()
            .map(|v| v.receipt.tag / 1000)
            .max()
            .unwrap_or(0);
        let count = |f: fn(&End) -> bool| verdicts.iter().filter(|v| f(&v.end)).count();
        call.arg(endpoint.offset_ms())
            .arg(session.next_finish)
            .arg(newest)
            .arg(RETENTION_S);
        dead::bounds(&mut call);
        call.arg(verdicts.len());
        call.arg(count(|e| matches!(e, End::Retry { .. } | End::Snooze(_))));
        call.arg(count(|e| matches!(e, End::Return)));
        call.arg(count(|e| matches!(e, End::Dead { .. })));
        call.arg(placed.buckets()).arg(placed.own());
        // The next suspect may run: the bell must tell.
        let freed = verdicts.iter().any(|v| {
            session
                .out
                .get(&v.receipt.tag)
                .is_some_and(|out| out.suspect)
        });
        call.arg(u8::from(freed));
        let Tale {
            event,
            others,
            revoked,
        } = events(&verdicts, &seat.node);
        call.arg(event);
        call.arg(count(|e| matches!(e, End::Done)));
        call.arg(count(|e| dead_as(e) == Some(State::Failure)));
        call.arg(count(|e| matches!(e, End::Retry { .. })));
        call.arg(count(|e| dead_as(e).is_some_and(|s| s != State::Failure)));
        call.arg(count(|e| matches!(e, End::Revoked(_))));
        for verdict in &verdicts {
            call.arg(verdict.receipt.tag);
        }
        delayed(&mut call, session, &verdicts);
        returned(&mut call, session, &verdicts);
        for verdict in &verdicts {
            if let End::Dead { state, reason } = &verdict.end {
                let header = dead::header(*state, reason, &session.id, verdict.receipt.tag)?;
                call.arg(verdict.receipt.tag).arg(header);
            }
        }
        placed.arguments(&mut call);
        call.arg(u8::from(others));
        for (id, row) in revoked {
            call.arg(id.to_string()).arg(row);
        }
        Ok(Some(Self {
            generation,
            verdicts,
            call,
            unanswered: false,
            placed,
            barred,
        }))
    }

    /// The same batch, but what has its record at `key` (an index in the script's KEYS) is DEAD.
    pub(super) fn without_record_at(
        mut self,
        endpoint: &Endpoint,
        seat: &Seat,
        key: u64,
    ) -> Result<Option<Self>, Error> {
        let index = usize::try_from(key).unwrap_or(0).saturating_sub(RECORD_KEY);
        let ids = self.placed.ids_at(index);
        let name = self
            .placed
            .keys(&seat.keys)
            .get(index)
            .cloned()
            .unwrap_or_default();
        tracing::error!(queue = %seat.queue, key = name, tasks = ids.len(), "a record's key has the wrong type; its tasks go to the dead set");
        for verdict in &mut self.verdicts {
            let Some(record) = verdict.record.take_if(|r| ids.contains(&r.id)) else {
                continue;
            };
            let reason =
                format!("the record can not be written: the key {name} has the wrong type");
            verdict.record = Some(Record {
                state: State::Dead,
                result: None,
                error: Some(Failure::new("RecordNotWritable", &reason)),
                ..record
            });
            verdict.end = End::Dead {
                state: State::Dead,
                reason,
            };
        }
        // Added to those found before: a batch may meet several such keys.
        let barred = &mut self.barred;
        let from = if index < self.placed.buckets() {
            &mut barred.from_bucket
        } else {
            &mut barred.from_own
        };
        from.extend(ids);
        Self::build(endpoint, seat, self.generation, self.verdicts, self.barred)
    }
}

/// What monitors are told of a batch.
#[derive(Default)]
struct Tale {
    /// The header, and the rows of all but the revoked.
    event: Vec<u8>,
    /// There are such rows.
    others: bool,
    /// The rows of what was revoked before it ran, and has a record: whoever revoked it may have told it a moment before.
    revoked: Vec<(TaskId, Vec<u8>)>,
}

fn events(verdicts: &[Verdict], node: &str) -> Tale {
    let (told, apart): (Vec<Told>, Vec<Option<TaskId>>) = verdicts
        .iter()
        .filter_map(|v| {
            let revoked = matches!(v.end, End::Revoked(RevokeCause::Requested));
            let id = v.record.as_ref().filter(|_| revoked).map(|r| r.id);
            Some((Told::ended(v.event.as_ref()?, &v.end), id))
        })
        .unzip();
    if told.is_empty() {
        return Tale::default();
    }
    let Compact { header, rows } = Compact::encode(&told, Some(node), now_ms());
    let mut tale = Tale {
        event: header,
        ..Tale::default()
    };
    for (row, id) in rows.into_iter().zip(apart) {
        match id {
            Some(id) => tale.revoked.push((id, row)),
            None => {
                tale.event.extend_from_slice(&row);
                tale.others = true;
            }
        }
    }
    tale
}

fn dead_as(end: &End) -> Option<State> {
    match end {
        End::Dead { state, .. } => Some(*state),
        _ => None,
    }
}

fn place(verdicts: &[Verdict], barred: &Barred) -> Result<Placed, Error> {
    let mut placed = Placed::default();
    for verdict in verdicts {
        let wait = match verdict.end {
            End::Retry { after, .. } | End::Snooze(after) => after,
            End::Done | End::Return | End::Dead { .. } | End::Revoked(_) => Duration::ZERO,
        };
        if let Some(record) = &verdict.record {
            let bucket = !barred.from_bucket.contains(&record.id);
            let own = !barred.from_own.contains(&record.id);
            placed.add(record, wait, bucket, own)?;
        }
    }
    Ok(placed)
}

fn delayed(call: &mut Cmd, session: &Session, verdicts: &[Verdict]) {
    for verdict in verdicts {
        let tag = verdict.receipt.tag;
        match &verdict.end {
            End::Retry { after, body } => {
                let out = session.out.get(&tag);
                let (priority, crashes) = out.map_or((0, 0), |out| (out.priority, out.crashes));
                let mut marked = vec![b'0' + priority, b'0' + crashes];
                marked.extend_from_slice(body);
                call.arg(ms(*after)).arg(marked).arg(tag);
            }
            End::Snooze(after) => {
                call.arg(ms(*after)).arg("").arg(tag);
            }
            End::Done | End::Return | End::Dead { .. } | End::Revoked(_) => {}
        }
    }
}

fn returned(call: &mut Cmd, session: &Session, verdicts: &[Verdict]) {
    let tags = verdicts
        .iter()
        .filter(|v| matches!(v.end, End::Return))
        .map(|v| v.receipt.tag);
    let mut tags: Vec<u64> = tags.collect();
    // Each goes to the very front: the newest first, so that the oldest ends up before the others.
    tags.sort_by_key(|tag| Reverse(*tag));
    for tag in tags {
        let list = match session.out.get(&tag) {
            Some(out) if out.suspect => SUSPECTS_KEY,
            Some(out) => READY_KEY + usize::from(out.priority),
            None => READY_KEY,
        };
        call.arg(tag).arg(list);
    }
}
