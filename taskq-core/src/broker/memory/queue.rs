//! One queue: every message lies in exactly one of its places.

use std::collections::{BTreeMap, VecDeque};

use super::dead::DeadSet;
use super::once::Keys;
use super::records::Records;
use super::revoked::Revoked;
use super::session::Session;
use super::stream::Stream;
use crate::broker::marked::Marked;
use crate::broker::{Depth, Paused, Totals};
use crate::message::Message;

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// One list per priority, next one in front.
    pub(super) ready: [VecDeque<Marked>; 10],
    pub(super) suspects: VecDeque<Marked>,
    /// By due time, then by arrival.
    pub(super) delayed: BTreeMap<(u64, u64), Marked>,
    arrivals: u64,
    /// By the number of their consumer.
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) dead: DeadSet,
    pub(super) records: Records,
    pub(super) keys: Keys,
    pub(super) stream: Stream,
    pub(super) totals: Totals,
    pub(super) paused: Option<Paused>,
    pub(super) revoked: Revoked,
}

impl Queue {
    /// Puts a message at the back of its list, or among the delayed until `due`.
    pub(super) fn push(&mut self, message: Marked, due: u64, now: u64) {
        if due > now {
            self.arrivals += 1;
            self.delayed.insert((due, self.arrivals), message);
        } else if message.on_last_life() {
            self.suspects.push_back(message);
        } else {
            self.list(message.priority).push_back(message);
        }
    }

    /// Puts a message back to the front of the list it came from. Of several, the newest goes first.
    pub(super) fn put_back(&mut self, message: Marked) {
        if message.on_last_life() {
            self.suspects.push_front(message);
        } else {
            self.list(message.priority).push_front(message);
        }
    }

    /// Moves at most `n` messages that have become due to their lists.
    pub(super) fn promote(&mut self, n: usize, now: u64) {
        for _ in 0..n {
            match self.delayed.first_entry() {
                Some(first) if first.key().0 <= now => {
                    let message = first.remove();
                    self.push(message, now, now);
                }
                _ => break,
            }
        }
    }

    /// The next message, if `fits` its size.
    pub(super) fn pop(&mut self, fits: impl Fn(usize) -> bool) -> Option<Marked> {
        let list = self.ready.iter_mut().rev().find(|l| !l.is_empty())?;
        list.pop_front_if(|next| fits(next.body.len()))
    }

    pub(super) fn pop_suspect(&mut self) -> Option<Marked> {
        self.suspects.pop_front()
    }

    /// The next of all that lies here and is not claimed, if `fits` its size: held back, waiting, delayed.
    pub(super) fn pop_any(&mut self, fits: impl Fn(usize) -> bool) -> Option<Marked> {
        let suspect = self.suspects.pop_front_if(|next| fits(next.body.len()));
        if suspect.is_some() || !self.suspects.is_empty() {
            return suspect;
        }
        let waiting = self.pop(&fits);
        if waiting.is_some() || self.ready.iter().any(|list| !list.is_empty()) {
            return waiting;
        }
        let first = self.delayed.first_entry()?;
        fits(first.get().body.len()).then(|| first.remove())
    }

    /// When a claim is worth another look by itself; of a paused queue never.
    pub(super) fn next_due(&self) -> Option<u64> {
        let (due, _) = self.delayed.keys().next()?;
        self.paused.is_none().then_some(*due)
    }

    /// Drops what is past its time.
    pub(super) fn expire(&mut self, now: u64) {
        self.dead.expire(now);
        self.records.expire(now);
        self.keys.expire(now);
        self.stream.expire(now);
        self.revoked.expire(now);
    }

    pub(super) fn depth(&mut self, now: u64) -> Depth {
        self.dead.expire(now);
        let count = |n: usize| n as u64;
        Depth {
            waiting: self.ready.iter().map(|l| count(l.len())).sum(),
            suspects: count(self.suspects.len()),
            delayed: count(self.delayed.len()),
            in_flight: self.sessions.values().map(|s| count(s.held.len())).sum(),
            dead: count(self.dead.len()),
            oldest_ms: self.oldest().map(|since| now.saturating_sub(since)),
            paused: self.paused.clone(),
        }
    }

    /// Since when the oldest of those that wait exists: the next one of a list is its oldest.
    fn oldest(&self) -> Option<u64> {
        let lists = self.ready.iter().chain([&self.suspects]);
        lists
            .filter_map(|list| {
                let message = Message::decode(&list.front()?.body).ok()?;
                let created = message.id.created_second().map(|s| s * 1000);
                message.enqueued_at.or(created)
            })
            .min()
    }

    fn list(&mut self, priority: u8) -> &mut VecDeque<Marked> {
        &mut self.ready[usize::from(priority.min(9))]
    }
}
