//! What every lesson needs and none is about: the broker's address, and a worker in the same process.

mod beside;
mod place;

pub use beside::with_worker;
pub use place::{DEFAULT_BROKER, Place};

/// Why a lesson ended early.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// The Rust blocks of the README and the guides, as `build.rs` completes them.
#[cfg(doctest)]
#[doc = include_str!(concat!(env!("OUT_DIR"), "/pages.md"))]
struct Pages;
