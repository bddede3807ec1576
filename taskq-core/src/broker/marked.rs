//! A message with its mark, as brokers that keep messages themselves hold it.

use bytes::Bytes;

use crate::message::{DEFAULT_MAX_CRASHES, Message};

/// A message with its mark: the priority of its list, and how often a process died holding it.
#[derive(Debug, Clone)]
pub(super) struct Marked {
    pub(super) body: Bytes,
    pub(super) priority: u8,
    pub(super) crashes: u8,
}

impl Marked {
    /// Its own limit; what can not be read has the default.
    pub(super) fn crash_limit(&self) -> u8 {
        Message::decode(&self.body).map_or(DEFAULT_MAX_CRASHES, |m| m.crash_limit())
    }

    /// One more crash would be one too many. What never crashed is no suspect, whatever its limit.
    pub(super) fn on_last_life(&self) -> bool {
        self.crashes > 0 && self.crashes + 1 >= self.crash_limit()
    }
}
