//! The tasks, run by a worker over a memory broker; and the settings they are given.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod actividad;
mod ajustes;
mod metricas;
mod salud;
mod taller;
