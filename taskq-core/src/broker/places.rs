//! Single messages, as those who look for them are told.

use bytes::Bytes;

use crate::state::State;

/// Which entry of the dead set: what the broker knows it by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DeadHandle(pub(crate) Bytes);

/// A message that is not due yet.
#[derive(Debug, Clone)]
pub struct DelayedMessage {
    /// When it is due: ms since the epoch, by the broker's clock.
    pub due: u64,
    /// The message in its wire form, without its mark.
    pub body: Bytes,
    /// Its priority.
    pub priority: u8,
    /// How often a process died while it held it.
    pub crashes: u8,
}

/// Where a message lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Ready to be claimed; so many are claimed before it.
    Waiting {
        /// Those before it: of its own priority, and all of higher ones.
        ahead: u64,
    },
    /// Held back: one more crash makes it DEAD; so many are before it.
    Suspect {
        /// Those before it.
        ahead: u64,
    },
    /// Not due yet.
    Delayed {
        /// When it is: ms since the epoch, by the broker's clock.
        due: u64,
    },
    /// With a worker, which holds or runs it.
    Held,
    /// On its way back from a session that is over.
    Returning,
    /// In the dead set.
    Dead {
        /// FAILURE or DEAD.
        state: State,
        /// Why.
        reason: String,
        /// Since when: ms since the epoch.
        at: u64,
    },
}

/// What a search for a message came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it lies, and the message in its wire form; `None`: it was not found.
    pub place: Option<(Place, Bytes)>,
    /// True: every message was looked at. False: there are more than the bound allows, it may lie among them.
    pub complete: bool,
    /// The broker's time: ms since the epoch.
    pub now: u64,
}

/// An entry of the dead set.
#[derive(Debug, Clone)]
pub struct DeadMessage {
    /// What the broker knows it by.
    pub handle: DeadHandle,
    /// The message as it came, undecodable ones included.
    pub body: Bytes,
    /// FAILURE or DEAD.
    pub state: State,
    /// Why it is here.
    pub reason: String,
    /// Since when: ms since the epoch.
    pub at: u64,
}
