//! The worker: over the memory broker, with its real clock where time must pass by itself, and as processes over Redis.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod bench;
mod flaky;
mod gate;

mod blocked;
mod cli;
mod context;
mod control;
mod events;
mod expiry;
mod fetching;
mod idle;
mod leases;
mod limits;
mod outage;
mod outcomes;
mod process;
mod questions;
mod redis;
mod refusals;
mod registration;
mod revoking;
mod stop;
mod telling;
