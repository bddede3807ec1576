//! The service over HTTP: each endpoint in this process, and all of it as programs around one broker.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod escenario;

mod actividad;
mod colas;
mod errores;
mod estado;
mod workers;

mod arranque;
mod procesos;
mod programas;
