//! The command line over the memory broker: what it prints where, and how it ends.

mod calls;
mod habits;
mod inspecting;
mod results;
mod stage;
mod streams;
mod unreachable;
