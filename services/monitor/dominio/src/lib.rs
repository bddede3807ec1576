//! The domain of the monitor: how the services are, what was noted, and how much happened in between.
//!
//! It serves no HTTP and knows no task queue: what it needs of the broker it is given.
//!
//! - [`Servicios`]: those to ask; [`Estado`]: how they and the broker are, each asked within [`PLAZO`].
//! - [`Bitacora`]: a SQLite file, shared by several processes, with the activity log and the samples. Its calls block.
//! - [`Totales`] and [`MetricaCola`]: what happened at a queue between two samples.
//!
//! ```
//! use monitor_dominio::{Corredor, Estado, Servicios};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Nobody listens at port 1.
//! let servicios: Servicios = "logistica=http://127.0.0.1:1".parse()?;
//! let corredor = async { Ok(Corredor { nombre: "redis".into(), version: "7.0".into(), ..Corredor::default() }) };
//! let estado = Estado::preguntar(&servicios, corredor).await;
//! assert!(!estado.servicios["logistica"].ok);
//! assert!(estado.broker.ok);
//! # Ok(()) }
//! ```

mod bitacora;
mod estado;
mod instante;
mod metrica;
mod pregunta;
mod servicios;

pub use archivo::{ErrorArchivo, RutaDesconocida};
pub use bitacora::{
    ACTIVIDADES_MAX, Actividad, Anotada, Bitacora, CORRIDAS_MAX, Corrida, Muestra, Nota,
    NotaInvalida, PAGINA_MAX, ruta,
};
pub use estado::{Corredor, Estado, EstadoCorredor, EstadoServicio};
pub use instante::Instante;
pub use metrica::{MetricaCola, Totales};
pub use pregunta::PLAZO;
pub use servicios::{SERVICIOS_MAX, ServicioInvalido, Servicios};
