//! What `#[task]` accepts, what that comes to, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod accepted;
mod refused;
mod returned;
mod run;
