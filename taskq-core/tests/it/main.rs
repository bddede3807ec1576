//! The promises of taskq-core, in one binary: vocabulary, brokers, ownership under faults.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod arguments;
mod conformance;
mod faults;
mod golden;
mod message;
mod mutants;
mod outcome;
mod protocol;
mod redis;
mod registry;
mod retry;
mod sqlite;
mod tidy;
