//! The domain against its data files, damaged stock files, and other threads and processes.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod abrir;
mod datos;
mod entrega;
mod fichero;
mod reporte;
mod reservar;
mod validar;
