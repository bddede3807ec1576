//! Sessions whose worker is gone: their deliveries are taken, judged and given back.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::dead;
use super::delivery::mark;
use super::endpoint::Endpoint;
use super::link::Link;
use super::records::{FAILED_RETENTION_S, RETENTION_S, encode};
use super::scripts;
use super::session::{At, Seat};
use super::value::{array, bytes, members, number, text};
use crate::broker::Swept;
use crate::clock::now_ms;
use crate::error::Error;
use crate::event::Told;
use crate::event::compact::Compact;
use crate::message::{DEFAULT_MAX_CRASHES, MAX_BYTES, Message, OnCrash};
use crate::outcome::Failure;
use crate::record::Record;
use crate::state::State;

/// Events are kept for a day at most.
const EVENTS_MS: u64 = 24 * 3_600_000;

/// The first index in the script's KEYS behind the fixed ones.
const RECORD_KEYS: usize = 20;

/// A delivery out of a lost session.
struct Orphan {
    tag: u64,
    crashes: u8,
    message: Option<Message>,
}

/// One sweep over all queues that this consumer has a session at.
pub(super) async fn sweep(
    endpoint: &Endpoint,
    seats: &[Arc<Seat>],
    link: &mut Link,
) -> Result<Swept, Error> {
    let mine: Vec<(&Arc<Seat>, String)> = seats
        .iter()
        .filter_map(|seat| Some((seat, seat.state().session.as_ref()?.id.clone())))
        .collect();
    let asks: Vec<_> = mine
        .iter()
        .map(|(seat, _)| {
            let k = &seat.keys;
            let mut ask = scripts::PAST.call([
                &k.leases, &k.records, &k.waiters, &k.dead, &k.meta, &k.events,
            ]);
            ask.arg(endpoint.offset_ms());
            dead::bounds(&mut ask);
            ask.arg(EVENTS_MS);
            ask
        })
        .collect();
    if asks.is_empty() {
        return Ok(Swept::default());
    }
    let mut swept = Swept::default();
    for ((seat, me), answer) in mine.iter().zip(link.all(&asks, Duration::ZERO).await?) {
        let past = match answer {
            Ok(past) => array(past).unwrap_or_default(),
            Err(error) => {
                seat.troubled(At::Sweep, &error);
                continue;
            }
        };
        let mut past = past.into_iter().map(members);
        let (past, seconds) = (
            past.next().unwrap_or_default(),
            past.next().unwrap_or_default(),
        );
        let mut trouble = match drop_buckets(endpoint, seat, &seconds, link).await {
            Ok(()) => None,
            Err(error) if error.kind() == crate::ErrorKind::Unreachable => return Err(error),
            Err(error) => Some(error),
        };
        for it in past.iter().filter(|it| *it != me) {
            match reclaim(endpoint, seat, me, it, link).await {
                Ok(one) => {
                    swept.returned += one.returned;
                    swept.dead += one.dead;
                }
                Err(error) if error.kind() == crate::ErrorKind::Unreachable => return Err(error),
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) => seat.troubled(At::Sweep, &error),
            None => seat.works(At::Sweep),
        }
    }
    Ok(swept)
}

/// Drops records whose time is over; a share at a time, the next sweep goes on.
async fn drop_buckets(
    endpoint: &Endpoint,
    seat: &Seat,
    seconds: &[String],
    link: &mut Link,
) -> Result<(), Error> {
    let k = &seat.keys;
    let buckets = seconds
        .iter()
        .filter_map(|s| Some(k.bucket(s.parse().ok()?)));
    let mut keys = vec![k.records.clone()];
    keys.extend(buckets);
    if keys.len() == 1 {
        return Ok(());
    }
    let mut call = scripts::DROP.call(&keys);
    call.arg(endpoint.offset_ms());
    for second in seconds.iter().filter(|s| s.parse::<u64>().is_ok()) {
        call.arg(second);
    }
    link.call(&call).await.map(drop)
}

/// Takes and gives until nothing is left. May end half way: the next sweeper goes on.
async fn reclaim(
    endpoint: &Endpoint,
    seat: &Seat,
    me: &str,
    it: &str,
    link: &mut Link,
) -> Result<Swept, Error> {
    let k = &seat.keys;
    let mut swept = Swept::default();
    loop {
        let mut take = scripts::TAKE.call([
            &k.session(me),
            &k.session(it),
            &k.orphan(it),
            &k.leases,
            &k.meta,
        ]);
        take.arg(endpoint.offset_ms())
            .arg(me)
            .arg(it)
            .arg(MAX_BYTES);
        let words = array(link.call(&take).await?).unwrap_or_default();
        match words.first().and_then(text) {
            Some("OK") => {}
            Some("DONE" | "NO") => break,
            _ => return Err(link.odd(words)),
        }
        let resigned = words.get(1).and_then(number) == Some(1);
        let orphans = read(words.into_iter().skip(2));
        let given = give(endpoint, seat, it, resigned, &orphans, link).await?;
        swept.returned += given.returned;
        swept.dead += given.dead;
    }
    if swept != Swept::default() {
        tracing::debug!(queue = %seat.queue, session = it, returned = swept.returned, dead = swept.dead, "gave back what a lost session held");
    }
    Ok(swept)
}

fn read(mut words: impl Iterator<Item = Value>) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    while let (Some(tag), Some(marked)) = (words.next(), words.next()) {
        let (Some(tag), Some(marked)) = (number(&tag), bytes(marked)) else {
            continue;
        };
        orphans.push(Orphan {
            tag,
            crashes: mark(&marked).1,
            message: Message::decode(marked.get(2..).unwrap_or_default()).ok(),
        });
    }
    orphans
}

async fn give(
    endpoint: &Endpoint,
    seat: &Seat,
    it: &str,
    resigned: bool,
    orphans: &[Orphan],
    link: &mut Link,
) -> Result<Swept, Error> {
    let k = &seat.keys;
    let fixed = [&k.suspects, &k.dead, &k.bell, &k.records];
    let told = [&k.meta, &k.events, &k.totals, &k.waiters];
    let mut keys: Vec<String> = std::iter::once(k.orphan(it))
        .chain(fixed.into_iter().chain(&k.ready).chain(told).cloned())
        .collect();
    let mut rows = Vec::with_capacity(orphans.len());
    for orphan in orphans {
        let row = Row::of(seat, it, resigned, orphan)?;
        // Only a message that may die now needs the keys of its record.
        let (mut bucket, mut own) = (0, 0);
        if let (Some(record), Some(message)) = (&row.record, &orphan.message) {
            if let Some(second) = record.id.created_second() {
                keys.push(k.bucket(second));
                bucket = keys.len();
            }
            keys.push(k.record(message.id));
            own = keys.len();
        }
        debug_assert!(bucket == 0 || bucket >= RECORD_KEYS);
        rows.push((row, bucket, own));
    }
    let told: Vec<Told> = rows
        .iter()
        .filter_map(|(row, ..)| row.told.clone())
        .collect();
    let event = Compact::encode(&told, Some(&seat.node), now_ms());
    let mut event_rows = event.rows.into_iter();
    let mut call = scripts::GIVE.call(&keys);
    call.arg(endpoint.offset_ms())
        .arg(RETENTION_S)
        .arg(FAILED_RETENTION_S);
    dead::bounds(&mut call);
    call.arg(event.header).arg(rows.len());
    for (row, bucket, own) in &rows {
        let id = row
            .record
            .as_ref()
            .map(|r| r.id.to_string())
            .unwrap_or_default();
        let json = row
            .record
            .as_ref()
            .map(encode)
            .transpose()?
            .unwrap_or_default();
        let second = row.record.as_ref().and_then(|r| r.id.created_second());
        call.arg(row.tag)
            .arg(row.limit)
            .arg(u8::from(row.deadly))
            .arg(&row.header)
            .arg(id)
            .arg(json);
        call.arg(second.map(|s| s.to_string()).unwrap_or_default())
            .arg(*bucket)
            .arg(*own)
            .arg(
                row.told
                    .as_ref()
                    .and_then(|_| event_rows.next())
                    .unwrap_or_default(),
            );
    }
    let words = array(link.call(&call).await?).unwrap_or_default();
    match (
        words.first().and_then(number),
        words.get(1).and_then(number),
    ) {
        (Some(returned), Some(dead)) => {
            rows.iter().for_each(|(row, ..)| row.report(seat));
            Ok(Swept {
                returned: usize::try_from(returned).unwrap_or(usize::MAX),
                dead: usize::try_from(dead).unwrap_or(usize::MAX),
            })
        }
        _ => Err(link.odd(words)),
    }
}

/// The judgement on one orphan: its limit, and what is written should it be DEAD.
struct Row {
    tag: u64,
    limit: u8,
    deadly: bool,
    header: String,
    /// Why it is DEAD now, if it is.
    reason: Option<String>,
    record: Option<Record>,
    /// `None` of what can not be read.
    told: Option<Told>,
}

impl Row {
    /// Says which task is DEAD: nobody else does.
    fn report(&self, seat: &Seat) {
        let Some(reason) = &self.reason else { return };
        let (id, task) = match &self.told {
            Some(told) => (told.id.to_string(), &*told.task),
            None => (String::new(), "a message that can not be read"),
        };
        tracing::error!(queue = %seat.queue, id, task, "{task} is DEAD: {reason}");
    }

    fn of(seat: &Seat, it: &str, resigned: bool, orphan: &Orphan) -> Result<Self, Error> {
        let message = orphan.message.as_ref();
        let limit = message.map_or(DEFAULT_MAX_CRASHES, Message::crash_limit);
        let deadly = message.is_some_and(|m| m.on_crash == OnCrash::Dead);
        let crashes = orphan.crashes.saturating_add(u8::from(!resigned)).min(9);
        let dies = deadly || crashes >= limit;
        let reason = if deadly {
            "its process ended while it held the message, and on_crash is dead".to_owned()
        } else {
            format!(
                "its process died {crashes} times while it held the message, the limit is {limit}"
            )
        };
        let record = message
            .filter(|m| dies && !m.ignore_result)
            .map(|m| Record {
                error: Some(Failure::new("WorkerCrashed", &reason)),
                attempts: m.retries,
                crashes: u32::from(crashes),
                created: m.enqueued_at,
                finished: Some(now_ms()),
                ..Record::new(m.id, &m.task, &seat.queue, State::Dead)
            });
        Ok(Self {
            tag: orphan.tag,
            limit,
            deadly,
            header: dead::header(State::Dead, &reason, it, orphan.tag)?,
            record,
            reason: dies.then(|| reason.clone()),
            told: message.map(|m| Told::given_back(m, !resigned, dies.then_some(&reason))),
        })
    }
}
