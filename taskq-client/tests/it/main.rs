//! The client over the memory broker.

mod asking;
mod sending;
mod stage;
mod waiting;
