//! What every HTTP service of this workspace shares, so that each holds only its own endpoints.
//!
//! - [`Argumentos`], read by [`leer_linea`]: the common command line; [`iniciar_registro`] and [`decir_error`]: the log, and its end.
//! - [`aplicacion`]: a service's routes with health check, CORS, limits and JSON errors.
//! - [`abrir_corredor`] and [`en_plazo`]: the broker, and how long a request waits for it.
//! - [`CuerpoJson`], [`Consulta`], [`Trozo`] and [`ErrorHttp`]: body, query and path in, JSON errors out.
//! - [`revisar`]: is the service well that listens here? `--check` of every service.
//! - [`escuchar`], [`servir`] and [`Parada`]: from the port to the end of the process.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use clap::Parser;
//! use servicio::{Argumentos, Parada, aplicacion, escuchar, iniciar_registro, leer_linea, servir};
//!
//! #[derive(Parser)]
//! struct Linea {
//!     #[command(flatten)]
//!     comunes: Argumentos<5002>,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), servicio::ErrorServicio> {
//!     let Linea { comunes } = leer_linea();
//!     iniciar_registro(comunes.loglevel);
//!     let parada = Parada::por_senales()?;
//!     let rutas = Router::new().route("/hola", get(|| async { "hola" }));
//!     let app = aplicacion("saludos", rutas, &comunes.cors_origin);
//!     servir(escuchar(&comunes.host, comunes.port).await?, app, &parada).await
//! }
//! ```

mod aplicacion;
mod argumentos;
mod consulta;
mod corredor;
mod cors;
mod cuerpo;
mod error_http;
mod error_servicio;
mod parada;
mod registro;
mod repetida;
mod salud;
mod servir;
mod trozo;

pub use aplicacion::{CUERPO_MAX, ESPERA_MAX, aplicacion};
pub use argumentos::{Argumentos, leer_linea};
pub use consulta::Consulta;
pub use corredor::{PLAZO, abrir_corredor, en_plazo, mal_arrancado};
pub use cors::{OrigenCors, OrigenInvalido};
pub use cuerpo::CuerpoJson;
pub use error_http::ErrorHttp;
pub use error_servicio::ErrorServicio;
pub use parada::Parada;
pub use registro::{Nivel, decir_error, iniciar_registro};
pub use salud::{Enferma, REVISION_MAX, revisar};
pub use servir::{DRENAJE_MAX, escuchar, servir};
pub use trozo::Trozo;
