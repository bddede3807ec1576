//! Every example runs, ends by itself, and shows what it says it shows: over the broker it has of itself, and over Redis.

mod lessons;
mod pages;
mod quickstart;
mod readme;
mod run;
#[path = "../../testing.rs"]
#[expect(dead_code, reason = "its main is run as a program")]
mod testing;
