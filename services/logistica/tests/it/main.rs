//! The service over HTTP: each endpoint in this process, and all of it as programs with a killed worker.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod escenario;

mod enviar;
mod errores;
mod estado;
mod inventario;
mod lista;
mod sin_corredor;

mod arranque;
mod datos;
mod procesos;
mod prueba;
mod revision;
