//! Looking for one message in a queue, and listing what is due next: reads of bounded size, a part at a time.
//!
//! The places are looked through in the order in which a message moves through them, and each in a direction in which
//! what leaves or joins meanwhile does not push another past the look: lists from their newest end, sorted sets from
//! their highest score.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use redis::{Cmd, Value, cmd};

use super::RedisBroker;
use super::delivery::mark;
use super::keys::QueueKeys;
use super::value::{array, bytes, members, number};
use crate::broker::search::{MAX_SEARCHED, Needle, windows};
use crate::broker::{DelayedMessage, Found, Place};
use crate::error::Error;
use crate::id::{QueueName, TaskId};
use crate::message::MAX_BYTES;

/// A place is looked through up to this many bytes: 64 MiB.
const BYTES: usize = 64 << 20;

/// What is due next is listed up to so many messages, …
const LISTED: usize = 1_000;

/// … and none behind so many bytes: 16 MiB.
const LISTED_BYTES: usize = 16 << 20;

/// So many of them are read at first.
const FIRST_LISTED: usize = 16;

/// So many messages are read at first, …
const FIRST: usize = 100;

/// … and then as many as have about 1 MiB together, at most these.
const MOST: usize = 1_000;

/// Of what is held, so many at first.
const FIRST_HELD: usize = 16;

/// `taskq:{q}:leases` is read up to this many sessions.
const SESSIONS: usize = 1_000;

pub(super) async fn delayed(
    broker: &RedisBroker,
    queue: &QueueName,
    limit: usize,
) -> Result<Vec<DelayedMessage>, Error> {
    let key = broker.endpoint.namespace.queue(queue).delayed;
    let (mut part, mut pace) = (0..limit.min(LISTED), Pace::new(LISTED_BYTES, FIRST_LISTED));
    let (mut listed, mut all) = (Vec::new(), true);
    // What joins in front meanwhile pushes others behind: they would come twice.
    let mut seen = HashSet::new();
    while let Some(next) = pace.next(&mut part, &mut all) {
        let mut ask = cmd("ZRANGE");
        ask.arg(&key)
            .arg(next.start)
            .arg(next.end - 1)
            .arg("WITHSCORES");
        let pairs = scored(broker.short.call(&ask).await?);
        pace.took(pairs.iter().map(|(marked, _)| marked));
        let is_last = pairs.len() < next.len();
        for (marked, due) in pairs {
            let (priority, crashes) = mark(&marked);
            let body = Bytes::from(unmarked(marked));
            if seen.insert((due, priority, crashes, body.clone())) {
                listed.push(DelayedMessage {
                    due,
                    body,
                    priority,
                    crashes,
                });
            }
        }
        if is_last {
            break;
        }
    }
    Ok(listed)
}

pub(super) async fn find(
    broker: &RedisBroker,
    queue: &QueueName,
    id: TaskId,
) -> Result<Found, Error> {
    let keys = broker.endpoint.namespace.queue(queue);
    let mut search = Search {
        broker,
        keys: &keys,
        needle: Needle::new(id),
        complete: true,
    };
    let place = search.everywhere().await?;
    let now = broker.short.call(&cmd("TIME")).await?;
    Ok(Found {
        complete: search.complete,
        now: super::records::server_ms(Some(now), broker.endpoint.offset_ms()),
        place: place.map(|(place, body)| (place, body.into())),
    })
}

type Hit = Option<(Place, Vec<u8>)>;

struct Search<'a> {
    broker: &'a RedisBroker,
    keys: &'a QueueKeys,
    needle: Needle,
    complete: bool,
}

impl Search<'_> {
    async fn everywhere(&mut self) -> Result<Hit, Error> {
        let k = self.keys;
        if let Some((_, due, body)) = self.sorted(&k.delayed, unmarked).await? {
            return Ok(Some((Place::Delayed { due }, body)));
        }
        for (priority, list) in k.ready.iter().enumerate() {
            if let Some((ahead, body)) = self.list(list).await? {
                let higher: u64 = self.lengths(&k.ready[priority + 1..]).await?.iter().sum();
                let ahead = ahead + higher;
                return Ok(Some((Place::Waiting { ahead }, body)));
            }
        }
        if let Some((ahead, body)) = self.list(&k.suspects).await? {
            return Ok(Some((Place::Suspect { ahead }, body)));
        }
        let mut ask = cmd("ZRANGE");
        ask.arg(&k.leases).arg(0).arg(SESSIONS);
        let mut sessions = members(self.broker.short.call(&ask).await?);
        self.complete &= sessions.len() <= SESSIONS;
        sessions.truncate(SESSIONS);
        // Together they are one place.
        let mut room = (MAX_SEARCHED, Pace::new(BYTES, FIRST_HELD));
        for session in &sessions {
            if let Some(body) = self.hash(&k.session(session), &mut room).await? {
                return Ok(Some((Place::Held, body)));
            }
            if let Some(body) = self.hash(&k.orphan(session), &mut room).await? {
                return Ok(Some((Place::Returning, body)));
            }
        }
        let dead = |member: Vec<u8>| super::dead::body(&member).to_vec();
        let Some((member, at, body)) = self.sorted(&k.dead, dead).await? else {
            return Ok(None);
        };
        let entry = super::dead::read(member, at);
        let place = Place::Dead {
            state: entry.state,
            reason: entry.reason,
            at,
        };
        Ok(Some((place, body)))
    }

    /// How many are before the message in a list, and the message. What waits longest is at the right end.
    async fn list(&mut self, key: &str) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let length = self.length("LLEN", key).await?;
        for mut part in self.windows(length) {
            let mut pace = Pace::new(BYTES, FIRST);
            while let Some(next) = pace.next(&mut part, &mut self.complete) {
                let (mut read, mut count) = (cmd("LRANGE"), cmd("LLEN"));
                read.arg(key).arg(next.start).arg(next.end - 1);
                count.arg(key);
                let mut answers = self.broker.short.all(&[read, count]).await?.into_iter();
                let listed = bulk(answers.next().unwrap_or_default());
                let length = answers.next().as_ref().and_then(number).unwrap_or(0);
                pace.took(&listed);
                for (place, body) in listed.into_iter().map(unmarked).enumerate() {
                    if self.needle.fits(&body) {
                        let behind = (next.start + place + 1) as u64;
                        return Ok(Some((length.saturating_sub(behind), body)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The member, its score, and the message in it.
    async fn sorted(
        &mut self,
        key: &str,
        body_of: impl Fn(Vec<u8>) -> Vec<u8>,
    ) -> Result<Option<(Vec<u8>, u64, Vec<u8>)>, Error> {
        let length = self.length("ZCARD", key).await?;
        for mut part in self.windows(length) {
            let mut pace = Pace::new(BYTES, FIRST);
            while let Some(next) = pace.next(&mut part, &mut self.complete) {
                let mut read = cmd("ZREVRANGE");
                read.arg(key)
                    .arg(next.start)
                    .arg(next.end - 1)
                    .arg("WITHSCORES");
                let listed = scored(self.broker.short.call(&read).await?);
                pace.took(listed.iter().map(|(member, _)| member));
                for (member, score) in listed {
                    let body = body_of(member.clone());
                    if self.needle.fits(&body) {
                        return Ok(Some((member, score, body)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The message in a session's store; `room` is how many are still looked at, and how.
    async fn hash(
        &mut self,
        key: &str,
        (room, pace): &mut (usize, Pace),
    ) -> Result<Option<Vec<u8>>, Error> {
        // Its tags first: a scan of the store answers as much at once as it likes.
        let mut names = cmd("HKEYS");
        names.arg(key);
        let mut tags = bulk(self.broker.short.call(&names).await?);
        // Its own fields are letters, its deliveries are under numbers.
        tags.retain(|field| field.iter().all(u8::is_ascii_digit));
        self.complete &= tags.len() <= *room;
        tags.truncate(*room);
        *room -= tags.len();
        let mut part = 0..tags.len();
        while let Some(next) = pace.next(&mut part, &mut self.complete) {
            let mut read = cmd("HMGET");
            read.arg(key).arg(&tags[next]);
            let held = bulk(self.broker.short.call(&read).await?);
            pace.took(&held);
            let mut held = held.into_iter().map(unmarked);
            if let Some(body) = held.find(|body| self.needle.fits(body)) {
                return Ok(Some(body));
            }
        }
        Ok(None)
    }

    /// The parts of a place that are looked at.
    fn windows(&mut self, length: u64) -> Vec<Range<usize>> {
        let (parts, all) = windows(usize::try_from(length).unwrap_or(usize::MAX));
        self.complete &= all;
        parts
    }

    async fn length(&self, verb: &str, key: &str) -> Result<u64, Error> {
        let mut ask = cmd(verb);
        ask.arg(key);
        Ok(number(&self.broker.short.call(&ask).await?).unwrap_or(0))
    }

    async fn lengths(&self, lists: &[String]) -> Result<Vec<u64>, Error> {
        let asks: Vec<Cmd> = lists
            .iter()
            .map(|list| {
                let mut ask = cmd("LLEN");
                ask.arg(list);
                ask
            })
            .collect();
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.broker.short.all(&asks).await?;
        Ok(answers.iter().map(|n| number(n).unwrap_or(0)).collect())
    }
}

/// How many are read at a time, and when a place has been read for long enough.
struct Pace {
    step: usize,
    left: usize,
}

impl Pace {
    fn new(bytes: usize, first: usize) -> Self {
        Self {
            step: first,
            left: bytes,
        }
    }

    /// The next of `part`; `None` at its end, or when enough was read: then the look is not complete.
    fn next(&self, part: &mut Range<usize>, complete: &mut bool) -> Option<Range<usize>> {
        if part.start >= part.end {
            return None;
        }
        if self.is_over() {
            *complete = false;
            return None;
        }
        let end = part.end.min(part.start + self.step);
        let next = part.start..end;
        part.start = end;
        Some(next)
    }

    /// Enough was read.
    fn is_over(&self) -> bool {
        self.left == 0
    }

    fn took<'a>(&mut self, read: impl IntoIterator<Item = &'a Vec<u8>>) {
        let (mut messages, mut size) = (0_usize, 0_usize);
        for one in read {
            messages += 1;
            size += one.len();
        }
        self.left = self.left.saturating_sub(size);
        if let Some(mean) = size.checked_div(messages) {
            self.step = (MAX_BYTES / mean.max(1)).clamp(1, MOST);
        }
    }
}

/// The elements of an array that are bytes.
fn bulk(value: Value) -> Vec<Vec<u8>> {
    let all = match value {
        Value::Map(pairs) => pairs.into_iter().flat_map(|(k, v)| [k, v]).collect(),
        other => array(other).unwrap_or_default(),
    };
    all.into_iter().filter_map(bytes).collect()
}

/// Members and scores, one behind the other.
fn scored(value: Value) -> Vec<(Vec<u8>, u64)> {
    let mut words = array(value).unwrap_or_default().into_iter();
    let mut pairs = Vec::new();
    while let (Some(member), Some(score)) = (words.next(), words.next()) {
        if let Some(member) = bytes(member) {
            pairs.push((member, number(&score).unwrap_or(0)));
        }
    }
    pairs
}

/// The message without its mark, if it has one.
fn unmarked(mut marked: Vec<u8>) -> Vec<u8> {
    if marked.len() >= 2 && marked[..2].iter().all(u8::is_ascii_digit) {
        marked.drain(..2);
    }
    marked
}
