//! The promises of the vocabulary: messages, arguments, retry policies, the registry.

mod arguments;
mod golden;
mod message;
mod protocol;
mod registry;
mod retry;
