//! The promises of the vocabulary: messages, arguments, retry policies, the registry.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod arguments;
mod golden;
mod message;
mod outcome;
mod protocol;
mod registry;
mod retry;
