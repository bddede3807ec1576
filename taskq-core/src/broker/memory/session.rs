//! A session: what one consumer holds at one queue, and its lease on it.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use crate::broker::marked::Marked;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) lease_ms: u64,
    pub(super) deadline: u64,
    /// Since when its contact is unbroken.
    pub(super) since: u64,
    /// Given up by its own worker: no crash is charged.
    pub(super) retired: bool,
    /// What it holds, by tag; tags grow, so this is the order of the claims.
    pub(super) held: BTreeMap<u64, Marked>,
    /// The tag of the suspect it runs.
    pub(super) suspect: Option<u64>,
    pub(super) lost: CancellationToken,
}

impl Session {
    pub(super) fn open(lease_ms: u64, now: u64) -> Self {
        Self {
            lease_ms,
            deadline: now.saturating_add(lease_ms),
            since: now,
            retired: false,
            held: BTreeMap::new(),
            suspect: None,
            lost: CancellationToken::new(),
        }
    }

    /// Renews the lease. A beat that comes late breaks the contact: this session knows nothing of the others' beats.
    pub(super) fn beat(&mut self, now: u64) {
        if self.deadline < now.saturating_add(self.lease_ms / 2) {
            self.since = now;
        }
        self.deadline = now.saturating_add(self.lease_ms);
    }

    pub(super) fn is_past(&self, now: u64) -> bool {
        self.deadline < now
    }

    /// Whether it may judge others: after an outage the first one back would rob the living.
    pub(super) fn may_sweep(&self, now: u64) -> bool {
        !self.is_past(now) && now.saturating_sub(self.since) >= self.lease_ms
    }

    /// Takes a delivery out; `None`: it is not this session's any more.
    pub(super) fn release(&mut self, tag: u64) -> Option<Marked> {
        let message = self.held.remove(&tag)?;
        if self.suspect == Some(tag) {
            self.suspect = None;
        }
        Some(message)
    }
}
