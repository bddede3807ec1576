//! The client over the memory broker, and what needs no client at all over Redis.
#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod asking;
mod dead;
mod other_language;
mod progress;
mod purging;
mod revoking;
mod revoking_over_redis;
mod routing;
mod running;
mod sending;
mod stage;
mod waiting;
mod waiting_for_all;
mod waiting_over_redis;
