//! The worker: over the memory broker, with its real clock where time must pass by itself, and as processes over Redis.

#![expect(clippy::unwrap_used, reason = "a test that can not go on has failed")]

mod bench;
mod flaky;
mod gate;
mod look;

mod blocked;
mod cli;
mod context;
mod control;
mod events;
mod expiry;
mod fetching;
mod health;
mod hooks;
mod idle;
mod kit;
mod leases;
mod limits;
mod middleware;
mod outage;
mod outcomes;
mod pool;
mod pool_processes;
mod process;
mod progress;
mod questions;
mod recycle;
mod redis;
mod refusals;
mod registration;
mod revoking;
mod shares;
mod stop;
mod telling;
mod testing;
