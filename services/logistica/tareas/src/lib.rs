//! The tasks of the logistics service, for the worker that runs them.
//!
//! A worker links this crate and gives its tasks what they share:
//!
//! ```no_run
//! use logistica_tareas::Logistica;
//!
//! fn main() -> std::process::ExitCode {
//!     taskq_worker::cli::main_with(|worker| {
//!         Ok(worker.state(Logistica::abrir(|nombre| std::env::var_os(nombre))?))
//!     })
//! }
//! ```
//!
//! The first paragraph of a task's documentation is in Spanish: workers publish it, and the
//! service's users read it there.

mod ajustes;
mod bodega;
mod entrega;
mod inventario;
mod logistica;
mod reporte;

pub use ajustes::AjusteInvalido;
pub use bodega::{BodegaInalcanzable, SistemaBodega};
pub use entrega::procesar_entrega;
pub use inventario::validar_inventario;
pub use logistica::Logistica;
pub use reporte::generar_reporte;
