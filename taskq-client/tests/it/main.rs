//! The client over the memory broker.
#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod asking;
mod routing;
mod sending;
mod stage;
mod waiting;
