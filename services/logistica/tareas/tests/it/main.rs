//! The tasks, run by a worker over a memory broker; and the settings they are given.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod ajustes;
mod reporte;
mod taller;
mod tareas;
