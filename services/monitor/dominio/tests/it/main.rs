//! Asking real sockets, and the file that is kept.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod actividad;
mod muestras;
mod preguntar;
