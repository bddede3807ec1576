//! Looking for one message in a queue, and listing what is due next.

use super::queue::Queue;
use crate::broker::marked::Marked;
use crate::broker::search::{Needle, windows};
use crate::broker::{DelayedMessage, Found, Place};
use crate::id::TaskId;

impl Queue {
    /// At most `limit` of those that are not due yet, the next first.
    pub(super) fn due_next(&self, limit: usize) -> Vec<DelayedMessage> {
        let next = self.delayed.iter().take(limit);
        next.map(|((due, _), message)| DelayedMessage {
            due: *due,
            body: message.body.clone(),
            priority: message.priority,
            crashes: message.crashes,
        })
        .collect()
    }

    pub(super) fn find(&mut self, id: TaskId, now: u64) -> Found {
        self.dead.expire(now);
        let needle = Needle::new(id);
        let mut complete = true;
        let place = self.look(&needle, &mut complete);
        Found {
            place,
            complete,
            now,
        }
    }

    fn look(&self, needle: &Needle, complete: &mut bool) -> Option<(Place, bytes::Bytes)> {
        let mut first = |length: usize, body: &dyn Fn(usize) -> Option<bytes::Bytes>| {
            let (parts, all) = windows(length);
            *complete &= all;
            let mut places = parts.into_iter().flatten();
            places.find_map(|n| Some((n, body(n).filter(|body| needle.fits(body))?)))
        };
        let mut ahead = 0;
        for list in self.ready.iter().rev() {
            let at = |n: usize| list.get(n).map(|m| m.body.clone());
            if let Some((n, body)) = first(list.len(), &at) {
                let ahead = ahead + n as u64;
                return Some((Place::Waiting { ahead }, body));
            }
            ahead += list.len() as u64;
        }
        let at = |n: usize| self.suspects.get(n).map(|m| m.body.clone());
        if let Some((n, body)) = first(self.suspects.len(), &at) {
            let ahead = n as u64;
            return Some((Place::Suspect { ahead }, body));
        }
        let delayed: Vec<(u64, &Marked)> = self.delayed.iter().map(|(k, m)| (k.0, m)).collect();
        let at = |n: usize| delayed.get(n).map(|(_, m)| m.body.clone());
        if let Some((n, body)) = first(delayed.len(), &at) {
            let due = delayed[n].0;
            return Some((Place::Delayed { due }, body));
        }
        let sessions = self.sessions.values().flat_map(|s| s.held.values());
        let held: Vec<&Marked> = sessions.collect();
        let at = |n: usize| held.get(n).map(|m| m.body.clone());
        if let Some((_, body)) = first(held.len(), &at) {
            return Some((Place::Held, body));
        }
        let dead = self.dead.newest(0, usize::MAX);
        let at = |n: usize| dead.get(n).map(|m| m.body.clone());
        let (n, body) = first(dead.len(), &at)?;
        let entry = &dead[n];
        let place = Place::Dead {
            state: entry.state,
            reason: entry.reason.clone(),
            at: entry.at,
        };
        Some((place, body))
    }
}
