//! The monitor over HTTP: how the services, the broker, the queues and the workers are, and what was noted.
//!
//! It links the domain and the client, never the tasks.
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /monitor/status` | how the services and the broker are |
//! | `GET /monitor/queue` | what lies in each queue |
//! | `GET /monitor/workers` | the workers that run now |
//! | `GET /monitor/actividad` | what `monitor.log_activity` noted |
//!
//! ```
//! use monitor::{Monitor, rutas};
//! use monitor_dominio::Bitacora;
//! use taskq_client::Client;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let carpeta = tempfile::tempdir()?;
//! # let ruta = carpeta.path().join("monitor.db");
//! let cliente = Client::connect("memory://").await?;
//! let servicios = "logistica=http://127.0.0.1:5002".parse()?;
//! let monitor = Monitor::nuevo(cliente, Bitacora::abrir(ruta)?, servicios);
//! let app = servicio::aplicacion("monitor", rutas(monitor), &[]);
//! # drop(app); Ok(()) }
//! ```

mod actividad;
mod colas;
mod estado;
mod monitor;
mod workers;

pub use monitor::{Monitor, rutas};
