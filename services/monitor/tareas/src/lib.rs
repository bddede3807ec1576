//! The tasks of the monitor, for the worker that runs them.
//!
//! A worker links this crate and gives its tasks what they share:
//!
//! ```no_run
//! use monitor_tareas::Monitor;
//!
//! fn main() -> std::process::ExitCode {
//!     taskq_worker::cli::main_with(|worker| {
//!         Ok(worker.state(Monitor::abrir(|nombre| std::env::var_os(nombre))?))
//!     })
//! }
//! ```
//!
//! The first paragraph of a task's documentation is in Spanish: workers publish it, and the
//! services' users read it there.

mod actividad;
mod lectura;
mod metricas;
mod monitor;
mod por_tarea;
mod salud;

pub use actividad::log_activity;
pub use metricas::{Metricas, generate_metrics};
pub use monitor::{AjusteInvalido, Monitor};
pub use por_tarea::{Cuenta, Duraciones, Tareas};
pub use salud::health_check;
