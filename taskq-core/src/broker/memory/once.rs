//! The idempotency keys of one queue: each held until its time is over, bounded by their number.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::clock::ceil_ms;
use crate::broker::Once;
use crate::error::{Error, ErrorKind};
use crate::id::TaskId;

pub(super) const MAX_KEYS: usize = 100_000;
const MAX_KEY_BYTES: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Keys {
    held: HashMap<Arc<str>, (TaskId, u64)>,
    by_end: BTreeSet<(u64, Arc<str>)>,
}

impl Keys {
    /// Refuses what cannot be held: a key of the wrong length, or more keys than there is room for.
    pub(super) fn check<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a Once>,
        now: u64,
    ) -> Result<(), Error> {
        self.expire(now);
        let mut more = 0;
        for once in keys {
            if once.key.is_empty() || once.key.len() > MAX_KEY_BYTES {
                return Err(Error::invalid(format!(
                    "an idempotency key has {} bytes: use 1 to {MAX_KEY_BYTES}",
                    once.key.len()
                )));
            }
            more += usize::from(!self.held.contains_key(once.key.as_str()));
        }
        if self.held.len() + more > MAX_KEYS {
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "the memory broker holds at most {MAX_KEYS} idempotency keys per queue: hold them for less long"
                ),
            ));
        }
        Ok(())
    }

    /// Takes the key for `id`, or answers who holds it.
    pub(super) fn take(&mut self, once: &Once, id: TaskId, now: u64) -> Option<TaskId> {
        self.expire(now);
        if let Some((holder, _)) = self.held.get(once.key.as_str()) {
            return Some(*holder);
        }
        let key: Arc<str> = once.key.as_str().into();
        let until = now.saturating_add(ceil_ms(once.held_for));
        self.held.insert(key.clone(), (id, until));
        self.by_end.insert((until, key));
        None
    }

    pub(super) fn expire(&mut self, now: u64) {
        while self.by_end.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, key)) = self.by_end.pop_first() {
                self.held.remove(&key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.by_end.is_empty()
    }
}
