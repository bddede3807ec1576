//! The shared service parts: requests through a router, and the life of a real process.

#![expect(clippy::unwrap_used, reason = "a failed set-up step fails its test")]

mod argumentos;
mod cors;
mod cuerpo;
mod peticion;
mod proceso;
mod rutas;
