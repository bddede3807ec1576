//! The domain of the logistics service: deliveries, stock and bookings.
//!
//! It knows nothing of HTTP or of the task queue, so the web service can check a delivery before it
//! sends a task and the task can check the same delivery again with the same code.
//!
//! - [`Entrega`]: a delivery, valid by construction.
//! - [`Almacen`]: the stock in a `SQLite` file, shared by several processes; books deliveries.
//! - [`Resultado`], [`Inventario`], [`Informe`]: what booking, looking up and checking answer.
//! - [`Periodo`] and [`Reporte`]: some days, and what was booked in them.
//!
//! All calls block; in async code use `spawn_blocking`.
//!
//! ```
//! use logistica_dominio::{Almacen, Entrega};
//!
//! let carpeta = tempfile::tempdir()?;
//! let almacen = Almacen::abrir(carpeta.path().join("logistica.db"))?;
//! let entrega = Entrega::desde_valor(&serde_json::json!({
//!     "entrega_id": "ENT-1", "sku": "PROD001", "producto": "panela orgánica 500 g",
//!     "cantidad": 2, "peso_kg": 1.0,
//!     "origen": {"geonameid": 3688689, "ciudad": "Bogotá", "lat": 4.60971, "lon": -74.08175},
//!     "destino": {"geonameid": 3687925, "ciudad": "Cali", "lat": 3.43054, "lon": -76.5199},
//!     "fecha_promesa": "2026-11-30",
//! }))?;
//! let resultado = almacen.reservar(&entrega, "2026-11-01".parse()?)?;
//! assert_eq!(resultado.fecha_estimada.to_string(), "2026-11-03");
//! assert!(resultado.cumple_promesa);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod almacen;
mod campos;
mod catalogo;
mod entrega;
mod error;
mod fecha;
mod lugar;
mod periodo;
mod resultado;

pub use almacen::{
    Almacen, BodegaInventario, BodegaReporte, Hallazgo, Informe, Inventario, Kilometros, Reporte,
    ruta,
};
pub use archivo::{Causa, ErrorArchivo, RutaDesconocida};
pub use entrega::Entrega;
pub use error::{AlmacenError, EntregaInvalida, PeriodoInvalido};
pub use lugar::Lugar;
pub use periodo::{DIAS_MAX, Periodo};
pub use resultado::Resultado;
