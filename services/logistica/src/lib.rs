//! The logistics service over HTTP: takes deliveries, sends them as tasks, and tells what became of
//! them.
//!
//! It links the domain and the client, never the tasks: what can be sent is what workers published.
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /tareas` | the tasks that workers published |
//! | `POST /tareas` | sends one, after checking its arguments: 202 |
//! | `GET /tareas/{id}` | what became of it |
//! | `GET /inventario/{sku}` | what is left of a product |
//!
//! ```
//! use logistica::{Logistica, rutas};
//! use logistica_dominio::Almacen;
//! use taskq_client::Client;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let carpeta = tempfile::tempdir()?;
//! # let ruta = carpeta.path().join("logistica.db");
//! let cliente = Client::builder().send_deadline(logistica::PLAZO).connect("memory://").await?;
//! let app = servicio::aplicacion("logistica", rutas(Logistica::nueva(cliente, Almacen::abrir(ruta)?)), &[]);
//! # drop(app); Ok(()) }
//! ```

mod enviar;
mod estado;
mod firma;
mod inventario;
mod lista;
mod logistica;

pub use logistica::{Logistica, rutas};
pub use servicio::PLAZO;
