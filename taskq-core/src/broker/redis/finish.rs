//! Verdicts in: numbered batches, one at a time for each queue, repeated unchanged until they are settled.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;
use tokio::time::sleep;

use super::endpoint::Endpoint;
use super::link::Link;
use super::records::{Placed, RETENTION_S};
use super::scripts;
use super::session::{Seat, ms};
use super::value::{array, number, text};
use crate::broker::{End, Finished, Verdict};
use crate::error::{Error, ErrorKind};
use crate::id::TaskId;
use crate::message::MAX_BYTES;
use crate::state::State;

/// A batch has at most this many verdicts, and at most 1 MiB beyond the first.
const MAX_BATCH: usize = 999;

/// The dead set keeps this many messages at most …
pub(super) const DEAD_ENTRIES: u64 = 10_000;

/// … and each for 7 days at most.
pub(super) const DEAD_MS: u64 = 7 * 24 * 3_600_000;

/// The index in the script's KEYS of the plain ready list, and of the suspects.
const READY_KEY: usize = 7;
const SUSPECTS_KEY: usize = 4;

/// Finishes for one seat.
#[derive(Debug)]
pub(super) struct Finisher {
    seat: Arc<Seat>,
    link: Link,
    /// A batch whose answer is unknown: its caller went away before it was settled.
    unsettled: Option<Batch>,
}

#[derive(Debug)]
struct Batch {
    generation: u64,
    verdicts: Vec<Verdict>,
    placed: Placed,
    call: Cmd,
    /// Copies of it may still be under way, unanswered.
    unanswered: bool,
}

/// How a batch was settled.
enum Settled {
    Applied,
    Lost,
}

impl Finisher {
    pub(super) fn new(seat: Arc<Seat>, link: Link) -> Self {
        Self {
            seat,
            link,
            unsettled: None,
        }
    }

    pub(super) async fn finish(
        &mut self,
        endpoint: &Endpoint,
        verdicts: Vec<Verdict>,
    ) -> Result<Finished, Error> {
        if self.unsettled.is_some() {
            self.settle(endpoint).await?;
        }
        let mut finished = Finished::default();
        let mut rest = verdicts.into_iter().peekable();
        while rest.peek().is_some() {
            let (generation, batch, lost) = self.next_batch(&mut rest);
            finished.lost += lost;
            if batch.is_empty() {
                continue;
            }
            let n = batch.len();
            self.unsettled = Some(self.build(endpoint, generation, batch)?);
            match self.settle(endpoint).await? {
                Settled::Applied => finished.applied += n,
                Settled::Lost => finished.lost += n,
            }
        }
        Ok(finished)
    }

    /// The next verdicts that still count, within the bounds of a batch, and how many do not.
    fn next_batch(
        &self,
        rest: &mut std::iter::Peekable<impl Iterator<Item = Verdict>>,
    ) -> (u64, Vec<Verdict>, usize) {
        let state = self.seat.state();
        let session = state.session.as_ref();
        let (mut batch, mut lost, mut room) = (Vec::new(), 0, MAX_BYTES);
        let mut tags = std::collections::HashSet::new();
        while let Some(verdict) = rest.peek() {
            let size = size(verdict);
            if batch.len() == MAX_BATCH || (!batch.is_empty() && size > room) {
                break;
            }
            let Some(verdict) = rest.next() else { break };
            let counts = session.is_some_and(|s| {
                s.generation == verdict.receipt.session && s.out.contains_key(&verdict.receipt.tag)
            });
            if counts && tags.insert(verdict.receipt.tag) {
                room = room.saturating_sub(size);
                batch.push(verdict);
            } else {
                lost += 1;
            }
        }
        (session.map_or(0, |s| s.generation), batch, lost)
    }

    /// Repeats the unsettled batch until the server has answered it or the session is lost.
    async fn settle(&mut self, endpoint: &Endpoint) -> Result<Settled, Error> {
        let mut wait = Duration::from_millis(20);
        loop {
            let Some(batch) = self.unsettled.as_mut() else {
                return Ok(Settled::Applied);
            };
            let ours = self
                .seat
                .state()
                .session
                .as_ref()
                .is_some_and(|s| s.generation == batch.generation);
            if !ours {
                self.unsettled = None;
                return Ok(Settled::Lost);
            }
            // Set before the call: if our caller drops us, the copy sent counts as unanswered.
            let repeated = std::mem::replace(&mut batch.unanswered, true);
            match self.link.call(&batch.call).await {
                Ok(value) => {
                    batch.unanswered = repeated;
                    self.seat.works();
                    let words = array(value).unwrap_or_default();
                    let number = words.get(1).and_then(number);
                    match words.first().and_then(text) {
                        Some("OK") => return Ok(self.applied(number)),
                        Some("APPLIED") => return Ok(self.applied(None)),
                        Some("LOST") => {
                            return Ok(self.lost("the server does not know its claims any more"));
                        }
                        Some("BADRECORD") if repeated => {
                            return Ok(self.lost("a record's key has the wrong type, and a copy of the batch is unanswered"));
                        }
                        Some("BADRECORD") => self.bury(endpoint, number.unwrap_or(0))?,
                        _ => {
                            let error = self.link.odd(words);
                            self.seat.troubled(&error);
                            self.pause(&mut wait).await;
                        }
                    }
                }
                Err(error) => {
                    if error.kind() != ErrorKind::Unreachable {
                        // The server has answered: this copy was refused, not applied.
                        batch.unanswered = repeated;
                        self.seat.troubled(&error);
                    }
                    self.pause(&mut wait).await;
                }
            }
        }
    }

    async fn pause(&self, wait: &mut Duration) {
        sleep(*wait).await;
        *wait = (*wait * 2).min(Duration::from_secs(1));
    }

    fn applied(&mut self, dropped: Option<u64>) -> Settled {
        let Some(batch) = self.unsettled.take() else {
            return Settled::Applied;
        };
        let broken = {
            let mut state = self.seat.state();
            if let Some(session) = state
                .session
                .as_mut()
                .filter(|s| s.generation == batch.generation)
            {
                session.next_finish += 1;
                for verdict in &batch.verdicts {
                    session.out.remove(&verdict.receipt.tag);
                }
            }
            dropped.is_some_and(|n| n != batch.verdicts.len() as u64)
        };
        if broken {
            tracing::error!(queue = %self.seat.queue, ?dropped, verdicts = batch.verdicts.len(), "a finish dropped other deliveries than its own: please report this");
            self.seat.lose(
                batch.generation,
                "a finish dropped other deliveries than its own",
            );
        }
        Settled::Applied
    }

    fn lost(&mut self, why: &str) -> Settled {
        if let Some(batch) = self.unsettled.take() {
            self.seat.lose(batch.generation, why);
        }
        Settled::Lost
    }

    /// The record of some verdicts can not be written: their key has the wrong type. Nothing of the batch was applied.
    /// These messages go to the dead set, their record under a key of its own.
    fn bury(&mut self, endpoint: &Endpoint, key: u64) -> Result<(), Error> {
        let Some(mut batch) = self.unsettled.take() else {
            return Ok(());
        };
        let index = usize::try_from(key)
            .unwrap_or(0)
            .saturating_sub(READY_KEY + self.seat.keys.ready.len());
        let ids: Vec<TaskId> = batch.placed.ids_at(index);
        let names = batch.placed.keys(&self.seat.keys);
        let name = names.get(index).cloned().unwrap_or_default();
        tracing::error!(queue = %self.seat.queue, key = name, tasks = ids.len(), "a record's key has the wrong type; its tasks go to the dead set");
        for verdict in &mut batch.verdicts {
            let Some(record) = verdict.record.as_ref().filter(|r| ids.contains(&r.id)) else {
                continue;
            };
            let reason =
                format!("the record can not be written: the key {name} has the wrong type");
            let mut own = crate::record::Record {
                error: Some(crate::Failure::new("RecordNotWritable", &reason)),
                ..record.clone()
            };
            own.state = State::Dead;
            verdict.end = End::Dead {
                state: State::Dead,
                reason,
            };
            // A bucket of the wrong type takes no record; its own key may, unless that is the one.
            verdict.record = (index < batch.placed.buckets()).then_some(own);
        }
        let buckets_only_bad = index < batch.placed.buckets();
        let verdicts = std::mem::take(&mut batch.verdicts);
        let mut again = self.build_without(
            endpoint,
            batch.generation,
            verdicts,
            buckets_only_bad.then_some(&ids[..]),
        )?;
        again.unanswered = false;
        self.unsettled = Some(again);
        Ok(())
    }

    fn build(
        &self,
        endpoint: &Endpoint,
        generation: u64,
        verdicts: Vec<Verdict>,
    ) -> Result<Batch, Error> {
        self.build_without(endpoint, generation, verdicts, None)
    }

    /// The script's call; the records of `unbucketed` go under their own keys only.
    fn build_without(
        &self,
        endpoint: &Endpoint,
        generation: u64,
        verdicts: Vec<Verdict>,
        unbucketed: Option<&[TaskId]>,
    ) -> Result<Batch, Error> {
        let state = self.seat.state();
        let Some(session) = state
            .session
            .as_ref()
            .filter(|s| s.generation == generation)
        else {
            return Err(Error::new(
                ErrorKind::Protocol,
                "the session ended while its verdicts were being written",
            ));
        };
        let mut placed = Placed::default();
        for verdict in &verdicts {
            let wait = match verdict.end {
                End::Retry { after, .. } | End::Snooze(after) => after,
                End::Done | End::Return | End::Dead { .. } => Duration::ZERO,
            };
            let Some(record) = &verdict.record else {
                continue;
            };
            match unbucketed {
                Some(ids) if ids.contains(&record.id) => placed.add_own(record)?,
                _ => placed.add(record, wait)?,
            }
        }
        let k = &self.seat.keys;
        let fixed = [&k.delayed, &k.dead, &k.suspects, &k.bell, &k.records];
        let keys = std::iter::once(k.session(&session.id))
            .chain(fixed.into_iter().chain(&k.ready).cloned());
        let mut call = scripts::FINISH.call(keys.chain(placed.keys(k)));
        let newest = verdicts
            .iter()
            .map(|v| v.receipt.tag / 1000)
            .max()
            .unwrap_or(0);
        let count = |f: fn(&End) -> bool| verdicts.iter().filter(|v| f(&v.end)).count();
        call.arg(endpoint.offset_ms())
            .arg(session.next_finish)
            .arg(newest)
            .arg(RETENTION_S)
            .arg(DEAD_ENTRIES)
            .arg(DEAD_MS);
        call.arg(verdicts.len());
        call.arg(count(|e| matches!(e, End::Retry { .. } | End::Snooze(_))));
        call.arg(count(|e| matches!(e, End::Return)));
        call.arg(count(|e| matches!(e, End::Dead { .. })));
        call.arg(placed.buckets()).arg(placed.own());
        for verdict in &verdicts {
            call.arg(verdict.receipt.tag);
        }
        for verdict in &verdicts {
            let tag = verdict.receipt.tag;
            match &verdict.end {
                End::Retry { after, body } => {
                    let (priority, crashes) = session
                        .out
                        .get(&tag)
                        .map_or((0, 0), |out| (out.priority, out.crashes));
                    let mut marked = vec![b'0' + priority, b'0' + crashes];
                    marked.extend_from_slice(body);
                    call.arg(ms(*after)).arg(marked).arg(tag);
                }
                End::Snooze(after) => {
                    call.arg(ms(*after)).arg("").arg(tag);
                }
                End::Done | End::Return | End::Dead { .. } => {}
            }
        }
        let mut returned: Vec<&Verdict> = verdicts
            .iter()
            .filter(|v| matches!(v.end, End::Return))
            .collect();
        // Each goes to the very front: the newest first, so that the oldest ends up before the others.
        returned.sort_by_key(|v| std::cmp::Reverse(v.receipt.tag));
        for verdict in returned {
            let list = match session.out.get(&verdict.receipt.tag) {
                Some(out) if out.suspect => SUSPECTS_KEY,
                Some(out) => READY_KEY + usize::from(out.priority),
                None => READY_KEY,
            };
            call.arg(verdict.receipt.tag).arg(list);
        }
        for verdict in &verdicts {
            if let End::Dead { state, reason } = &verdict.end {
                let header = dead_header(*state, reason, &session.id, verdict.receipt.tag)?;
                call.arg(verdict.receipt.tag).arg(header);
            }
        }
        placed.arguments(&mut call);
        drop(state);
        Ok(Batch {
            generation,
            verdicts,
            placed,
            call,
            unanswered: false,
        })
    }
}

/// The line before a message in the dead set: why it is there, and a reference that keeps equal messages apart.
pub(super) fn dead_header(
    state: State,
    reason: &str,
    session: &str,
    tag: u64,
) -> Result<String, Error> {
    #[derive(serde::Serialize)]
    struct Header<'a> {
        state: State,
        reason: &'a str,
        r#ref: String,
    }
    let header = Header {
        state,
        reason,
        r#ref: format!("{session}:{tag}"),
    };
    serde_json::to_string(&header).map_err(|e| {
        Error::new(
            ErrorKind::Protocol,
            "the header of a dead message does not encode",
        )
        .because(e)
    })
}

/// The bytes a verdict adds to its batch.
fn size(verdict: &Verdict) -> usize {
    let end = match &verdict.end {
        End::Retry { body, .. } => body.len(),
        End::Dead { reason, .. } => reason.len(),
        End::Done | End::Snooze(_) | End::Return => 0,
    };
    end + Placed::size(verdict.record.as_ref())
}
