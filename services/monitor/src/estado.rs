//! `GET /monitor/status`: how the services and the broker are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use monitor_dominio::{Corredor, Estado};
use taskq_client::Client;

use crate::monitor::Monitor;

/// 200 also when some are down: each is told with what is wrong.
pub(crate) async fn consultar(State(monitor): State<Arc<Monitor>>) -> Json<Estado> {
    let corredor = preguntar(&monitor.cliente);
    Json(Estado::preguntar(&monitor.servicios, corredor).await)
}

async fn preguntar(cliente: &Client) -> Result<Corredor, String> {
    let servidor = cliente.server().await.map_err(|error| error.to_string())?;
    Ok(Corredor {
        nombre: servidor.name,
        version: servidor.version,
        avisos: servidor.warnings,
        ida_y_vuelta: Some(servidor.round_trip),
    })
}
