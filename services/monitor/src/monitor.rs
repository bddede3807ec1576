//! The service: what its endpoints share, and which they are.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use monitor_dominio::{Bitacora, Servicios};
use taskq_client::Client;

use crate::{actividad, colas, estado, workers};

/// What the endpoints share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(crate) cliente: Client,
    pub(crate) bitacora: Bitacora,
    pub(crate) servicios: Servicios,
}

impl Monitor {
    /// A service that asks the broker over `cliente` and each of `servicios`, and reads `bitacora`.
    #[must_use]
    pub fn nuevo(cliente: Client, bitacora: Bitacora, servicios: Servicios) -> Self {
        Self {
            cliente,
            bitacora,
            servicios,
        }
    }
}

/// The endpoints, to be completed by [`servicio::aplicacion`].
pub fn rutas(monitor: Monitor) -> Router {
    Router::new()
        .route("/monitor/status", get(estado::consultar))
        .route("/monitor/queue", get(colas::consultar))
        .route("/monitor/workers", get(workers::consultar))
        .route("/monitor/actividad", get(actividad::consultar))
        .with_state(Arc::new(monitor))
}
