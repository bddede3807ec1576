//! The command line over the memory broker: what it prints where, and how it ends.
#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod about;
mod calls;
mod checking;
mod climbing;
mod control;
mod dead;
mod effects;
mod events;
mod fleet;
mod following;
mod habits;
mod inspecting;
mod listing;
mod questions;
mod real;
mod results;
mod revoking;
mod stage;
mod streams;
mod transcripts;
mod unreachable;
mod unread;
mod watching;
mod why;
