//! What `#[task]` accepts, what that comes to, and what it refuses.

mod accepted;
mod refused;
mod returned;
mod run;
