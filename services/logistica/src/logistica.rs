//! The service: what its endpoints share, and which they are.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use logistica_dominio::Almacen;
use taskq_client::Client;

use crate::{enviar, estado, inventario, lista};

/// What the endpoints share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Logistica {
    pub(crate) cliente: Client,
    pub(crate) almacen: Almacen,
}

impl Logistica {
    /// A service that sends over `cliente` (whose sends should end within [`PLAZO`](crate::PLAZO))
    /// and reads `almacen`.
    #[must_use]
    pub fn nueva(cliente: Client, almacen: Almacen) -> Self {
        Self { cliente, almacen }
    }
}

/// The endpoints, to be completed by [`servicio::aplicacion`].
pub fn rutas(logistica: Logistica) -> Router {
    Router::new()
        .route("/tareas", get(lista::listar).post(enviar::enviar))
        .route("/tareas/{id}", get(estado::consultar))
        .route("/inventario/{sku}", get(inventario::consultar))
        .with_state(Arc::new(logistica))
}
