//! What the repository gives to a container engine, read and carried out without one.
//!
//! - [`Compose`]: `docker-compose.yml` with its settings filled in; [`faults`]: what it must say and does not.
//! - [`Image`]: the `Dockerfile`, and which files `.dockerignore` lets through.
//! - [`Fleet`]: the services as plain processes: their commands, with their environments, on free ports; their health checks
//!   as they stand there; stopped as an engine stops them.
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! let file = |name| std::fs::read_to_string(compose::repository().join(name));
//! let (text, settings) = (file("docker-compose.yml")?, file(".env.example")?);
//! assert!(compose::faults(&text, &settings).is_empty());
//!
//! let open = text.replace("127.0.0.1:${REDIS_PORT", "0.0.0.0:${REDIS_PORT");
//! assert_eq!(compose::faults(&open, &settings), ["redis: a port is published beyond 127.0.0.1"]);
//! # Ok(()) }
//! ```
//!
//! What only an engine can show is not shown here: that the image builds, and that its programs do with the rights that they have
//! in it.

mod address;
mod document;
mod fleet;
mod http;
mod image;
mod process;
mod rules;
mod settings;

pub use document::{Compose, Dependency, HealthCheck, Logging, Service, Span};
pub use fleet::Fleet;
pub use http::{Answer, get, post};
pub use image::{Image, Instruction};
pub use process::Container;
pub use rules::faults;
pub use settings::Settings;

use std::path::{Path, PathBuf};

/// The repository's top folder.
///
/// # Panics
/// When this crate does not lie two folders below it.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the repository").to_owned()
}
