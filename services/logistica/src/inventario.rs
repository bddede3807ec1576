//! `GET /inventario/{sku}`: what is left of a product.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use logistica_dominio::{AlmacenError, Inventario};
use servicio::{ErrorHttp, Trozo};
use tokio::task::spawn_blocking;

use crate::logistica::Logistica;

/// How much of an unknown product's code an answer repeats, in characters.
const SKU_MAX: usize = 64;

pub(crate) async fn consultar(
    State(logistica): State<Arc<Logistica>>,
    Trozo(sku): Trozo,
) -> Result<Json<Inventario>, ErrorHttp> {
    let almacen = logistica.almacen.clone();
    let buscado = sku.clone();
    let leido = spawn_blocking(move || almacen.inventario(&buscado))
        .await
        .map_err(|error| interno(&format!("reading the stock: {error}")))?;
    let inventario = leido.map_err(|error| de_almacen(&error))?;
    inventario.map(Json).ok_or_else(|| {
        let sku: String = sku.chars().take(SKU_MAX).collect();
        ErrorHttp::no_encontrado(format!(
            "unknown sku {sku:?}: use one of the inventory, such as PROD001"
        ))
    })
}

fn de_almacen(error: &AlmacenError) -> ErrorHttp {
    if error.is_transient() {
        ErrorHttp::no_disponible(error.to_string())
    } else {
        interno(&error.to_string())
    }
}

/// 500, with the cause in the log alone: it may name paths of this machine.
fn interno(causa: &str) -> ErrorHttp {
    tracing::error!("{causa}");
    ErrorHttp::nuevo(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the stock cannot be read: see the service's log",
    )
}
