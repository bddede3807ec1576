//! Sending tasks, waiting for their results, and asking the workers: for services and tools.
//!
//! A program that only sends depends on this crate and not on the code of the tasks.
//!
//! ```
//! use std::time::Duration;
//! use taskq_client::{Client, SendOptions, Signature, State};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), taskq_client::Error> {
//! let client = Client::connect("memory://").await?;
//!
//! // By name, arguments as anything that serializes to a JSON array and object …
//! let options = SendOptions::default().queue("geo").countdown(Duration::from_secs(10));
//! let handle = client.send_by_name("geo.distance", ("Bogotá", "Cali"), (), options).await?;
//! assert_eq!(handle.state().await?, Some(State::Scheduled));
//!
//! // … or as a signature, which knows the type of its result. `#[task]` writes such ones.
//! let handle = client.send(Signature::<f64>::by_name("geo.distance").args(&("Bogotá", "Cali"))).await?;
//! assert_eq!(handle.state().await?, Some(State::Queued));
//! # Ok(()) }
//! ```

mod client;
mod control;
mod dead;
mod ends;
mod events;
mod find;
mod handle;
mod inspect;
mod options;
mod purge;
mod revoke;
mod routes;
mod wait;

pub use client::{Client, ClientBuilder, DEFAULT_SEND_DEADLINE};
pub use dead::{DeadCall, DeadCalls, DeadFilter, Replayed};
pub use ends::Awaited;
pub use handle::TaskHandle;
pub use inspect::Answers;
pub use options::SendOptions;
pub use revoke::{RevokeOptions, Revoked};
pub use wait::WaitError;

pub use taskq_core::broker::{ChosenBroker, Depth, Found, Place, ServerInfo, Totals};
pub use taskq_core::control::{Command, Stats};
pub use taskq_core::event;
pub use taskq_core::fleet::{PublishedParam, PublishedTask, WorkerCard};
pub use taskq_core::revocation::Revocation;
pub use taskq_core::{
    Error, ErrorKind, Failure, OnCrash, Progress, QueueName, Record, Signature, State, TaskId,
    nearest,
};
