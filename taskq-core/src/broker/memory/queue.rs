//! One queue: every message lies in exactly one of its places.

use std::collections::{BTreeMap, VecDeque};

use super::dead::DeadSet;
use super::records::Records;
use super::session::{Marked, Session};
use crate::broker::Depth;

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// One list per priority, next one in front.
    ready: [VecDeque<Marked>; 10],
    suspects: VecDeque<Marked>,
    /// By due time, then by arrival.
    delayed: BTreeMap<(u64, u64), Marked>,
    arrivals: u64,
    /// By the number of their consumer.
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) dead: DeadSet,
    pub(super) records: Records,
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

    pub(super) fn next_due(&self) -> Option<u64> {
        self.delayed.keys().next().map(|(due, _)| *due)
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
            oldest_ms: None,
            paused: None,
        }
    }

    fn list(&mut self, priority: u8) -> &mut VecDeque<Marked> {
        &mut self.ready[usize::from(priority.min(9))]
    }
}
