//! A message with its mark, as brokers that keep messages themselves hold it.

use bytes::Bytes;

use crate::message::{DEFAULT_MAX_CRASHES, Message, OnCrash};

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

    /// Why, coming back from a session that is over, it runs no more; `None`: it runs again. `message` is what it says.
    pub(super) fn ends_here(&self, message: Option<&Message>) -> Option<String> {
        if message.is_some_and(|m| m.on_crash == OnCrash::Dead) {
            let reason =
                "its process ended while it ran, and on_crash = \"dead\" forbids a second run";
            return Some(reason.to_owned());
        }
        (self.crashes >= self.crash_limit()).then(|| {
            format!(
                "its process died {} times while it ran, which is its limit",
                self.crashes
            )
        })
    }
}
